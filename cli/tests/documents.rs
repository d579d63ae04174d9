//! Bounds of the documents that people read first.

use std::fs;
use std::path::{Path, PathBuf};

/// The README and all of `docs`, each with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let docs = fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let paths = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).unwrap());
    [root.join("README.md")]
        .into_iter()
        .chain(paths)
        .map(read)
        .collect()
}

#[test]
fn the_readme_can_be_read_in_a_few_minutes() {
    let words = documents()[0].1.split_whitespace().count();
    assert!((500..=1500).contains(&words), "{words} words");
}

#[test]
fn no_line_is_longer_than_100_columns_but_rows_of_tables() {
    let documents = documents();
    assert!(documents.len() > 10, "there are {}", documents.len());
    for (path, text) in documents {
        for (number, line) in (1..).zip(text.lines()) {
            let columns = line.chars().count();
            assert!(
                columns <= 100 || line.starts_with('|'),
                "{}, line {number}: {columns}",
                path.display()
            );
        }
    }
}

/// The anchor that a heading has on pages made of Markdown.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn each_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut links = 0;
    for (path, text) in documents() {
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
            .map(|(target, _)| target);
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let linked = if file.is_empty() {
                path.clone()
            } else {
                path.with_file_name(file)
            };
            assert!(linked.exists(), "{}: {target}", path.display());
            let is_there = || {
                let linked = fs::read_to_string(&linked).unwrap();
                linked
                    .lines()
                    .any(|line| line.starts_with('#') && anchor(line) == heading)
            };
            assert!(
                heading.is_empty() || is_there(),
                "{}: {target}",
                path.display()
            );
            links += 1;
        }
    }
    assert!(links > 30, "{links} links");
}
