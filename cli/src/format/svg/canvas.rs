//! The elements of a picture as SVG has them.

use std::fmt::Write as _;

/// A picture that is being drawn.
pub(super) struct Canvas {
    svg: String,
}

impl Canvas {
    /// An empty page.
    pub(super) fn new(width: f64, height: f64, title: &str, style: &str) -> Self {
        let title = escaped(title);
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n<style>{style}</style>\n\
             <rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"10\"/>\n",
            width - 1.0,
            height - 1.0
        );
        Self { svg }
    }

    pub(super) fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        if !text.is_empty() {
            self.add(format_args!(
                "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
                escaped(text)
            ));
        }
    }

    pub(super) fn line(&mut self, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
        self.add(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    /// A line downwards that leaves and arrives upright.
    pub(super) fn curve(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let middle = f64::midpoint(y1, y2);
        self.add(format_args!(
            "<path class=\"{class}\" d=\"M{x1:.1} {y1:.1}C{x1:.1} {middle:.1} {x2:.1} {middle:.1} {x2:.1} {y2:.1}\"/>"
        ));
    }

    pub(super) fn circle(&mut self, class: &str, x: f64, y: f64, radius: f64) {
        self.add(format_args!(
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>"
        ));
    }

    /// A number with a border round it.
    pub(super) fn pill(&mut self, class: &str, x: f64, y: f64, number: &str) {
        let width = (width(number) * 0.85 + 10.0).max(24.0);
        let left = x - width / 2.0;
        let top = y - 12.0;
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"24\" rx=\"12\"/>"
        ));
        self.text("number", x, y + 4.0, number);
    }

    pub(super) fn bar(&mut self, class: &str, from: f64, y: f64, to: f64) {
        let (top, width) = (y - 4.0, to - from);
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"8\" rx=\"4\"/>"
        ));
    }

    /// Opens a group of elements with a look of its own.
    pub(super) fn open(&mut self, class: &str) {
        self.add(format_args!("<g class=\"{class}\">"));
    }

    /// Adds the text that is shown where the mouse stays.
    pub(super) fn tip(&mut self, text: &str) {
        self.add(format_args!("<title>{}</title>", escaped(text)));
    }

    pub(super) fn close(&mut self) {
        self.add(format_args!("</g>"));
    }

    pub(super) fn finish(self) -> String {
        self.svg + "</svg>\n"
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.svg, "{element}");
    }
}

/// About how wide a text of 13 pixels is, with whatever font there is.
pub(super) fn width(text: &str) -> f64 {
    let of = |c| match c {
        'i' | 'j' | 'l' | 'f' | 't' | 'r' | '.' | ':' | '-' | '(' | ')' | ' ' => 4.9,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 11.5,
        'A'..='Z' => 9.0,
        _ => 7.6,
    };
    text.chars().map(of).sum()
}

/// A text that is cut where it would be wider.
pub(super) fn shortened(text: &str, room: f64) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        if width(&short) + width(&c.to_string()) + 12.0 > room {
            break;
        }
        short.push(c);
    }
    short + "…"
}

/// A text that is no markup. XML has no control characters, not even escaped.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_no_markup() {
        assert_eq!(escaped("a<b>&\"c\u{1}"), "a&lt;b&gt;&amp;&quot;c\u{fffd}");
    }

    #[test]
    fn a_text_is_cut_to_its_room() {
        assert_eq!(shortened("core.example", 320.0), "core.example");
        let short = shortened(&"c".repeat(200), 320.0);
        assert!(
            width(&short) <= 320.0 && short.ends_with('…') && short.chars().count() > 35,
            "{short}"
        );
    }
}
