//! A picture of the path: a row for each address, its place on the path at the left, its times on
//! an axis at the right. It is one file with nothing to load or to run, and has colours for light
//! and for dark surroundings.

mod canvas;

use super::results::Format;
use super::stages::{Place, Stage, stages};
use crate::console::print;
use crate::names::Names;
use crate::reading::{PortState, ending};
use crate::units::{A_FLOW_EACH, date, port_with_state};
use canvas::{Canvas, shortened, width};
use hopshot_linux::document::milliseconds;
use hopshot_linux::{Route, Summary};
use std::io;

const STYLE: &str = "\
.page{fill:#fff;stroke:#d1d9e0}text{font:13px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}\
.title{font-size:18px;font-weight:600}.name{font-weight:500}.soft{fill:#59636e;font-size:11.5px}.faint{fill:#818b98}\
.number{font-size:11.5px;font-weight:600;text-anchor:middle}.value{text-anchor:end;font-variant-numeric:tabular-nums}\
.tick{text-anchor:middle}.grid{stroke:#eaeef2}.way{fill:none;stroke:#afb8c1;stroke-width:2}.unknown{stroke-dasharray:2 4}\
.hop{fill:#fff;stroke:#59636e;stroke-width:1.6}.silent{stroke:#afb8c1;stroke-dasharray:3 2.5}\
.bar{fill:#c8e5fb}.dot{fill:#0969da}.target .hop{fill:#1a7f37;stroke:#1a7f37}.target .number{fill:#fff}\
.target .bar{fill:#c4efcf}.target .dot{fill:#1a7f37}.stop .hop{fill:#cf222e;stroke:#cf222e}.stop .number{fill:#fff}\
.stop .bar{fill:#ffd8d3}.stop .dot,.stop .note{fill:#cf222e}.note{font-size:11.5px;fill:#9a6700}\
@media(prefers-color-scheme:dark){.page{fill:#0d1117;stroke:#3d444d}text{fill:#e6edf3}.soft{fill:#9198a1}.faint{fill:#767f89}\
.grid{stroke:#232a33}.way{stroke:#57606a}.hop{fill:#0d1117;stroke:#9198a1}.silent{stroke:#57606a}.bar{fill:#12304f}\
.dot{fill:#58a6ff}.target .bar{fill:#12361f}.target .hop{fill:#3fb950;stroke:#3fb950}.target .dot{fill:#3fb950}\
.target .number,.stop .number{fill:#0d1117}.stop .bar{fill:#4b1a1d}.stop .hop{fill:#f85149;stroke:#f85149}\
.stop .dot,.stop .note{fill:#f85149}.note{fill:#d29922}}";

const MARGIN: f64 = 24.0;
/// The middle of the path.
const WAY: f64 = 46.0;
/// Between addresses side by side.
const BRANCH: f64 = 24.0;
const TOP: f64 = 104.0;
const AXIS: f64 = 360.0;
const VALUE: f64 = 92.0;
const NOTE: f64 = 84.0;
/// The widest column of names: what is longer is cut.
const LABEL: f64 = 320.0;
/// The size of small letters, of 1.
const SMALL: f64 = 0.9;
/// The height of a row with a name, and of one without.
const NAMED: f64 = 40.0;
const BARE: f64 = 28.0;
/// A shortest axis in milliseconds, so that there is one.
const LEAST: f64 = 0.1;

/// Between the parts of the second line.
const BETWEEN: &str = "  ·  ";

pub(super) struct Svg;

impl Format for Svg {
    fn finish(&mut self, route: &Route, names: &Names) -> io::Result<()> {
        let stages = stages(route, names);
        let summary = match (
            route.distance(),
            stages
                .iter()
                .flat_map(|stage| &stage.places)
                .find(|place| place.is_target),
        ) {
            (Some(distance), Some(target)) => {
                let hops = if distance == 1 { "hop" } else { "hops" };
                format!("{distance} {hops}, {:.3} ms", target.median())
            }
            _ => ending(route, route.stop_reason()).unwrap_or_default(),
        };
        let Summary {
            host,
            target,
            started,
            protocol,
            ..
        } = route.summary();
        let target = target.to_string();
        let at = date(*started);
        // Why there is no answer names the target too.
        let is_named = *host == target || !route.reached();
        let summary = if is_named {
            summary
        } else {
            [target, summary].join(BETWEEN)
        };
        let port = port_with_state(*protocol, PortState::of_route(route));
        let flow = match (route.flow(), &port) {
            (None, _) => A_FLOW_EACH.to_owned(),
            (Some(flow), None) => format!("flow {flow}"),
            (Some(flow), Some(_)) => format!("source port {flow}"),
        };
        let told: Vec<String> = port.into_iter().chain([flow, at]).collect();
        let told = told.join(BETWEEN);
        print(draw(&format!("Path to {host}"), &summary, &told, &stages).as_bytes())
    }
}

/// The places of rows, columns and times in a picture.
struct Layout {
    /// The place where names begin, and their greatest width.
    label: f64,
    label_width: f64,
    /// Room behind the times for what there is to say of a row.
    note: f64,
    row: f64,
    /// The longest time.
    worst: f64,
}

impl Layout {
    fn new(stages: &[Stage]) -> Self {
        let places = || stages.iter().flat_map(|stage| &stage.places);
        let texts = places().map(label);
        let widths = texts
            .map(|(first, second)| width(&first).max(width(&second.unwrap_or_default()) * SMALL));
        let label_width = widths.fold(150.0, f64::max).min(LABEL);
        let notes = stages
            .iter()
            .any(|stage| stage.lost > 0 && !stage.places.is_empty())
            || places().any(|place| !place.mark.is_empty());
        let branches = stages
            .iter()
            .map(|stage| stage.places.len())
            .max()
            .unwrap_or(1)
            .max(1)
            - 1;
        Self {
            label: WAY + 34.0 + branches as f64 * BRANCH,
            label_width,
            note: if notes { NOTE } else { 0.0 },
            row: if places().any(|place| label(place).1.is_some()) {
                NAMED
            } else {
                BARE
            },
            worst: places().map(Place::worst).fold(LEAST, f64::max),
        }
    }

    fn axis(&self) -> f64 {
        self.label + self.label_width + 24.0
    }

    fn at(&self, milliseconds: f64) -> f64 {
        self.axis() + milliseconds / self.worst * AXIS
    }

    fn width(&self) -> f64 {
        self.axis() + AXIS + VALUE + self.note + MARGIN
    }

    /// The middle of a row.
    fn middle(&self, row: usize) -> f64 {
        TOP + (row as f64 + 0.5) * self.row
    }
}

/// The picture. In its second line the summary is cut, if anything is.
fn draw(title: &str, summary: &str, told: &str, stages: &[Stage]) -> String {
    let layout = Layout::new(stages);
    let rows: usize = stages.iter().map(|stage| stage.places.len().max(1)).sum();
    let (width, bottom) = (layout.width(), TOP + rows as f64 * layout.row);
    let mut canvas = Canvas::new(width, bottom + MARGIN, title, STYLE);
    let room = width - 2.0 * MARGIN;
    canvas.text("title", MARGIN, 40.0, &shortened(title, room * 13.0 / 18.0));
    let told = format!("{BETWEEN}{told}");
    let summary = shortened(summary, room / SMALL - canvas::width(&told));
    canvas.text("soft", MARGIN, 62.0, &(summary + &told));
    if stages.iter().any(|stage| !stage.places.is_empty()) {
        grid(&mut canvas, &layout, bottom);
    }
    ways(&mut canvas, &layout, stages);
    let mut row = 0;
    for stage in stages {
        match stage.places.is_empty() {
            true => silent(&mut canvas, &layout, stage, row),
            false => stage.places.iter().enumerate().for_each(|(branch, place)| {
                answered(&mut canvas, &layout, stage, (branch, place), row + branch);
            }),
        }
        row += stage.places.len().max(1);
    }
    canvas.finish()
}

/// The name or else the address of a place, and a second line if there is more to say.
fn label(place: &Place) -> (String, Option<String>) {
    let address = place.address.to_string();
    match (&place.name, &place.origin) {
        (Some(name), Some(origin)) => (name.clone(), Some(format!("{address}  ·  {origin}"))),
        (Some(name), None) => (name.clone(), Some(address)),
        (None, origin) => (address, origin.clone()),
    }
}

fn grid(canvas: &mut Canvas, layout: &Layout, bottom: f64) {
    let step = step(layout.worst);
    let ticks = (layout.worst / step).floor() as usize;
    for tick in 0..=ticks {
        let time = tick as f64 * step;
        let x = layout.at(time);
        canvas.line("grid", x, TOP - 6.0, x, bottom);
        // The unit stands at the last.
        let unit = if tick == ticks { " ms" } else { "" };
        canvas.text(
            "soft tick",
            x,
            TOP - 13.0,
            &format!("{}{unit}", (time * 1000.0).round() / 1000.0),
        );
    }
}

/// A round step that divides a span into 3 to 8 parts.
fn step(span: f64) -> f64 {
    // By trial, which needs no logarithm: nothing else here does, and to load the library of those
    // delays every trace.
    let mut steps =
        (-6..9).flat_map(|power| [1.0, 2.0, 5.0].map(|times| times * 10_f64.powi(power)));
    steps.find(|step| span / step <= 6.0).unwrap_or(span)
}

/// The lines between a hop and the next.
fn ways(canvas: &mut Canvas, layout: &Layout, stages: &[Stage]) {
    let mut row = 0;
    let mut before: Vec<(f64, f64)> = Vec::new();
    let mut was_silent = false;
    for stage in stages {
        let count = stage.places.len().max(1);
        let here: Vec<(f64, f64)> = (0..count)
            .map(|branch| (WAY + branch as f64 * BRANCH, layout.middle(row + branch)))
            .collect();
        let is_silent = stage.places.is_empty() || stage.is_unproven();
        for (from, to) in before
            .iter()
            .flat_map(|from| here.iter().map(move |to| (*from, *to)))
        {
            canvas.curve(
                if was_silent || is_silent {
                    "way unknown"
                } else {
                    "way"
                },
                from,
                to,
            );
        }
        (before, was_silent) = (here, is_silent);
        row += count;
    }
}

/// A hop, or several, without an answer.
fn silent(canvas: &mut Canvas, layout: &Layout, stage: &Stage, row: usize) {
    let y = layout.middle(row);
    canvas.pill("hop silent", WAY, y, &stage.number().replace('-', "–"));
    let said = stage
        .instead
        .clone()
        .unwrap_or_else(|| "no answer".to_owned());
    canvas.text(
        "faint",
        layout.label,
        y + 4.5,
        &shortened(&said, layout.label_width),
    );
}

/// An address that answered at a hop.
fn answered(
    canvas: &mut Canvas,
    layout: &Layout,
    stage: &Stage,
    (branch, place): (usize, &Place),
    row: usize,
) {
    let y = layout.middle(row);
    let address = place.address.to_string();
    canvas.open(match (place.is_target, place.is_stop()) {
        (_, true) => "stop",
        (true, false) => "target",
        (false, false) => "hop-row",
    });
    let times: Vec<String> = place
        .rtts
        .iter()
        .map(|rtt| format!("{:.3} ms", milliseconds(*rtt)))
        .collect();
    let name = place.name.as_deref().unwrap_or(&address);
    canvas.tip(&format!(
        "hop {}: {name} ({address}), {}",
        stage.number(),
        times.join(", ")
    ));
    let look = if place.is_unproven() {
        "hop silent"
    } else {
        "hop"
    };
    match branch {
        0 => canvas.pill(look, WAY, y, &stage.number()),
        _ => canvas.circle(look, WAY + branch as f64 * BRANCH, y, 5.5),
    }
    match label(place) {
        (first, Some(second)) => {
            canvas.text(
                "name",
                layout.label,
                y - 2.5,
                &shortened(&first, layout.label_width),
            );
            canvas.text(
                "soft",
                layout.label,
                y + 13.0,
                &shortened(&second, layout.label_width / SMALL),
            );
        }
        (first, None) => canvas.text("name", layout.label, y + 4.5, &first),
    }
    canvas.bar("bar", layout.at(0.0), y, layout.at(place.median()));
    for rtt in &place.rtts {
        canvas.circle("dot", layout.at(milliseconds(*rtt)), y, 3.5);
    }
    let value = layout.axis() + AXIS + VALUE;
    canvas.text(
        "value",
        value,
        y + 4.5,
        &format!("{:.3} ms", place.median()),
    );
    let note = match (place.mark.is_empty(), stage.lost, branch) {
        (false, _, _) => place.mark.clone(),
        (true, 1.., 0) => format!("{} of {} lost", stage.lost, stage.lost + stage.answered),
        _ => String::new(),
    };
    canvas.text("note", value + 12.0, y + 4.5, &note);
    canvas.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_has_round_steps_and_neither_few_nor_many() {
        for (span, expected) in [
            (0.1, 0.02),
            (1.0, 0.2),
            (7.3, 2.0),
            (80.9, 20.0),
            (99.0, 20.0),
            (2000.0, 500.0),
        ] {
            assert!(
                (step(span) - expected).abs() < 1e-9,
                "{span}: {}",
                step(span)
            );
        }
    }
}
