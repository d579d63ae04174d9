//! The path to a host.
//!
//! `hopshot-lab run wan -- target/release/examples/simple {4}`

use hopshot_linux::{Error, Settings};

fn main() -> Result<(), Error> {
    let host = std::env::args().nth(1).unwrap_or("127.0.0.1".to_owned());
    let route = Settings::new().attempts(3).trace(host).run()?;
    for hop in route.hops() {
        let answers = hop
            .replies()
            .map(|reply| format!("{} {:?}", reply.from, reply.rtt));
        let answers: Vec<String> = answers.collect();
        println!("{:2}  {}", hop.number(), answers.join("  "));
    }
    println!("{:?}, {:?}", route.distance(), route.stop_reason());
    Ok(())
}
