//! A trace in an event loop of one's own, here tokio's: wait for its descriptor or its timeout,
//! then let it work.
//!
//! `hopshot-lab run wan -- target/release/examples/tokio {4}`

use hopshot_linux::{Settings, Trace};
use std::error::Error;
use std::os::fd::AsFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let host = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1".to_owned());
    let trace = run(Settings::new().trace(host).start()?).await?;
    let route = trace.finish();
    for hop in route.hops() {
        let times: Vec<String> = hop
            .replies()
            .map(|reply| format!("{} {:?}", reply.from, reply.rtt))
            .collect();
        println!("{:2}  {}", hop.number(), times.join("  "));
    }
    Ok(())
}

/// Answers, and errors: on a ping socket routers are heard through its error queue.
const EITHER: Interest = Interest::READABLE.add(Interest::ERROR);

async fn run(mut trace: Trace) -> Result<Trace, Box<dyn Error>> {
    // A descriptor of the example's own for the same socket: it stays open as long as it is
    // registered.
    let descriptor = trace.as_fd().try_clone_to_owned()?;
    #[allow(
        deprecated,
        reason = "what replaces it is an unsafe function, for descriptors that might be closed"
    )]
    let descriptor = AsyncFd::with_interest(descriptor, EITHER)?;
    while let Some(timeout) = trace.timeout() {
        if let Ok(ready) = tokio::time::timeout(timeout, descriptor.ready(EITHER)).await {
            // Everything that has arrived is read below.
            ready?.clear_ready();
        }
        trace.work()?;
    }
    Ok(trace)
}
