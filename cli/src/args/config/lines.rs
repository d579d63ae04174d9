//! The lines of the file of options: from octets to words.

/// Reads octets as text.
///
/// # Errors
/// The number of the first line that isn't UTF-8.
pub(crate) fn decode(octets: Vec<u8>) -> Result<String, usize> {
    String::from_utf8(octets).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        1 + before.iter().filter(|octet| **octet == b'\n').count()
    })
}

/// Returns the number and the words of each line that has any.
pub(crate) fn options(text: &str) -> impl Iterator<Item = (usize, Vec<String>)> {
    // Some editors begin a file with a mark of its encoding.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (1..)
        .zip(text.lines().map(words))
        .filter(|(_, words)| !words.is_empty())
}

/// Splits a line into the arguments that it stands for: the option, and all that follows as its
/// value.
fn words(line: &str) -> Vec<String> {
    let comment = line.char_indices().find(|(at, c)| {
        *c == '#'
            && line[..*at]
                .chars()
                .next_back()
                .is_none_or(char::is_whitespace)
    });
    let line = line[..comment.map_or(line.len(), |(at, _)| at)].trim();
    let (option, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    [option, value.trim()]
        .into_iter()
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_option_and_its_value_and_may_have_a_comment() {
        assert_eq!(words("-q 1"), ["-q", "1"]);
        assert_eq!(words("  --wait=0.5\t# half a second"), ["--wait=0.5"]);
        assert_eq!(words("--targets  a file#1 "), ["--targets", "a file#1"]);
        assert_eq!(
            [words(""), words("# -n"), words("   ")],
            [(); 3].map(|()| Vec::<String>::new())
        );
    }
}
