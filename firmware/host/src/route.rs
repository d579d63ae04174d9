//! Whether the route that a board printed is the true one.

use hopshot_lab::Truth;
use std::net::IpAddr;

/// Compares the lines that begin with a hop's number with the truth: every hop up to the last that
/// answers, each with an address that may answer there.
pub(crate) fn compare(lines: &[String], truth: &Truth) -> Result<(), String> {
    let hops: Vec<(u8, Option<IpAddr>)> = lines.iter().filter_map(|line| hop(line)).collect();
    for (place, (number, from)) in (1..).zip(&hops) {
        let expected = truth.at(*number);
        if *number != place || !expected.contains(from) {
            return Err(format!(
                "hop {number}: printed {from:?}, the truth is one of {expected:?}"
            ));
        }
    }
    let last = |hops: &[Option<IpAddr>]| {
        hops.iter()
            .rposition(Option::is_some)
            .map_or(0, |last| last + 1)
    };
    let lengths: Vec<usize> = truth.paths.iter().map(|path| last(&path.hops)).collect();
    if lengths.contains(&hops.len()) {
        Ok(())
    } else {
        Err(format!(
            "{} hops printed, the last that answers is one of {lengths:?}",
            hops.len()
        ))
    }
}

/// `3 10.3.0.1 20.125 ms` or `3 *`.
fn hop(line: &str) -> Option<(u8, Option<IpAddr>)> {
    let mut words = line.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    match words.next()? {
        "*" => Some((number, None)),
        address => Some((number, Some(address.parse().ok()?))),
    }
}
