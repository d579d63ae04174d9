//! What the view looks like: a line of its own for each hop, the last changes and outages, and the
//! keys.

use super::history::{History, Hop, Mark};
use super::keys::KEYS;
use super::layout::{Column, Layout};
use crate::inside::Inside;
use crate::names::Names;
use crate::reading::PortState;
use crate::text::Host;
use crate::units::port;
use hopshot_linux::ProbeProtocol;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};
use std::net::IpAddr;
use std::time::Duration;

/// Changes and outages that are shown at a time.
const INCIDENTS: usize = 3;
/// Between the levels of what is drawn for RTTs there is at least so much: what is less is no
/// difference.
const LEVEL: Duration = Duration::from_micros(200);

/// Everything that is shown.
pub(crate) struct View<'a> {
    pub(crate) host: &'a str,
    pub(crate) target: IpAddr,
    pub(crate) protocol: ProbeProtocol,
    pub(crate) history: &'a History,
    pub(crate) names: &'a Names,
    pub(crate) every: Duration,
    pub(crate) look: Look,
}

/// How it is shown, which the keys change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) is_paused: bool,
    pub(crate) is_named: bool,
    pub(crate) is_help: bool,
    /// Lines that are scrolled out at the top.
    pub(crate) scrolled: usize,
    pub(crate) colours: bool,
    pub(crate) unicode: bool,
}

impl View<'_> {
    /// Draws it all. Returns how many lines are in fact scrolled out.
    pub(crate) fn draw(&self, frame: &mut Frame<'_>) -> usize {
        let area = frame.area();
        let incidents = self.incidents();
        let below = if usize::from(area.height) >= 8 + incidents.len() {
            incidents.len()
        } else {
            0
        };
        let below = u16::try_from(below).unwrap_or(0);
        let parts = [
            Constraint::Length(2),
            Constraint::Fill(1),
            Constraint::Length(below),
            Constraint::Length(1),
        ];
        let [head, hops, changed, foot] = area.layout(&ratatui::layout::Layout::vertical(parts));
        let widest = self
            .history
            .hops
            .values()
            .flat_map(|hop| &hop.addresses)
            .map(|seen| self.label(seen.address).width());
        let layout = Layout::new(area.width.into(), widest.max().unwrap_or(0));
        let lines = self.lines(&layout);
        let hidden = lines.len().saturating_sub(hops.height.into());
        let scrolled = self.look.scrolled.min(hidden);
        let header = Line::styled(layout.header(), Modifier::REVERSED);
        frame.render_widget(
            Paragraph::new(vec![self.title(head.width.into()), header]),
            head,
        );
        frame.render_widget(
            Paragraph::new(lines.into_iter().skip(scrolled).collect::<Vec<_>>()),
            hops,
        );
        frame.render_widget(Paragraph::new(incidents), changed);
        frame.render_widget(Paragraph::new(self.foot(hidden > 0)), foot);
        if self.look.is_help {
            self.help(frame, area);
        }
        scrolled
    }

    fn title(&self, width: usize) -> Line<'_> {
        let rounds = match self.look.is_paused {
            true => format!("round {}, paused", self.history.rounds),
            false if width < 60 => format!("round {}", self.history.rounds),
            false => format!(
                "round {}, every {} s",
                self.history.rounds,
                self.every.as_secs_f64()
            ),
        };
        let short = format!("hopshot {}", self.host);
        // What is wrong may be long; the report has it whole.
        let most = width.saturating_sub(short.chars().count().min(width / 2) + 1);
        let right = match self.history.trouble.as_deref() {
            None => rounds,
            Some(trouble) if trouble.chars().count() <= most => trouble.to_owned(),
            Some(trouble) => trouble
                .chars()
                .take(most.saturating_sub(1))
                .chain([self.ellipsis()])
                .collect(),
        };
        let room = width.saturating_sub(right.chars().count() + 1);
        let (left, state) = self.left(&short, room);
        let left: String = left.chars().take(room).collect();
        let gap = room + 1 - left.chars().count() - state.chars().count();
        let stands_out = self.look.is_paused || self.history.trouble.is_some();
        let style = if stands_out {
            self.style(Color::Yellow).add_modifier(Modifier::BOLD)
        } else {
            Style::new()
        };
        Line::from(vec![
            Span::styled(left, Modifier::BOLD),
            Span::styled(state, self.state_style().add_modifier(Modifier::BOLD)),
            Span::styled(" ".repeat(gap), Modifier::BOLD),
            Span::styled(right, style),
        ])
    }

    /// The longest of the texts for the beginning of the first line that there is room for, and the
    /// state of the port behind it. The state is what the user asks for, so it is left out last.
    fn left(&self, short: &str, room: usize) -> (String, String) {
        let state = self.history.port.map(|state| format!(" {state}"));
        let state = state.unwrap_or_default();
        let is_address = self.host.parse::<IpAddr>().is_ok();
        let named = (!is_address).then(|| format!("{short} ({})", self.target));
        let with_port = |text: &str| Some(format!("{text}, {}", port(self.protocol)?));
        let texts = [
            named.as_deref().and_then(with_port),
            with_port(short),
            named.clone().filter(|_| state.is_empty()),
            Some(short.to_owned()),
        ];
        let fits = |text: &String| text.chars().count() + state.chars().count() <= room;
        match texts.into_iter().flatten().find(fits) {
            Some(text) => (text, state),
            None => (short.to_owned(), String::new()),
        }
    }

    fn state_style(&self) -> Style {
        self.style(match self.history.port {
            None => Color::Reset,
            Some(PortState::Open) => Color::Green,
            Some(PortState::Closed) => Color::Red,
            Some(PortState::Filtered | PortState::Proxied) => Color::Yellow,
        })
    }

    fn lines(&self, layout: &Layout) -> Vec<Line<'_>> {
        if self.history.rounds == 0 {
            let what = if self.look.is_paused {
                "nothing is counted yet"
            } else {
                "the first round is on its way"
            };
            return vec![Line::styled(format!("    {what}"), Modifier::DIM)];
        }
        let hops = self
            .history
            .hops
            .iter()
            .flat_map(|(number, hop)| self.hop(*number, hop, layout));
        let silence = self.history.silence();
        let silent =
            silence.map(|what| Line::styled(format!("    {what}"), self.style(Color::Red)));
        hops.chain(silent).collect()
    }

    /// The line of a hop, and one for each other address that answers or answered there.
    fn hop(&self, number: u8, hop: &Hop, layout: &Layout) -> Vec<Line<'_>> {
        let is_gone = hop.mark == Some(Mark::Gone);
        let row = match (is_gone, self.history.distance == Some(number)) {
            (true, _) => Style::new().add_modifier(Modifier::DIM),
            (_, true) => Style::new().add_modifier(Modifier::BOLD),
            _ => Style::new(),
        };
        let colour = match hop.mark {
            None => Color::Reset,
            Some(Mark::Changed) => Color::Yellow,
            Some(Mark::Up) => Color::Green,
            Some(Mark::Gone) => Color::Red,
        };
        let sign = hop.mark.map_or(' ', Mark::sign);
        let host = hop.addresses.first().map_or("*".to_owned(), |seen| {
            self.label(seen.address).fit(layout.host, self.ellipsis())
        });
        let mut spans = vec![
            Span::styled(
                sign.to_string(),
                self.style(colour).add_modifier(Modifier::BOLD),
            ),
            Span::styled(
                format!("{number:>2} {host:host_width$}", host_width = layout.host),
                row,
            ),
        ];
        spans.extend(layout.columns.iter().map(|column| {
            let style = if *column == Column::Loss {
                row.patch(self.style(loss_colour(hop)))
            } else {
                row
            };
            Span::styled(column.of(hop), style)
        }));
        if layout.graph > 0 {
            spans.push(Span::raw(" "));
            spans.extend(self.graph(hop, layout.graph - 1));
        }
        let others = hop.others().map(|(said, seen, until)| {
            let room = usize::from(layout.width).saturating_sub(5 + said.len() + until.len());
            let host = self.label(seen.address).fit(room, self.ellipsis());
            Line::styled(format!("    {said} {host}{until}"), Modifier::DIM)
        });
        let inside = hop
            .addresses
            .iter()
            .filter_map(|seen| Inside::of(seen.address));
        let inside = inside.map(|inside| Line::styled(format!("    {inside}"), Modifier::DIM));
        [Line::from(spans)]
            .into_iter()
            .chain(others)
            .chain(inside)
            .collect()
    }

    /// The last RTTs, each as high as it is among them.
    fn graph(&self, hop: &Hop, width: usize) -> Vec<Span<'static>> {
        let shown = hop.rtts.len().saturating_sub(width);
        let shown = hop.rtts.iter().skip(shown);
        let levels: &[char] = if self.look.unicode {
            &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
        } else {
            &['_', '.', '-', '=', '#']
        };
        let (least, most) = (shown.clone().flatten().min(), shown.clone().flatten().max());
        let (Some(least), Some(most)) = (least, most) else {
            return vec![Span::styled(
                "x".repeat(shown.count()),
                self.style(Color::Red),
            )];
        };
        let span = (*most - *least).max(LEVEL * 8).max(*least / 4);
        let bar = |rtt: &Duration| {
            let part = (*rtt - *least).as_secs_f64() / span.as_secs_f64();
            // Saturates; the place is in the list whatever the part is.
            levels[((part * levels.len() as f64) as usize).min(levels.len() - 1)]
        };
        shown
            .map(|rtt| match rtt {
                Some(rtt) => Span::raw(bar(rtt).to_string()),
                None => Span::styled("x", self.style(Color::Red)),
            })
            .collect()
    }

    /// The lines of the last changes and outages.
    fn incidents(&self) -> Vec<Line<'static>> {
        let incidents = self.history.incidents();
        let recent = incidents
            .iter()
            .skip(incidents.len().saturating_sub(INCIDENTS));
        recent
            .map(|incident| Line::styled(format!(" {incident}"), self.style(Color::Yellow)))
            .collect()
    }

    fn foot(&self, more: bool) -> Line<'static> {
        let keys = if self.look.is_paused {
            "p resume"
        } else {
            "p pause"
        };
        let scroll = if more { "  up/down scroll" } else { "" };
        Line::styled(
            format!(" q quit  h help{scroll}  {keys}  r reset  n names"),
            Modifier::DIM,
        )
    }

    fn help(&self, frame: &mut Frame<'_>, area: Rect) {
        let entry = |(key, text): &(&str, &str)| Line::raw(format!(" {key:<16} {text} "));
        let marks = [
            ("~", "another address answers than before"),
            ("+", "was silent, or not there"),
            ("-", "answered before, and doesn't any more"),
            ("Loss", "of all probes here"),
            ("Jit", "mean difference from RTT to RTT"),
            ("x", "in the graph: lost"),
            ("[open]", "by TCP or UDP: the target's port, as last said"),
        ];
        let lines: Vec<Line<'_>> = KEYS
            .iter()
            .map(entry)
            .chain([Line::default()])
            .chain(marks.iter().map(entry))
            .collect();
        let width = lines.iter().map(Line::width).max().unwrap_or(0);
        let size =
            |length: usize, most: u16| u16::try_from(length + 2).unwrap_or(u16::MAX).min(most);
        let (width, height) = (size(width, area.width), size(lines.len(), area.height));
        let place = Rect {
            x: (area.width - width) / 2,
            y: (area.height - height) / 2,
            width,
            height,
        };
        frame.render_widget(Clear, place);
        frame.render_widget(
            Paragraph::new(lines).block(Block::bordered().title(" hopshot --watch ")),
            place,
        );
    }

    fn label(&self, address: IpAddr) -> Host {
        let host = Host::new(address, self.names);
        if self.look.is_named {
            host
        } else {
            host.nameless()
        }
    }

    const fn ellipsis(&self) -> char {
        if self.look.unicode { '…' } else { '~' }
    }

    /// A colour of the first eight, which are readable on light and on dark; none if none are
    /// wanted.
    fn style(&self, colour: Color) -> Style {
        if self.look.colours && colour != Color::Reset {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }
}

fn loss_colour(hop: &Hop) -> Color {
    match hop.loss() {
        0.0 => Color::Reset,
        loss if loss < 20.0 => Color::Yellow,
        _ => Color::Red,
    }
}

#[cfg(test)]
mod tests;
