//! Many hosts at once: names and addresses go in, results come out as they are there.
//!
//! `hopshot-lab run many -- target/release/examples/many 10.200.0.1 10.200.0.2 10.200.0.3`

use hopshot_linux::{Error, Settings};

fn main() -> Result<(), Error> {
    let hosts = std::env::args().skip(1);
    for (host, route) in Settings::new().many(hosts).rate(1_000).start()? {
        match route {
            Ok(route) => println!("{host}: {:?} hops", route.distance()),
            Err(error) => println!("{host}: {error}"),
        }
    }
    Ok(())
}
