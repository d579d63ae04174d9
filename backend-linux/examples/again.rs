//! Traces a host twice: the second time what the first has learnt spares it probes.
//!
//! `hopshot-lab run wan -- target/release/examples/again {4}`

use hopshot_linux::{Error, Traceroute};

fn main() -> Result<(), Error> {
    let host = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1".to_owned());
    let traceroute = Traceroute::new(host);
    for _ in 0..2 {
        let route = traceroute.run()?;
        println!(
            "distance {:?}, {} probes, {:?}",
            route.distance(),
            route.summary().probes_sent,
            route.summary().duration
        );
    }
    Ok(())
}
