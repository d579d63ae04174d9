//! Text of strangers, made harmless for the terminal that it goes to.

use hopshot_linux::printable;
use std::env;

/// The most characters of the name of an AS: it goes on a line with much else.
const LONGEST_WORDS: usize = 64;

/// Makes the name of an AS harmless: one line, whatever its owner wrote.
pub(crate) fn printable_words(text: &str) -> String {
    words(text, is_unicode())
}

/// Letters of Latin, Greek and Cyrillic may stay as they are where that is sure to be UTF-8:
/// another terminal may obey some of their octets.
fn words(text: &str, letters: bool) -> String {
    let is_letter = |c: char| {
        letters && c.is_alphabetic() && matches!(c, '\u{c0}'..='\u{24f}' | '\u{370}'..='\u{52f}')
    };
    let visible = |c: char| {
        if is_letter(c) {
            c.to_string()
        } else {
            printable(&c.to_string(), 1)
        }
    };
    let text: String = text.chars().take(LONGEST_WORDS).collect();
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| word.chars().map(visible).collect())
        .collect();
    words.join(" ")
}

/// Whether the terminal knows characters beyond ASCII, as far as the environment tells.
pub(crate) fn is_unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(env::var_os)
        .find(|value| !value.is_empty());
    set.is_some_and(|locale| {
        locale
            .to_string_lossy()
            .to_ascii_lowercase()
            .replace('-', "")
            .contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_as_is_called_keeps_its_letters_where_they_are_only_letters() {
        assert_eq!(
            words("Universit\u{e4}t \n K\u{f6}ln", true),
            "Universit\u{e4}t K\u{f6}ln"
        );
        assert_eq!(
            words("K\u{f6}ln\u{202e}\u{9b}2J", true),
            "K\u{f6}ln\\u{202e}\\u{9b}2J"
        );
        assert_eq!(words("K\u{f6}ln", false), r"K\u{f6}ln");
        for c in (0..=0x10_ffff)
            .filter_map(char::from_u32)
            .filter(|c| !c.is_ascii())
        {
            let visible = words(&c.to_string(), true);
            assert!(
                visible.is_ascii() || (visible.chars().eq([c]) && c.is_alphabetic()),
                "{c:?}"
            );
        }
    }
}
