//! A list of hosts: any octets, in pieces of any size.

use crate::console::is_obeyed;
use crate::list_lines::{Lines, host_of};
use core::iter::from_fn;

type Found = Vec<(usize, Result<String, String>)>;

/// Reads `octets` as a list, at once and in pieces as long as the first octet says.
pub fn body(octets: &[u8]) {
    let found = read(octets, octets.len());
    let size = octets.first().map_or(1, |octet| usize::from(*octet) + 1);
    assert_eq!(read(octets, size), found, "however the octets come");
    assert_eq!(found, model(octets));
    for (_, host) in found {
        match host {
            Ok(host) => {
                assert!((1..=300).contains(&host.len()) && !host.contains(['#', '\n']));
                assert!(
                    !host.contains(|c: char| c.is_whitespace() || is_obeyed(c)),
                    "{host:?}"
                );
            }
            Err(why) => assert!(!why.contains(is_obeyed), "{why:?}"),
        }
    }
}

fn read(octets: &[u8], size: usize) -> Found {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in octets.chunks(size.max(1)) {
        lines.take(piece);
        found.extend(from_fn(|| lines.next(true)));
    }
    found.extend(from_fn(|| lines.next(false)));
    found
}

/// Every line by its number, but for those that say nothing.
fn model(octets: &[u8]) -> Found {
    let octets_of_lines = octets.split(|octet| *octet == b'\n').enumerate();
    let hosts = octets_of_lines.map(|(index, line)| {
        let mark: &[u8] = if index == 0 && line.starts_with(b"\xef\xbb\xbf") {
            &line[..3]
        } else {
            &[]
        };
        let host = host_of(&line[mark.len()..]);
        if let Ok(Some(host)) = &host {
            assert!(
                line.windows(host.len()).any(|part| part == host.as_bytes()),
                "a host stands on its line"
            );
        }
        (index + 1, host.transpose())
    });
    hosts
        .filter_map(|(number, host)| Some((number, host?)))
        .collect()
}
