//! Parts of what the command printed.

use serde_json::Value;

/// The numbers and names of every hop, as JSON has them.
pub(crate) fn ases(document: &Value) -> Vec<(Value, Value)> {
    let probes = document["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hop| &hop["probes"][0]);
    probes
        .map(|probe| (probe["asn"].clone(), probe["as_name"].clone()))
        .collect()
}

/// The marks of a text, with their hops.
pub(crate) fn marks(text: &str) -> Vec<(u32, u32)> {
    let marks = text.lines().filter_map(|line| {
        let mark = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("F="))?;
        Some((
            line.split_whitespace().next()?.parse().ok()?,
            mark.parse().ok()?,
        ))
    });
    marks.collect()
}

/// A JSON document.
pub(crate) fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// Whether one of the lines begins so, and has that behind.
pub(crate) fn shows(lines: &[&str], begin: &str, end: &str) -> bool {
    lines
        .iter()
        .any(|line| line.starts_with(begin) && line.contains(end))
}
