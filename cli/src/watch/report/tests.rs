use super::super::history::Round;
use super::*;
use crate::ases::Ases;
use hopshot_linux::TcpOptions;

const TARGET: [u8; 4] = [192, 0, 2, 80];

/// A watch of a target one hop away, whose port was in these states, round by round.
fn watched(states: &[PortState], look: impl FnOnce(&Report<'_>)) {
    let mut history = History::default();
    for state in states {
        let answer = Some((TARGET.into(), Duration::from_millis(5)));
        history.add(&Round {
            probes: [(1, vec![answer])].into(),
            end: Some(1),
            reached: true,
            port: Some(*state),
            ..Round::default()
        });
    }
    look(&Report {
        host: "192.0.2.80",
        target: TARGET.into(),
        source: None,
        started: SystemTime::UNIX_EPOCH,
        duration: Duration::ZERO,
        every: Duration::from_secs(1),
        protocol: ProbeProtocol::Tcp {
            port: 443,
            options: TcpOptions::Mss,
        },
        flow: Some(50_123),
        history: &history,
        names: &Names::start(false, Ases::Off, false),
    });
}

#[test]
fn a_port_that_has_closed_is_in_the_report_with_its_round() {
    watched(&[PortState::Open, PortState::Closed], |report| {
        let text = report.text(None);
        let (_, end) = text.split_once("  1 192.0.2.80").unwrap();
        let (line, below) = end.split_once('\n').unwrap();
        assert!(line.ends_with("   0.00  [closed]"), "{text}");
        assert_eq!(below, "round 2: the port has become [closed], was [open]\n");
        let document = serde_json::to_value(report.json()).unwrap();
        assert_eq!(document["port_state"], "closed");
        assert_eq!(
            document["changes"],
            serde_json::json!([{"round": 2, "event": "port", "was": "open", "is": "closed"}])
        );
    });
}

#[test]
fn where_the_line_of_the_target_has_no_room_the_state_stands_above() {
    for (width, is_above) in [(45, true), (70, true), (76, false), (80, false)] {
        watched(&[PortState::Filtered], |report| {
            let text = report.text(Some(width));
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines.iter().all(|line| line.len() <= width), "{text}");
            let (above, line) = (lines[1], lines.last().unwrap());
            assert_eq!(
                above.starts_with("TCP port 443 [filtered],"),
                is_above,
                "{text}"
            );
            assert_eq!(line.ends_with("  [filtered]"), !is_above, "{text}");
        });
    }
}
