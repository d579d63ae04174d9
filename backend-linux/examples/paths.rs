//! All paths to a host that load balancers share traffic over.
//!
//! `hopshot-lab run ecmp -- target/release/examples/paths {4}`

use hopshot_linux::{Error, Settings};

fn main() -> Result<(), Error> {
    let host = std::env::args().nth(1).unwrap_or("127.0.0.1".to_owned());
    let paths = Settings::new().paths(host).confidence(0.99).run()?;
    let nodes = paths.graph().nodes();
    for edge in paths.graph().edges() {
        let (from, to) = (&nodes[edge.from], &nodes[edge.to]);
        println!("{:2}  {:?} -> {:?}", from.hop, from.address, to.address);
    }
    println!("{:?}", paths.completeness());
    Ok(())
}
