//! Text that strangers or files chose, made harmless to a terminal.

/// The text with what a terminal would obey as `\u{..}`: what hosts and files are called in any language stays readable.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::new();
    for c in text.chars() {
        match is_obeyed(c) {
            true => visible.extend(c.escape_unicode()),
            false => visible.push(c),
        }
    }
    visible
}

/// Whether a terminal doesn't show a character but obeys it: control characters, and those that turn or break a line.
pub(crate) fn is_obeyed(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control() || matches!(c, '\u{2028}'..='\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_can_neither_move_the_cursor_nor_turn_the_line() {
        assert_eq!(
            visible("can't find 'm\u{fc}nchen.example': \"no\" \\"),
            "can't find 'm\u{fc}nchen.example': \"no\" \\"
        );
        assert_eq!(visible("a\u{202e}b\u{2066}\x1b[2J\u{9b}\n"), r"a\u{202e}b\u{2066}\u{1b}[2J\u{9b}\u{a}");
    }
}
