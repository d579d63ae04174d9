//! The file of options: any octets.

use crate::config_lines::{decode, options};

/// Reads `octets` as a file of options.
pub fn body(octets: &[u8]) {
    let lines = || octets.split(|octet| *octet == b'\n');
    let text = match decode(octets.to_vec()) {
        Ok(text) => text,
        Err(number) => {
            let first = lines().position(|line| std::str::from_utf8(line).is_err());
            assert_eq!(first, Some(number - 1), "the first line that isn't text");
            return;
        }
    };
    assert_eq!(text.as_bytes(), octets);
    let mut before = 0;
    for (number, words) in options(&text) {
        assert!(number > before, "one option a line, in order");
        before = number;
        let line = lines().nth(number - 1).expect("it is one of the lines");
        let line = std::str::from_utf8(line).expect("it is text");
        // One mark of the encoding at the beginning of the file is none of its words.
        let line = if number == 1 {
            line.strip_prefix('\u{feff}').unwrap_or(line)
        } else {
            line
        };
        options_of(line, &words);
    }
    let silent = text.lines().count() - options(&text).count();
    assert!(
        silent <= text.lines().filter(|line| says_nothing(line)).count(),
        "no option is passed over"
    );
}

/// An option without spaces and perhaps a value, as they stand on the line and not in its comment.
fn options_of(line: &str, words: &[String]) {
    let [option, value @ ..] = words else {
        panic!("a line without words")
    };
    assert!(
        !option.is_empty() && !option.contains(char::is_whitespace) && !option.starts_with('#')
    );
    let at = line
        .find(option.as_str())
        .expect("the option stands on its line");
    assert!(line[..at].chars().all(char::is_whitespace));
    if let [value] = value {
        assert!(!value.is_empty() && value.trim() == value);
        assert!(
            line[at + option.len()..]
                .trim_start()
                .starts_with(value.as_str())
        );
        let comment = value.split_whitespace().any(|word| word.starts_with('#'));
        assert!(!comment, "a comment is no value");
    }
    assert!(words.len() <= 2);
}

/// Whether a line is empty or a comment.
fn says_nothing(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}').trim();
    line.is_empty() || line.starts_with('#')
}
