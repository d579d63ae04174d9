//! A trace in an event loop of one's own, here tokio's: wait for its descriptor or its timeout, then let it work.
//!
//! `hopshot-lab run wan -- target/release/examples/tokio {4}`

use hopshot_linux::{Trace, Traceroute};
use std::error::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let host = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1".to_owned());
    let trace = run(Traceroute::new(host).start()?).await?;
    let route = trace.finish();
    for hop in route.hops() {
        let times: Vec<String> = hop.replies().map(|reply| format!("{} {:?}", reply.from, reply.rtt)).collect();
        println!("{:2}  {}", hop.number(), times.join("  "));
    }
    Ok(())
}

async fn run(trace: Trace) -> Result<Trace, Box<dyn Error>> {
    let mut trace = AsyncFd::with_interest(trace, Interest::READABLE)?;
    while let Some(timeout) = trace.get_ref().timeout() {
        if let Ok(ready) = tokio::time::timeout(timeout, trace.readable_mut()).await {
            // Everything that has arrived is read below.
            ready?.clear_ready();
        }
        trace.get_mut().work()?;
    }
    Ok(trace.into_inner())
}
