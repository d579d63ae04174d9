//! Runs inputs through a target on stable: `cargo run -p hopshot-fuzz --example run -- TARGET
//! FILE_OR_FOLDER...`.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let mut args = env::args().skip(1);
    let name = args.next().unwrap_or_default();
    let Some((_, body)) = hopshot_fuzz::TARGETS
        .into_iter()
        .find(|(target, _)| *target == name)
    else {
        let names: Vec<_> = hopshot_fuzz::TARGETS
            .iter()
            .map(|(target, _)| *target)
            .collect();
        return Err(io::Error::other(format!(
            "say which target: {}",
            names.join(", ")
        )));
    };
    let mut runs = 0;
    for path in args {
        let path = Path::new(&path);
        let files = match path.is_dir() {
            true => fs::read_dir(path)?
                .map(|entry| Ok(entry?.path()))
                .collect::<io::Result<Vec<_>>>()?,
            false => vec![path.to_owned()],
        };
        for file in files {
            let input = fs::read(&file)?;
            println!("{}", file.display());
            body(&input);
            runs += 1;
        }
    }
    println!("{name}: {runs} inputs keep every promise");
    Ok(())
}
