//! Text that a stranger chose.

/// Makes text from the network harmless to a terminal, a log and whoever reads them: what isn't a
/// visible ASCII character (also spaces, control and bidirectional ones) is written as `\u{..}`. At
/// most `longest` characters are taken.
#[must_use]
pub fn printable(text: &str, longest: usize) -> String {
    let mut visible = String::new();
    for c in text.chars().take(longest) {
        match c.is_ascii_graphic() {
            true => visible.push(c),
            false => visible.extend(c.escape_unicode()),
        }
    }
    visible
}

/// Returns whether a terminal doesn't show a character but obeys it: control characters, and those
/// that turn or break a line.
#[must_use]
pub fn is_obeyed(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control() || matches!(c, '\u{2028}'..='\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_neither_move_the_cursor_nor_turn_the_line_nor_go_on_for_ever() {
        assert_eq!(printable("edge-1.example", 253), "edge-1.example");
        assert_eq!(
            printable("a\x1b[2Jb c\n\u{202e}\u{9b}\r\u{7f}", 253),
            r"a\u{1b}[2Jb\u{20}c\u{a}\u{202e}\u{9b}\u{d}\u{7f}"
        );
        assert_eq!(printable(&"a".repeat(9000), 253).len(), 253);
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let visible = printable(&c.to_string(), 1);
            assert!(visible.chars().all(|c| c.is_ascii_graphic()), "{c:?}");
        }
    }
}
