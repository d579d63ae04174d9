//! A picture of the main table: a panel for each path, a bar for each tool. It has colours for
//! light and for dark pages.

use core::fmt::Write;

/// A path.
pub(super) struct Panel {
    /// Its name.
    pub(super) title: &'static str,
    /// What is special about it.
    pub(super) about: &'static str,
    /// The same tools in the same order in each panel.
    pub(super) bars: Vec<Bar>,
}

/// A tool.
pub(super) struct Bar {
    /// Its name.
    pub(super) label: String,
    /// Whether it is hopshot.
    pub(super) ours: bool,
    /// The time over the limit, if it was measured.
    pub(super) ratio: Option<f64>,
    /// Whether the route was right.
    pub(super) right: bool,
}

const MARGIN: f64 = 2.0;
const LABELS: f64 = 230.0;
const PANEL: f64 = 158.0;
const GAP: f64 = 20.0;
const TOP: f64 = 78.0;
const ROW: f64 = 24.0;
const BAR: f64 = 15.0;
/// What is written behind the longest bar.
const VALUE: f64 = 44.0;
const BOTTOM: f64 = 58.0;
/// What a bar of no length stands for: the limit itself. Half of it is left as a stub, so that a
/// 1.0 can be seen.
const STUB: f64 = 6.0;

const STYLE: &str = "\
text{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#24292f}\
.title{font-size:15px;font-weight:600}.head{font-weight:600}.soft{fill:#59636e}.num{font-variant-numeric:tabular-nums;paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}\
.ours{fill:#0a7d4b}.peer{fill:#8c959f}.ours-text{fill:#0a7d4b;font-weight:600}\
.off{fill:none;stroke:#8c959f;stroke-width:1.2;stroke-dasharray:3 2}.off.ours{stroke:#0a7d4b}.grid{stroke:#d1d9e0;stroke-width:1}\
@media(prefers-color-scheme:dark){.num{stroke:#0d1117}text{fill:#e6edf3}.soft{fill:#9198a1}.ours{fill:#3fb97f}.peer{fill:#6e7681}\
.ours-text{fill:#3fb97f}.off{fill:none;stroke:#6e7681}.off.ours{stroke:#3fb97f}.grid{stroke:#3d444d}}";

/// The picture.
pub(super) fn draw(panels: &[Panel]) -> String {
    let rows = panels
        .iter()
        .map(|panel| panel.bars.len())
        .max()
        .unwrap_or(0);
    let width = LABELS + panels.len() as f64 * (PANEL + GAP);
    let height = TOP + rows as f64 * ROW + BOTTOM;
    let greatest = panels
        .iter()
        .flat_map(|panel| &panel.bars)
        .filter_map(|bar| bar.ratio)
        .fold(2.0, f64::max);
    let scale = Scale {
        decades: greatest.log10(),
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\" aria-label=\"Time of a whole trace over the RTT of the slowest answer\">\n\
         <style>{STYLE}</style>\n"
    );
    text(
        &mut svg,
        MARGIN,
        18.0,
        "title",
        "Time of a whole trace, in round trips",
    );
    text(
        &mut svg,
        MARGIN,
        36.0,
        "soft",
        "1 is the RTT of the slowest answer on the path, and the limit. Shorter is better; logarithmic.",
    );
    if let Some(first) = panels.first() {
        for (row, bar) in first.bars.iter().enumerate() {
            text(
                &mut svg,
                MARGIN,
                baseline(row),
                if bar.ours { "ours-text" } else { "" },
                &bar.label,
            );
        }
    }
    for (index, panel) in panels.iter().enumerate() {
        let left = LABELS + index as f64 * (PANEL + GAP);
        draw_panel(&mut svg, left, panel, scale, rows);
    }
    if panels
        .iter()
        .flat_map(|panel| &panel.bars)
        .any(|bar| !bar.right)
    {
        text(
            &mut svg,
            MARGIN,
            height - 10.0,
            "soft",
            "Dashed: the route was not right (hops missing or wrong).",
        );
    }
    svg + "</svg>\n"
}

/// A logarithmic scale that starts at 1.
#[derive(Clone, Copy)]
struct Scale {
    decades: f64,
}

impl Scale {
    fn length(self, ratio: f64) -> f64 {
        let share = ratio.max(1.0).log10() / self.decades;
        STUB + share * (PANEL - VALUE - STUB)
    }
}

fn draw_panel(svg: &mut String, left: f64, panel: &Panel, scale: Scale, rows: usize) {
    text(svg, left, TOP - 22.0, "head", panel.title);
    text(svg, left, TOP - 7.0, "soft", panel.about);
    let bottom = TOP + rows as f64 * ROW;
    for (tick, label) in [(1.0, "1"), (10.0, "10"), (100.0, "100")] {
        if tick <= 10_f64.powf(scale.decades) {
            let x = left + scale.length(tick);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>"
            );
            let _ = writeln!(
                svg,
                "<text class=\"soft num\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>",
                bottom + 16.0
            );
        }
    }
    for (row, bar) in panel.bars.iter().enumerate() {
        let Some(ratio) = bar.ratio else {
            text(svg, left, baseline(row), "soft", "–");
            continue;
        };
        let class = match (bar.ours, bar.right) {
            (true, true) => "ours",
            (false, true) => "peer",
            (true, false) => "off ours",
            (false, false) => "off",
        };
        let (y, length) = (
            TOP + row as f64 * ROW + (ROW - BAR) / 2.0,
            scale.length(ratio),
        );
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>"
        );
        let decimals = if ratio < 10.0 { 2 } else { 0 };
        let class = if bar.ours { "num ours-text" } else { "num" };
        text(
            svg,
            left + length + 5.0,
            baseline(row),
            class,
            &format!("{ratio:.decimals$}"),
        );
    }
}

fn baseline(row: usize) -> f64 {
    TOP + row as f64 * ROW + ROW / 2.0 + 4.0
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{content}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_number() {
        let scale = Scale { decades: 2.0 };
        assert_eq!(scale.length(1.0), STUB);
        assert_eq!(scale.length(100.0), PANEL - VALUE);
        assert!((scale.length(10.0) - (STUB + PANEL - VALUE) / 2.0).abs() < 1e-9);
    }

    #[test]
    fn every_tool_is_in_every_panel() {
        let bar = |label: &str, ratio| Bar {
            label: label.to_owned(),
            ours: false,
            ratio,
            right: true,
        };
        let panel = |title| Panel {
            title,
            about: "x < y",
            bars: vec![bar("a", Some(1.5)), bar("b", None)],
        };
        let svg = draw(&[panel("one"), panel("two")]);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<rect").count(), 2);
        assert_eq!(svg.matches(">1.50<").count(), 2);
        assert!(svg.contains("x &lt; y"));
    }
}
