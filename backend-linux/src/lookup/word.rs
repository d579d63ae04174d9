//! Text that strangers chose, in requests and answers.

use hopshot_engine::is_obeyed;
use std::fmt;

/// The most octets of a [`Word`]. A name in DNS has at most 253 (RFC 1035, section 2.3.4), and an
/// address may have a zone.
const LONGEST_WORD: usize = 300;
/// The most octets of [`Words`].
const LONGEST_WORDS: usize = 1024;

/// A host's name or an address, bounded and without spaces. `\u{..}` stands for a space and for
/// what a terminal obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(String);

impl Word {
    /// Makes text harmless.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(shown(text, LONGEST_WORD, |c| !c.is_whitespace()))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A sentence or what something is called, bounded, with single spaces. `\u{..}` stands for what a
/// terminal obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(String);

impl Words {
    /// Makes text harmless.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        // The bound may fall behind a space, which would be gone at the next reading.
        Self(
            shown(&words.join(" "), LONGEST_WORDS, |_| true)
                .trim_end()
                .to_owned(),
        )
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text with `\u{..}` for what a terminal obeys or `may_stay` refuses, cut where it would be
/// longer than so many octets.
fn shown(text: &str, longest: usize, may_stay: impl Fn(char) -> bool) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        let before = shown.len();
        match may_stay(c) && !is_obeyed(c) {
            true => shown.push(c),
            false => shown.extend(c.escape_unicode()),
        }
        if shown.len() > longest {
            shown.truncate(before);
            break;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_writes_a_line_of_its_own_or_reaches_the_terminal() {
        let hostile = "a\nlost b\r\u{2028}\u{85}\x1b[2J\u{202e} c";
        let word = Word::of(hostile);
        assert_eq!(
            word.as_str(),
            r"a\u{a}lost\u{20}b\u{d}\u{2028}\u{85}\u{1b}[2J\u{202e}\u{20}c"
        );
        assert_eq!(Words::of(hostile).as_str(), r"a lost b \u{1b}[2J\u{202e} c");
    }

    #[test]
    fn text_is_bounded_and_cut_neither_within_an_escape_nor_behind_a_space() {
        assert_eq!(
            Word::of(&"\u{1}".repeat(9000)).as_str(),
            r"\u{1}".repeat(60)
        );
        assert_eq!(
            Word::of(&format!("{}\u{1}", "a".repeat(298))).as_str(),
            "a".repeat(298)
        );
        let words = Words::of(&format!("{} b", "a".repeat(LONGEST_WORDS - 1)));
        assert_eq!(words.as_str(), "a".repeat(LONGEST_WORDS - 1));
    }
}
