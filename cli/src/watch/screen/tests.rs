use super::super::history::Round;
use super::*;
use crate::ases::Ases;
use hopshot_linux::TcpOptions;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::time::SystemTime;

const LOOK: Look = Look {
    is_paused: false,
    is_named: true,
    is_help: false,
    scrolled: 0,
    colours: true,
    unicode: true,
};

/// Rounds of a path of four hops in which the second is silent, the third becomes another, and an
/// answer gets lost.
fn history() -> History {
    let mut history = History::default();
    for (round, third) in [
        (1, "2001:db8:3::1"),
        (2, "2001:db8:3::1"),
        (3, "2001:db8:1234:5678:9abc:def0:1234:5678"),
    ] {
        let answer = |address: &str, ms: u64| {
            vec![Some((
                address.parse().unwrap(),
                Duration::from_millis(ms * round),
            ))]
        };
        let lost = vec![None];
        let last = if round == 2 {
            lost.clone()
        } else {
            answer("2001:db8::4", 40)
        };
        let probes = [answer("2001:db8:1::1", 1), lost, answer(third, 30), last];
        history.add(&Round {
            probes: (1..).zip(probes).collect(),
            end: Some(4),
            reached: true,
            ..Round::default()
        });
    }
    history
}

fn screen(width: u16, height: u16, history: &History, look: Look) -> Vec<String> {
    screen_of(ProbeProtocol::Icmp, (width, height), history, look)
}

fn screen_of(
    protocol: ProbeProtocol,
    (width, height): (u16, u16),
    history: &History,
    look: Look,
) -> Vec<String> {
    let names = Names::start(false, Ases::Off, false);
    let view = View {
        host: "target.example",
        target: "2001:db8::4".parse().unwrap(),
        protocol,
        history,
        names: &names,
        every: Duration::from_secs(1),
        look,
    };
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| _ = view.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| {
        (0..width)
            .map(|x| buffer[(x, y)].symbol())
            .collect::<String>()
            .trim_end()
            .to_owned()
    };
    (0..height).map(line).collect()
}

#[test]
fn each_hop_has_a_line_with_its_figures_and_one_for_each_address_that_it_had() {
    let expected = [
        "hopshot target.example (2001:db8::4)                                         round 3, every 1 s",
        "    Host                                     Loss   Last   Best    Avg  Worst    Jit Last RTTs",
        "  1 2001:db8:1::1                              0%   3.00   1.00   2.00   3.00   1.00 ▁▅█",
        "  2 *                                        100%                                    xxx",
        "~ 3 2001:db8:1234:5678:9abc:def0:1234:5678     0%   90.0   30.0   60.0   90.0   30.0 ▁▅█",
        "    was 2001:db8:3::1 until round 2",
        "  4 2001:db8::4                             33.3%  120.0   40.0   80.0  120.0   80.0 ▁x█",
        "",
        "",
        " round 3: hop 3 has become 2001:db8:1234:5678:9abc:def0:1234:5678, was 2001:db8:3::1",
        " q quit  h help  p pause  r reset  n names",
    ];
    assert_eq!(screen(95, 11, &history(), LOOK), expected);
}

#[test]
fn a_narrow_and_low_terminal_has_what_matters_most() {
    let expected = [
        "hopshot target.example           round 3",
        "    Host              Loss   Last    Avg",
        "  1 2001:db8:1::1       0%   3.00   2.00",
        "  2 *                 100%",
        "~ 3 2001:db…34:5678     0%   90.0   60.0",
        " q quit  h help  up/down scroll  p pause",
    ];
    assert_eq!(screen(40, 6, &history(), LOOK), expected);
    let below = screen(
        40,
        6,
        &history(),
        Look {
            scrolled: 9,
            ..LOOK
        },
    );
    assert_eq!(below[4], "  4 2001:db8::4      33.3%  120.0   80.0");
}

#[test]
fn without_unicode_there_is_ascii_alone() {
    let lines = screen(
        95,
        11,
        &history(),
        Look {
            unicode: false,
            ..LOOK
        },
    );
    assert!(lines.iter().all(|line| line.is_ascii()), "{lines:#?}");
    assert!(lines[2].ends_with("_-#"), "{}", lines[2]);
}

#[test]
fn a_pause_and_what_is_wrong_stand_in_the_first_line() {
    let mut history = history();
    let first = |look, history: &History| screen(80, 11, history, look).swap_remove(0);
    assert!(
        first(
            Look {
                is_paused: true,
                ..LOOK
            },
            &history
        )
        .ends_with(" round 3, paused")
    );
    history.trouble = Some("can't send: Network is unreachable".to_owned());
    assert!(first(LOOK, &history).ends_with(" can't send: Network is unreachable"));
}

/// Rounds in which the port is in these states.
fn with_port(states: &[Option<PortState>]) -> History {
    let mut history = history();
    for port in states {
        history.add(&Round {
            reached: *port != Some(PortState::Filtered),
            unreachable: *port == Some(PortState::Filtered),
            port: *port,
            ..Round::default()
        });
    }
    history
}

const TCP: ProbeProtocol = ProbeProtocol::Tcp {
    port: 443,
    options: TcpOptions::Mss,
};

#[test]
fn the_state_of_the_port_is_what_the_first_line_leaves_out_last() {
    let first =
        |width, states: &[_]| screen_of(TCP, (width, 11), &with_port(states), LOOK).swap_remove(0);
    let open = [Some(PortState::Open)];
    for (width, expected) in [
        (
            100,
            "hopshot target.example (2001:db8::4), TCP port 443 [open]",
        ),
        (72, "hopshot target.example, TCP port 443 [open]"),
        (60, "hopshot target.example [open]"),
        (30, "hopshot target.example"),
    ] {
        let line = first(width, &open);
        let (left, right) = line.rsplit_once("round").unwrap();
        assert_eq!(left.trim_end(), expected, "{line}");
        assert!(right.starts_with(" 4"), "{line}");
    }
    for (states, said) in [
        (&[][..], "443"),
        (&[None], "443"),
        // Silence doesn't take back what was said.
        (&[Some(PortState::Open), None], "443 [open]"),
        (
            &[Some(PortState::Open), Some(PortState::Closed)],
            "443 [closed]",
        ),
        (&[Some(PortState::Filtered)], "443 [filtered]"),
    ] {
        let line = first(100, states);
        let (left, _) = line.rsplit_once(" round").unwrap();
        assert!(left.trim_end().ends_with(said), "{line}");
    }
}

#[test]
fn a_port_that_changes_stands_among_the_changes() {
    let history = with_port(&[Some(PortState::Open), None, Some(PortState::Filtered)]);
    let lines = screen_of(TCP, (100, 12), &history, LOOK);
    assert_eq!(
        lines[10],
        " round 6: the port has become [filtered], was [open]"
    );
    assert!(
        lines.contains(&"    hop 4 forbids the probes: filtered".to_owned()),
        "{lines:#?}"
    );
}

#[test]
fn an_outage_stands_among_the_changes_of_the_path_while_it_lasts_and_when_it_is_over() {
    let mut history = history();
    history.add(&Round::not_begun(
        "no route".to_owned(),
        "none".to_owned(),
        SystemTime::UNIX_EPOCH,
    ));
    let last = |history: &History| screen(110, 12, history, LOOK)[9..11].to_vec();
    let change =
        " round 3: hop 3 has become 2001:db8:1234:5678:9abc:def0:1234:5678, was 2001:db8:3::1";
    let outage = " round 4: nothing left this machine (none), ";
    assert_eq!(
        last(&history),
        [
            change.to_owned(),
            format!("{outage}since 1970-01-01 00:00:00 UTC")
        ]
    );
    let ended = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    history.add(&Round {
        began: ended,
        ..Round::default()
    });
    let both = format!("{outage}from 1970-01-01 00:00:00 UTC to 1970-01-01 00:00:01 UTC");
    assert_eq!(last(&history), [change.to_owned(), both]);
}

#[test]
fn the_host_stays_in_the_first_line_however_long_the_trouble_is() {
    let mut history = history();
    history.trouble = Some(
        "no route to 2001:db8::4: Network is unreachable; check the address, and more".to_owned(),
    );
    let first = |width| screen(width, 11, &history, LOOK).swap_remove(0);
    assert_eq!(
        first(80),
        "hopshot target.example no route to 2001:db8::4: Network is unreachable; check t…"
    );
    assert_eq!(first(20), "hopshot ta no route…");
}

#[test]
fn before_the_first_round_only_one_that_is_on_its_way_is_told_so() {
    let first = |look| screen(80, 11, &History::default(), look).swap_remove(2);
    assert_eq!(first(LOOK), "    the first round is on its way");
    assert_eq!(
        first(Look {
            is_paused: true,
            ..LOOK
        }),
        "    nothing is counted yet"
    );
}

#[test]
fn a_target_that_is_silent_is_told() {
    let mut history = history();
    history.add(&Round::default());
    assert!(
        screen(80, 11, &history, LOOK)
            .contains(&"    the target did not answer in the last round".to_owned())
    );
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let names = Names::start(false, Ases::Off, false);
    let history = history();
    let coloured = |colours| {
        let look = Look { colours, ..LOOK };
        let view = View {
            host: "h",
            target: "::1".parse().unwrap(),
            protocol: ProbeProtocol::Icmp,
            history: &history,
            names: &names,
            every: Duration::from_secs(1),
            look,
        };
        let mut terminal = Terminal::new(TestBackend::new(80, 12)).unwrap();
        terminal.draw(|frame| _ = view.draw(frame)).unwrap();
        terminal
            .backend()
            .buffer()
            .content
            .iter()
            .filter(|cell| cell.fg != Color::Reset)
            .count()
    };
    assert!(coloured(true) > 0);
    assert_eq!(coloured(false), 0);
}

#[test]
fn the_help_fits_any_screen_and_names_every_key() {
    let help = Look {
        is_help: true,
        ..LOOK
    };
    let lines = screen(80, 24, &history(), help).join("\n");
    for (key, text) in KEYS {
        assert!(lines.contains(key) && lines.contains(text), "{key}");
    }
    for (width, height) in [(1, 1), (2, 2), (5, 3), (20, 5), (300, 100)] {
        screen(width, height, &history(), help);
    }
}
