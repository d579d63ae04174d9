//! The answers of a trace as they come. A better one may follow, and stands in the place of the one
//! before.
//!
//! `hopshot-lab run wan -- target/release/examples/stream {4}`

use hopshot_linux::{Error, Settings};

fn main() -> Result<(), Error> {
    let host = std::env::args().nth(1).unwrap_or("127.0.0.1".to_owned());
    for reply in Settings::new().trace(host).start()? {
        let reply = reply?;
        println!("hop {}: {} {:?}", reply.probe.hop, reply.from, reply.rtt);
    }
    Ok(())
}
