//! Text that strangers or files chose, made harmless to a terminal.

pub(crate) use hopshot_linux::is_obeyed;

/// The text with what a terminal would obey, or nobody would see, as `\u{..}`: what hosts and files
/// are called in any language stays readable.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::new();
    for c in text.chars() {
        match is_obeyed(c) || is_hidden(c) {
            true => visible.extend(c.escape_unicode()),
            false => visible.push(c),
        }
    }
    visible
}

/// Whether nothing stands where this character is, or a blank that is none: what was pasted with it
/// looks right and isn't.
fn is_hidden(c: char) -> bool {
    let fills = matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{2800}'
            | '\u{3164}'
    );
    let formats = matches!(c, '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let others = matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}');
    let planes = matches!(c, '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    fills || formats || others || planes || c != ' ' && c.is_whitespace()
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
        assert_eq!(
            visible("\u{feff}203.0.113.9\u{200b}\u{ad}\u{a0}"),
            r"\u{feff}203.0.113.9\u{200b}\u{ad}\u{a0}"
        );
        for c in [
            '\u{200b}',
            '\u{feff}',
            '\u{2060}',
            '\u{ad}',
            '\u{200d}',
            '\u{3000}',
            '\u{e0041}',
            '\u{2800}',
        ] {
            assert!(visible(&c.to_string()).is_ascii(), "{c:?}");
        }
        assert_eq!(
            visible("a\u{202e}b\u{2066}\x1b[2J\u{9b}\n"),
            r"a\u{202e}b\u{2066}\u{1b}[2J\u{9b}\u{a}"
        );
    }
}
