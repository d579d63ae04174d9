//! The lines of the text view at all widths, to the letter.

use super::layout::{Layout, shortened};
use super::paint::Style;
use super::row::{Cell, Host, Row};
use crate::names::Origin;
use std::time::Duration;

const NAMES: [&str; 3] = [
    "gateway.home.example",
    "ae-1.r25.frnkge13.de.backbone.example",
    "be-302.edge-1.fra.very-long.name.of.a.router.example",
];

fn layout(width: usize) -> Layout {
    Layout {
        width: Some(width),
        number: 0,
        column: 36,
        notes_first: false,
        asked: 3,
        colours: false,
        ellipsis: '…',
        chosen: None,
        kept: None,
    }
}

fn pipe() -> Layout {
    Layout {
        width: None,
        ..layout(0)
    }
}

fn row(number: u8, name: Option<&str>, address: &str, cells: Vec<Cell>) -> Row {
    Row {
        number: Some(number),
        branch: String::new(),
        host: Some(Host {
            name: name.map(str::to_owned),
            address: address.to_owned(),
            origin: None,
        }),
        instead: String::new(),
        cells,
        style: Style::Plain,
        notes: Vec::new(),
        appended: Vec::new(),
    }
}

fn times(microseconds: &[u64]) -> Vec<Cell> {
    let time = |us: &u64| Cell::Time {
        rtt: Duration::from_micros(*us),
        style: Style::Green,
        mark: String::new(),
    };
    microseconds.iter().map(time).collect()
}

fn silent(number: u8) -> Row {
    Row {
        host: None,
        instead: "*".to_owned(),
        style: Style::Faint,
        ..row(number, None, "", Vec::new())
    }
}

fn path() -> Vec<Row> {
    vec![
        row(1, Some(NAMES[0]), "10.1.0.1", times(&[512, 498, 1_002])),
        row(
            2,
            Some(NAMES[1]),
            "129.250.106.218",
            times(&[8_172, 8_169, 1_234_567]),
        ),
        silent(3),
        row(
            14,
            Some(NAMES[2]),
            "2001:db8:1234:5678:9abc:def0:1234:5678",
            times(&[80_029, 80_007, 80_047]),
        ),
    ]
}

#[test]
fn the_letters_of_the_27th_branch_do_not_touch_the_address() {
    let branch = |branch: &str| Row {
        branch: branch.to_owned(),
        ..row(3, None, "10.3.26.1", times(&[900]))
    };
    for mut layout in [layout(60), pipe()] {
        let lines = layout.lines(&[branch("z"), branch("aa"), silent(4)]);
        let starts: Vec<_> = lines
            .lines()
            .map(|line| line.get(..9).unwrap_or(line))
            .collect();
        assert_eq!(starts, [" 3z  10.3", " 3aa 10.3", " 4   *"]);
    }
}

#[test]
fn lines_that_stand_for_good_and_those_that_follow_have_the_same_columns() {
    let attempts = || times(&[6_680, 6_670, 6_670]);
    let noted = || Row {
        notes: vec!["F=1500".to_owned()],
        ..row(1, Some(NAMES[0]), "10.1.0.1", attempts())
    };
    let plain = || row(6, Some("core6.ams.example"), "10.6.0.1", attempts());
    for width in [64, 80, 100] {
        let mut layout = Layout {
            notes_first: true,
            ..layout(width)
        };
        let settled = layout.lines(&[noted(), plain()]);
        layout.keep_columns();
        let open = layout.lines(&[plain()]);
        assert_eq!(settled.lines().nth(1), open.lines().next(), "{width}");
    }
}

#[test]
fn notes_have_room_only_beside_what_they_are_of() {
    let flow = |row: Row| Row {
        notes: vec!["from 4a".to_owned(), "--flow 53666".to_owned()],
        ..row
    };
    let rows = [flow(row(
        5,
        Some(NAMES[0]),
        "2001:db8:4:1::1",
        times(&[26_670]),
    ))];
    let room = [44, 56, 60, 80].map(|width| {
        Layout {
            notes_first: true,
            ..layout(width)
        }
        .has_room(&rows)
    });
    assert_eq!(room, [false, true, true, true]);
}

/// What is printed, line for line; on a terminal none fills it.
fn assert_lines(mut layout: Layout, rows: &[Row], expected: &[&str]) {
    let lines = layout.lines(rows);
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    let width = layout.width.unwrap_or(usize::MAX);
    assert!(
        lines.lines().all(|line| line.chars().count() < width),
        "{lines}"
    );
}

#[test]
fn at_200_columns_everything_is_there() {
    assert_lines(
        layout(200),
        &path(),
        &[
            " 1  gateway.home.example (10.1.0.1)                                                                   0.512 ms     0.498 ms     1.002 ms",
            " 2  ae-1.r25.frnkge13.de.backbone.example (129.250.106.218)                                           8.172 ms     8.169 ms  1234.567 ms",
            " 3  *",
            "14  be-302.edge-1.fra.very-long.name.of.a.router.example (2001:db8:1234:5678:9abc:def0:1234:5678)    80.029 ms    80.007 ms    80.047 ms",
        ],
    );
}

#[test]
fn at_120_columns_a_long_name_is_cut_in_the_middle_and_no_time_is_lost() {
    assert_lines(
        layout(120),
        &path(),
        &[
            " 1  gateway.home.example (10.1.0.1)                                                  0.512 ms     0.498 ms     1.002 ms",
            " 2  ae-1.r25.frnkge13.de.backbone.example (129.250.106.218)                          8.172 ms     8.169 ms  1234.567 ms",
            " 3  *",
            "14  be-302.edge-1.fra….a.router.example (2001:db8:1234:5678:9abc:def0:1234:5678)    80.029 ms    80.007 ms    80.047 ms",
        ],
    );
}

#[test]
fn at_80_columns_times_are_shorter() {
    assert_lines(
        layout(80),
        &path(),
        &[
            " 1  gateway.home.example (10.1.0.1)                      0.51   0.50   1.00 ms",
            " 2  ae-1.r25.frnkge1…ackbone.example (129.250.106.218)   8.17   8.17 1234.57 ms",
            " 3  *",
            "14  be-302.edge-1.fra.very-lo…name.of.a.router.example  80.03  80.01  80.05 ms",
        ],
    );
}

#[test]
fn at_60_columns_an_address_that_leaves_no_room_for_the_name_is_left_out() {
    assert_lines(
        layout(60),
        &path(),
        &[
            " 1  gateway.h…e.example (10.1.0.1)   0.51   0.50   1.00 ms",
            " 2  ae-1.r…ample (129.250.106.218)   8.17   8.17 1234.57 ms",
            " 3  *",
            "14  be-302.edge-1.f…router.example  80.03  80.01  80.05 ms",
        ],
    );
}

#[test]
fn an_as_stands_behind_its_address_and_its_name_is_the_first_to_be_cut() {
    let of = |more| {
        let origin = Origin {
            number: 64500,
            name: Some("EXAMPLE-NET Example, ZZ".to_owned()),
            more,
        };
        let mut row = row(1, Some(NAMES[0]), "10.1.0.1", times(&[512]));
        row.host = row.host.map(|host| Host {
            origin: Some(origin),
            ..host
        });
        vec![row]
    };
    let all = " 1  gateway.home.example (10.1.0.1) [AS64500 EXAMPLE-NET Example, ZZ]     0.512 ms";
    assert_lines(pipe(), &of(vec![]), &[all]);
    assert_lines(layout(100), &of(vec![]), &[all]);
    let shared = " 1  gateway.home.example (10.1.0.1) [AS64500/AS64501]     0.512 ms";
    assert_lines(pipe(), &of(vec![64501]), &[shared]);
    assert_lines(
        layout(65),
        &of(vec![]),
        &[" 1  gateway.home.example (10.1.0.1) [AS64500]            0.51 ms"],
    );
    assert_lines(
        layout(50),
        &of(vec![]),
        &[" 1  gateway…xample (10.1.0.1) [AS64500]   0.51 ms"],
    );
    assert_lines(
        layout(32),
        &of(vec![]),
        &[" 1  gateway.….example   0.51 ms"],
    );
}

#[test]
fn at_40_columns_the_fastest_time_stands_for_all() {
    assert_lines(
        layout(40),
        &path(),
        &[
            " 1  gateway.home.example       0.498 ms",
            " 2  ae-1.r25.fr…ne.example     8.169 ms",
            " 3  *",
            "14  be-302.edge…er.example    80.007 ms",
        ],
    );
}

#[test]
fn in_a_pipe_nothing_is_cut_and_times_are_always_the_same() {
    assert_lines(
        pipe(),
        &path(),
        &[
            " 1  gateway.home.example (10.1.0.1)                                                      0.512 ms     0.498 ms     1.002 ms",
            " 2  ae-1.r25.frnkge13.de.backbone.example (129.250.106.218)                              8.172 ms     8.169 ms  1234.567 ms",
            " 3  *",
            "14  be-302.edge-1.fra.very-long.name.of.a.router.example (2001:db8:1234:5678:9abc:def0:1234:5678)    80.029 ms    80.007 ms    80.047 ms",
        ],
    );
}

#[test]
fn attempts_that_were_lost_are_counted_on_a_terminal_where_they_are_more_than_was_asked_for() {
    let lost = || (0..4).map(|_| Cell::Lost(Style::Yellow));
    let rows = || {
        vec![row(
            9,
            Some("edge11.nyc.example"),
            "10.11.0.1",
            lost().chain(times(&[73_390, 73_391])).collect(),
        )]
    };
    assert_lines(
        layout(80),
        &rows(),
        &[" 9  edge11.nyc.example (10.11.0.1)          73.390 ms    73.391 ms  4 of 6 lost"],
    );
    assert_lines(
        layout(40),
        &rows(),
        &[" 9  edge11.nyc.example    73.390 ms 2/6"],
    );
    assert_lines(
        pipe(),
        &rows(),
        &[
            " 9  edge11.nyc.example (10.11.0.1)                  *            *            *            *    73.390 ms    73.391 ms",
        ],
    );
}

#[test]
fn answers_that_prove_nothing_stand_below_those_of_other_hops() {
    let lost = |count| (0..count).map(|_| Cell::Lost(Style::Yellow));
    let weak = |us: &[u64], mark: &str| {
        let mark = |cell| match cell {
            Cell::Time { rtt, style, .. } => Cell::Time {
                rtt,
                style,
                mark: mark.to_owned(),
            },
            other => other,
        };
        times(us).into_iter().map(mark).collect::<Vec<_>>()
    };
    let rows = || {
        // Of these there are more than were asked for, since none of them suffices.
        let five = weak(&[6_021, 6_028, 16_027, 6_033, 6_025], "?");
        vec![
            row(
                1,
                None,
                "10.1.0.1",
                lost(2).chain(weak(&[6_715], "?")).collect(),
            ),
            row(
                2,
                None,
                "10.2.0.1",
                lost(1).chain(weak(&[13_440], "?")).collect(),
            ),
            row(3, None, "10.3.0.1", five),
            row(4, None, "10.4.0.1", weak(&[26_757, 26_760, 126_757], "!X?")),
            row(5, None, "10.5.0.1", times(&[33_418, 33_420, 33_419])),
        ]
    };
    assert_lines(
        Layout {
            column: 0,
            ..layout(80)
        },
        &rows(),
        &[
            " 1  10.1.0.1     6.715 ms ?          *            *",
            " 2  10.2.0.1    13.440 ms ?          *",
            " 3  10.3.0.1     6.021 ms     6.028 ms    16.027 ms ?",
            " 4  10.4.0.1    26.757 ms    26.760 ms   126.757 ms !X?",
            " 5  10.5.0.1    33.418 ms    33.420 ms    33.419 ms",
        ],
    );
    assert_lines(
        Layout {
            column: 0,
            ..layout(48)
        },
        &rows(),
        &[
            " 1  10.1.0.1   6.71 ms ? *      *",
            " 2  10.2.0.1  13.44 ms ? *",
            " 3  10.3.0.1   6.02   6.03  16.03 ms ?",
            " 4  10.4.0.1  26.76  26.76 126.76 ms !X?",
            " 5  10.5.0.1  33.42  33.42  33.42 ms",
        ],
    );
    assert_lines(
        Layout {
            column: 0,
            ..pipe()
        },
        &rows(),
        &[
            " 1  10.1.0.1     6.715 ms ?          *            *",
            " 2  10.2.0.1    13.440 ms ?          *",
            " 3  10.3.0.1     6.021 ms ?   6.028 ms ?  16.027 ms ?   6.033 ms ?   6.025 ms ?",
            " 4  10.4.0.1    26.757 ms !X?    26.760 ms !X?   126.757 ms !X?",
            " 5  10.5.0.1    33.418 ms    33.420 ms    33.419 ms",
        ],
    );
}

#[test]
fn marks_and_notes_do_not_push_anything_out_of_the_screen() {
    let mark = |us| Cell::Time {
        rtt: Duration::from_micros(us),
        style: Style::Green,
        mark: "!F-1400".to_owned(),
    };
    let rows = || {
        let mut row = row(
            6,
            Some(NAMES[0]),
            "10.6.0.1",
            vec![mark(40_037), mark(40_031), mark(40_022)],
        );
        row.notes.push("answers for 10.255.0.80".to_owned());
        row.appended
            .push("<MPLS:L=24002,E=3,S=0,T=1/L=24003,E=3,S=0,T=1/L=16,E=0,S=1,T=2>".to_owned());
        vec![row]
    };
    assert_lines(
        layout(60),
        &rows(),
        &[
            " 6  gatewa…ample (10.6.0.1)  40.04  40.03  40.02 ms !F-1400",
            "    answers for 10.255.0.80",
            "    <MPLS:L=24002,E=3,S=0,T=1/L=24003,E=3,S=0,T=1/",
            "    L=16,E=0,S=1,T=2>",
        ],
    );
    assert_lines(
        pipe(),
        &rows(),
        &[
            " 6  gateway.home.example (10.6.0.1)         40.037 ms !F-1400    40.031 ms !F-1400    40.022 ms !F-1400  answers for 10.255.0.80",
            "    <MPLS:L=24002,E=3,S=0,T=1/L=24003,E=3,S=0,T=1/L=16,E=0,S=1,T=2>",
        ],
    );
}

#[test]
fn times_are_shorter_rather_than_notes_below_the_line() {
    let limited = |number, name| {
        let cells = times(&[60_067])
            .into_iter()
            .chain([Cell::Lost(Style::Faint), Cell::Lost(Style::Faint)])
            .collect();
        Row {
            notes: vec!["rate limited?".to_owned()],
            ..row(number, Some(name), "10.9.0.1", cells)
        }
    };
    let rows = || {
        vec![
            limited(9, "core9.lon.example"),
            limited(10, "core10.nyc.example"),
        ]
    };
    assert_lines(
        layout(80),
        &rows(),
        &[
            " 9  core9.lon.example (10.9.0.1)          60.07 ms   *      *  rate limited?",
            "10  core10.nyc.example (10.9.0.1)         60.07 ms   *      *  rate limited?",
        ],
    );
    assert_lines(
        layout(100),
        &rows(),
        &[
            " 9  core9.lon.example (10.9.0.1)            60.067 ms            *            *  rate limited?",
            "10  core10.nyc.example (10.9.0.1)           60.067 ms            *            *  rate limited?",
        ],
    );
}

#[test]
fn a_further_address_of_a_hop_stands_below_the_first_and_what_is_in_flight_keeps_its_place() {
    let cells = vec![
        Cell::InFlight,
        times(&[26_704]).remove(0),
        Cell::Failed("!".to_owned()),
    ];
    let more = Row {
        number: None,
        ..row(5, None, "2001:db8:5:1::1", times(&[33_369, 33_338]))
    };
    let rows = vec![row(5, None, "2001:db8:5::1", cells), more];
    assert_lines(
        Layout {
            column: 24,
            ..layout(80)
        },
        &rows,
        &[
            " 5  2001:db8:5::1                            26.704 ms            !",
            "    2001:db8:5:1::1             33.369 ms    33.338 ms",
        ],
    );
}

#[test]
fn colours_are_around_the_texts_and_move_nothing() {
    let cells = times(&[26_704])
        .into_iter()
        .chain([Cell::Lost(Style::Yellow)])
        .collect();
    let rows = vec![
        Row {
            style: Style::Strong,
            ..row(12, None, "10.255.0.80", cells)
        },
        silent(13),
    ];
    let layout = Layout {
        colours: true,
        column: 15,
        ..pipe()
    };
    assert_lines(
        layout,
        &rows,
        &[
            "\u{1b}[1m12  10.255.0.80\u{1b}[0m    \u{1b}[32m    26.704 ms\u{1b}[0m\u{1b}[33m            *\u{1b}[0m",
            "\u{1b}[2m13  *\u{1b}[0m",
        ],
    );
}

#[test]
fn words_are_broken_between_them_and_only_a_longer_one_inside() {
    let layout = layout(20);
    assert_eq!(
        layout.wrapped("No answer from 2001:db8:ffff::80: quiet.", 0, &[' ']),
        "No answer from\n2001:db8:ffff::80:\nquiet.\n"
    );
    let full = "No answer from it is";
    assert_eq!(
        layout.wrapped(&format!("{full} here."), 0, &[' ']),
        "No answer from it\nis here.\n"
    );
    assert_eq!(
        layout.wrapped("No answer from them, here.", 0, &[' ']),
        "No answer from\nthem, here.\n"
    );
    assert_eq!(
        layout.wrapped("No answer from thee here.", 0, &[' ']),
        "No answer from thee\nhere.\n"
    );
    assert_eq!(
        layout.wrapped(&"a".repeat(40), 4, &[' ']),
        format!(
            "    {0}\n    {0}\n    {1}\n",
            "a".repeat(15),
            "a".repeat(10)
        )
    );
}

#[test]
fn the_ends_of_a_name_are_kept() {
    assert_eq!(
        shortened("core10.nyc.example", 18, '…'),
        "core10.nyc.example"
    );
    assert_eq!(shortened("core10.nyc.example", 10, '…'), "core1…mple");
    assert_eq!(shortened("core10.nyc.example", 1, '~'), "~");
    assert_eq!(shortened("core10.nyc.example", 0, '~'), "");
}
