//! The largest packets that a path carries, and where they get smaller.
//!
//! `hopshot-lab run mtu -- target/release/examples/path_mtu {4}`

use hopshot_linux::{Error, Settings};

fn main() -> Result<(), Error> {
    let host = std::env::args().nth(1).unwrap_or("127.0.0.1".to_owned());
    let route = Settings::new().path_mtu(host).run()?;
    for limit in route.limits() {
        println!("hop {}: {} octets", limit.hop, limit.mtu);
    }
    println!("path MTU: {:?}", route.path_mtu());
    Ok(())
}
