//! Colour, on a terminal: the fastest answer of a host by how much later it came than that of the
//! hop before, all others faint.

use std::time::Duration;

/// How something is shown; without colour all look the same. The first eight colours are what every
/// terminal has, in shades that its owner can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Faint,
    Strong,
    Green,
    Yellow,
    Red,
}

impl Style {
    /// The text, in this style if there are colours.
    pub(super) fn paint(self, text: &str, colours: bool) -> String {
        let code = match self {
            Self::Plain => "",
            Self::Faint => "2",
            Self::Strong => "1",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
        };
        match colours && !code.is_empty() && !text.trim().is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// From the fastest answer of one hop to those of the next.
pub(super) struct Jump(Duration);

impl From<Duration> for Jump {
    fn from(before: Duration) -> Self {
        Self(before)
    }
}

impl Jump {
    /// To another country, roughly: 2,500 km of fibre, there and back.
    const FAR: Duration = Duration::from_millis(25);
    /// To another continent, or where something is amiss.
    const DISTANT: Duration = Duration::from_millis(100);

    pub(super) fn style(&self, rtt: Duration) -> Style {
        match rtt.saturating_sub(self.0) {
            more if more >= Self::DISTANT => Style::Red,
            more if more >= Self::FAR => Style::Yellow,
            _ => Style::Green,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_tells_how_much_later_than_the_hop_before_an_answer_came() {
        let before = Jump::from(Duration::from_millis(200));
        let style = |rtt| before.style(Duration::from_millis(rtt));
        assert_eq!([style(10), style(224)], [Style::Green; 2]);
        assert_eq!([style(225), style(299)], [Style::Yellow; 2]);
        assert_eq!([style(300), style(2000)], [Style::Red; 2]);
    }

    #[test]
    fn without_colours_nothing_is_added() {
        assert_eq!(Style::Green.paint("1.000 ms", false), "1.000 ms");
        assert_eq!(
            Style::Green.paint("1.000 ms", true),
            "\x1b[32m1.000 ms\x1b[0m"
        );
        assert_eq!(Style::Plain.paint("1.000 ms", true), "1.000 ms");
    }
}
