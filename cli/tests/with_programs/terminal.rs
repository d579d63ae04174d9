//! Views on a real terminal: tmux, whose screen is read.

use crate::world::read::shows;
use crate::world::{HOPSHOT, command_in_scenario, lab};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest wait for something on the screen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal of its own in which a shell command runs in a scenario; `$0` in it is hopshot.
pub(crate) struct Tmux(String);

impl Tmux {
    /// `None` if the kernel doesn't permit namespaces.
    pub(crate) fn start(scenario: &str, script: &str, (width, height): (u16, u16)) -> Option<Self> {
        command_in_scenario(scenario, false, &["true"])?;
        let tmux = Self(format!("hopshot-{}-{scenario}-{width}", std::process::id()));
        let lab = lab().to_str().expect("the path is text");
        let (width, height) = (width.to_string(), height.to_string());
        // What is left on the screen at the end is to be read.
        let script = format!("{script}; echo status $?; exec sleep 60");
        let command = [
            "env",
            "LC_ALL=C.UTF-8",
            lab,
            "run",
            scenario,
            "--",
            "sh",
            "-c",
            &script,
            HOPSHOT,
        ];
        let size = ["-x", &width, "-y", &height];
        tmux.call(
            &[
                &["-f", "/dev/null", "new-session", "-d"],
                &size[..],
                &command[..],
            ]
            .concat(),
        );
        Some(tmux)
    }

    pub(crate) fn call(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(
            output.status.success(),
            "tmux {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn output(&self, args: &[&str]) -> Output {
        Command::new("tmux")
            .args(["-L", &self.0])
            .args(args)
            .output()
            .expect("tmux can be started")
    }

    /// Waits until the screen is as wanted, and returns its lines.
    pub(crate) fn wait(&self, what: &str, is_there: impl Fn(&[&str]) -> bool) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let screen = self.call(&["capture-pane", "-p"]);
            let lines: Vec<&str> = screen.lines().collect();
            if is_there(&lines) {
                return lines.into_iter().map(str::to_owned).collect();
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "no {what} on this screen:\n{screen}"
            );
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.output(&["kill-server"]);
    }
}

#[test]
fn a_path_that_changes_is_marked_while_it_is_watched_in_any_size_and_reported_at_the_end() {
    let script =
        "\"$0\" -n --every 0.2 --watch \"$HOPSHOT_LAB_TARGET4\"; stty -a | grep -o '.icanon'";
    let Some(tmux) = Tmux::start("changing", script, (100, 24)) else {
        return;
    };
    let lines = tmux.wait("path", |lines| shows(lines, " 12 10.255.0.80 ", "0%"));
    assert!(
        lines[0].starts_with("hopshot 10.255.0.80 ") && lines[0].ends_with(", every 0.2 s"),
        "{lines:#?}"
    );
    assert!(
        lines[1].starts_with("    Host ") && lines[1].ends_with("Jit Last RTTs"),
        "{lines:#?}"
    );
    tmux.wait("change", |lines| {
        shows(lines, "~ 5 10.5.99.1 ", "0%")
            && shows(lines, "    was 10.5.0.1 until round ", "")
            && shows(lines, "- 8 10.8.0.1 ", "%")
            && shows(lines, " round ", "hop 5 has become 10.5.99.1, was 10.5.0.1")
            && shows(lines, " round ", "hop 8 has vanished")
    });
    tmux.call(&["resize-window", "-x", "50", "-y", "20"]);
    let lines = tmux.wait("narrow screen", |lines| {
        lines.len() == 20 && shows(lines, "    Host  ", "Avg")
    });
    assert!(
        shows(
            &lines.iter().map(String::as_str).collect::<Vec<_>>(),
            "~ 5 10.5.",
            "0%"
        ),
        "{lines:#?}"
    );
    assert!(
        !lines[1].contains("Worst") && lines.iter().all(|line| line.chars().count() <= 50),
        "{lines:#?}"
    );
    tmux.call(&["resize-window", "-x", "110", "-y", "40"]);
    tmux.call(&["send-keys", "p"]);
    tmux.wait("pause", |lines| lines[0].ends_with(", paused"));
    tmux.call(&["send-keys", "h"]);
    tmux.wait("help", |lines| {
        lines
            .iter()
            .any(|line| line.contains("q, Ctrl-C        quit, with a report"))
    });
    let is_closed = |lines: &[&str]| {
        !lines
            .iter()
            .any(|line| line.contains("quit, with a report"))
    };
    tmux.call(&["send-keys", "Escape"]);
    tmux.wait("closed help", is_closed);
    // Once more: a habit, which must not end hours of counting.
    tmux.call(&["send-keys", "Escape"]);
    // With a letter right behind it Escape is Alt.
    sleep(Duration::from_millis(300));
    tmux.call(&["send-keys", "r", "p"]);
    tmux.wait("new beginning", |lines| {
        shows(lines, "  5 10.5.", "0%") && lines[0].ends_with(", every 0.2 s")
    });
    tmux.call(&["send-keys", "q"]);
    let lines = tmux.wait("report", |lines| shows(lines, "status 0", ""));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert!(
        shows(&lines, "watch of 10.255.0.80, ", " round")
            && shows(&lines, " 12 10.255.0.80 ", " 0%"),
        "{lines:#?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("from 10.0.0.2, flow ") && line.ends_with(" UTC")),
        "{lines:#?}"
    );
    // The screen before and the terminal's ways are back.
    assert!(
        !shows(&lines, " q quit", "") && lines.contains(&" icanon"),
        "{lines:#?}"
    );
}

#[test]
fn a_screen_of_60_columns_has_the_whole_path_with_loss_times_and_graphs() {
    for (variable, target) in [
        ("HOPSHOT_LAB_TARGET4", "10.255.0.80"),
        ("HOPSHOT_LAB_TARGET6", "2001:db8:ffff::80"),
    ] {
        let script = format!("\"$0\" -n --every 0.2 --watch \"${variable}\"");
        let Some(tmux) = Tmux::start("wan", &script, (60, 24)) else {
            return;
        };
        let has_graph = |line: &&&str| line.ends_with(|c: char| ('▁'..='█').contains(&c));
        let lines = tmux.wait("path with graphs", |lines| {
            shows(lines, &format!(" 12 {target} "), "0%")
                && lines.iter().filter(has_graph).count() >= 11
        });
        assert_eq!(lines.len(), 24, "{lines:#?}");
        assert!(
            lines.iter().all(|line| line.chars().count() <= 60),
            "{lines:#?}"
        );
        let head: Vec<&str> = lines[1].split_whitespace().collect();
        let is_whole = head.starts_with(&["Host", "Loss"])
            && head.contains(&"Avg")
            && head.ends_with(&["Last", "RTTs"]);
        assert!(is_whole, "{lines:#?}");
        assert!(
            lines[0].starts_with(&format!("hopshot {target} ")) && lines[23].starts_with(" q quit"),
            "{lines:#?}"
        );
    }
}

#[test]
fn a_view_that_has_grown_leaves_nothing_of_itself_behind() {
    let script = "\"$0\" -n --every 0.2 --watch \"$HOPSHOT_LAB_TARGET4\"";
    let Some(tmux) = Tmux::start("short", script, (84, 24)) else {
        return;
    };
    tmux.wait("view", |lines| shows(lines, "  5 10.255.0.80 ", "0%"));
    tmux.call(&["resize-window", "-x", "120", "-y", "30"]);
    tmux.wait("larger view", |lines| {
        lines.len() == 30 && lines[29].starts_with(" q quit")
    });
    tmux.call(&["send-keys", "q"]);
    let lines = tmux.wait("report", |lines| shows(lines, "status 0", ""));
    assert!(
        !lines
            .iter()
            .any(|line| line.contains(", every ") || line.contains("Last RTTs")),
        "{lines:#?}"
    );
}

/// How many rounds there have been, as the first line of the view says.
pub(crate) fn rounds(line: &str) -> u32 {
    let (_, after) = line.split_once("round ").expect("a view counts its rounds");
    after
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_watch_that_is_stopped_gives_the_terminal_back_and_then_goes_on_or_ends_as_its_shell_says() {
    let script = "set -m; \"$0\" -n --every 0.2 --watch \"$HOPSHOT_LAB_TARGET4\"; stty -a | grep -o '.icanon'; read go; \
        fg >/dev/null; stty -a | grep -o '.icanon'; read go; kill %1; kill -CONT %1; \
        while kill -0 %1; do sleep 0.1; done 2>/dev/null";
    let Some(tmux) = Tmux::start("short", script, (90, 24)) else {
        return;
    };
    let rounds = |lines: &[&str], least: u32| {
        shows(&lines[..1], "hopshot ", "round ") && rounds(lines[0]) >= least
    };
    tmux.wait("third round", |lines| rounds(lines, 3));
    tmux.call(&["send-keys", "C-z"]);
    tmux.wait("shell", |lines| {
        lines.contains(&" icanon") && !shows(lines, " q quit", "")
    });
    tmux.call(&["send-keys", "Enter"]);
    let lines = tmux.wait("view", |lines| {
        rounds(lines, 0) && shows(lines, " q quit", "")
    });
    assert!(rounds(&[&lines[0]], 3), "it has begun anew: {lines:#?}");
    tmux.call(&["send-keys", "C-z"]);
    let icanons = |lines: &[&str]| lines.iter().filter(|line| **line == " icanon").count();
    tmux.wait("shell once more", |lines| {
        icanons(lines) == 2 && !shows(lines, " q quit", "")
    });
    tmux.call(&["send-keys", "Enter"]);
    let lines = tmux.wait("report", |lines| shows(lines, "status 0", ""));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert!(
        shows(&lines, "watch of 10.255.0.80, ", " rounds in "),
        "{lines:#?}"
    );
}

#[test]
fn what_a_shell_says_while_a_trace_is_stopped_stays_on_the_screen() {
    let script = "set -m; \"$0\" -n -q1 --rate 10 \"$HOPSHOT_LAB_TARGET4\"; echo; echo important; read go; fg >/dev/null";
    let Some(tmux) = Tmux::start("wan", script, (100, 40)) else {
        return;
    };
    tmux.wait("third hop", |lines| shows(lines, " 3  10.3.0.1 ", " ms"));
    tmux.call(&["send-keys", "C-z"]);
    tmux.wait("shell", |lines| lines.contains(&"important"));
    tmux.call(&["send-keys", "Enter"]);
    let lines = tmux.wait("end", |lines| shows(lines, "status 0", ""));
    let place = |begin: &str| lines.iter().rposition(|line| line.starts_with(begin));
    assert!(place("important") < place(" 1  10.1.0.1 "), "{lines:#?}");
    assert!(
        place("important").is_some() && place("12  10.255.0.80 ").is_some(),
        "{lines:#?}"
    );
}

#[test]
fn a_signal_ends_a_watch_with_the_terminal_restored_and_a_report_and_so_do_two() {
    for signals in ["TERM", "HUP", "QUIT", "TERM INT"] {
        let script = format!(
            "sh -c '(sleep 2; for signal in {signals}; do kill -$signal $$; done) & exec \"$0\" --watch \"$HOPSHOT_LAB_NAME\"' \
            \"$0\"; stty -a | grep -o '.icanon'"
        );
        let Some(tmux) = Tmux::start("short", &script, (80, 24)) else {
            return;
        };
        let lines = tmux.wait("report", |lines| shows(lines, "status 0", ""));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert!(
            shows(&lines, "watch of target.example (", " round"),
            "{signals}: {lines:#?}"
        );
        assert!(lines.contains(&" icanon"), "{signals}: {lines:#?}");
    }
}

#[test]
fn a_search_shows_the_whole_path_while_it_goes_on_and_keeps_what_it_knows_when_it_is_interrupted() {
    for name in ["HOPSHOT_LAB_TARGET4", "HOPSHOT_LAB_TARGET6"] {
        let script = format!(
            "stty -echo; \"$0\" --mtu \"${name}\" & pid=$!; read go; kill -TERM $pid; wait $pid; exec sleep 60"
        );
        let Some(tmux) = Tmux::start("mtu-silent", &script, (80, 24)) else {
            return;
        };
        tmux.wait("whole path beside a trial", |lines| {
            shows(lines, "12  target.example (", " ms")
                && lines.iter().any(|line| line.contains(": trying "))
        });
        tmux.call(&["send-keys", "Enter"]);
        let is_over = |lines: &[&str]| lines.iter().any(|line| line.ends_with(" UTC"));
        let lines = tmux.wait("end", is_over);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert!(
            shows(&lines, " 6  core6.ams.example (", " ms")
                && shows(&lines, "12  target.example (", " ms"),
            "{lines:#?}"
        );
        let hops = lines.iter().filter(|line| line.contains(".example ("));
        let point = |line: &&&str| {
            line.find(')')
                .and_then(|host| line[host..].find('.').map(|point| host + point))
        };
        let points: Vec<_> = hops.filter_map(|line| point(&line)).collect();
        assert!(
            points.len() >= 12 && points.iter().all(|point| *point == points[0]),
            "{lines:#?}"
        );
        let verdict = lines
            .iter()
            .find_map(|line| line.strip_prefix("path MTU: at least "));
        assert!(
            verdict.is_some_and(|line| line.ends_with(" (interrupted)")),
            "{lines:#?}"
        );
        assert!(
            !lines.iter().any(|line| line.contains("trying")),
            "{lines:#?}"
        );
    }
}

#[test]
fn a_comparison_fills_while_answers_arrive_and_then_says_what_differs() {
    // The silence behind the last router is waited for.
    let script = "\"$0\" --compare=icmp,udp -n --patience 5 \"$HOPSHOT_LAB_TARGET4\"";
    for size in [(80, 40), (40, 40), (80, 9)] {
        let Some(tmux) = Tmux::start("deadtarget", script, size) else {
            return;
        };
        let is_over = |lines: &[&str]| shows(lines, "status 1", "");
        let lines = tmux.wait("table", |lines| shows(lines, " 3  10.3.0.1 ", ""));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert!(!is_over(&lines), "{lines:#?}");
        assert!(
            lines.iter().any(|line| line.starts_with("hop ")),
            "{lines:#?}"
        );
        if size.1 < 10 {
            let more = |lines: &[&str]| shows(lines, "", " more lines");
            tmux.wait("more", more);
        }
        let lines = tmux.wait("verdict", is_over);
        // All that was drawn is drawn over.
        let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        let all = usize::from(size.1 > 10);
        assert_eq!(
            [count("hop "), count(" 3 "), count("comparing ")],
            [all; 3],
            "{lines:#?}"
        );
        let verdict = "ICMP and UDP 33434 are silent after hop ";
        assert_eq!(count(&verdict[..30]), 1, "{lines:#?}");
    }
}
