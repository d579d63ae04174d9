//! Output with a terminal and without, and on different ones.

use crate::world::{in_scenario, shell_in_scenario};

#[test]
fn a_dumb_terminal_is_told_as_that() {
    let script = "export HOPSHOT=$0; TERM=dumb script -qec '$HOPSHOT --watch 127.0.0.1' /dev/null";
    let Some(said) = shell_in_scenario("short", script) else {
        return;
    };
    assert!(
        said.stdout.contains("TERM says that it is dumb"),
        "{:?}",
        said.stdout
    );
}

#[test]
fn the_last_line_says_how_it_ended_and_when_on_a_terminal_and_with_v_and_not_in_a_pipe() {
    for (target, source) in [("{4}", "10.0.0.2"), ("{6}", "2001:db8::2")] {
        let Some(said) = in_scenario("short", &["-n", "-v", "--flow", "37748", target]) else {
            return;
        };
        let lines: Vec<&str> = said.stdout.lines().collect();
        assert!(
            lines[0].ends_with(&format!(", from {source}, flow 37748")),
            "{}",
            said.stdout
        );
        assert!(
            lines[6].starts_with("5 hops, ") && lines[6].ends_with(" UTC"),
            "{}",
            said.stdout
        );
        assert!(
            lines[6].contains(" probes, no loss at the target, 0."),
            "{}",
            said.stdout
        );
        let said = in_scenario("short", &["-n", target]).unwrap();
        assert!(
            said.stdout.lines().count() == 6 && !said.stdout.contains("UTC"),
            "{}",
            said.stdout
        );
    }
    let script = "export TERM=xterm HOPSHOT=$0; \
        script -qec 'stty cols 60 rows 24; $HOPSHOT -n $HOPSHOT_LAB_TARGET6' /dev/null";
    let Some(said) = shell_in_scenario("deadtarget", script) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().map(str::trim_end).collect();
    assert_eq!(
        lines[1], "    32 hops max, from 2001:db8::2",
        "{:?}",
        said.stdout
    );
    assert!(
        lines
            .iter()
            .any(|line| line.contains(" probes, ") && line.contains(" UTC")),
        "{:?}",
        said.stdout
    );
}

#[test]
fn what_is_no_terminal_gets_no_cursor_sequences() {
    for (term, draws) in [
        ("xterm", true),
        ("", false),
        ("unknown", false),
        ("dumb", false),
    ] {
        let script = format!(
            "export HOPSHOT=$0; TERM={term} script -qec '$HOPSHOT -n $HOPSHOT_LAB_TARGET4' /dev/null"
        );
        let Some(said) = shell_in_scenario("short", &script) else {
            return;
        };
        assert_eq!(
            said.stdout.contains("\u{1b}["),
            draws,
            "{term}: {:?}",
            said.stdout
        );
    }
}

#[test]
fn a_terminal_that_tells_no_size_is_drawn_on_as_one_of_80_columns_and_24_lines() {
    let on_terminal = |options: &str| {
        let script = format!(
            "export TERM=xterm HOPSHOT=$0; script -qec 'stty cols 0 rows 0; $HOPSHOT -n {options} $HOPSHOT_LAB_TARGET4' /dev/null"
        );
        shell_in_scenario("short", &script).map(|said| said.stdout)
    };
    let Some(text) = on_terminal("") else { return };
    assert!(text.contains("\x1b[K"), "it is drawn over: {text:?}");
    let Some(view) = on_terminal("--watch --count 2 --every 0.2") else {
        return;
    };
    assert!(
        view.contains("hopshot 10.255.0.80 ") && view.contains(" q quit"),
        "{view:?}"
    );
}

#[test]
fn colours_are_for_terminals_unless_they_are_wanted_or_not() {
    // With a terminal of 80 columns, as the first part says; its output is `script`'s.
    let on_terminal = |environment: &str, options: &str| {
        let command =
            format!("stty cols 80 rows 24; {environment} $0 -n {options} $HOPSHOT_LAB_TARGET4");
        let script = format!(
            "export TERM=xterm HOPSHOT=$0; script -qec '{}' /dev/null",
            command.replace("$0", "$HOPSHOT")
        );
        shell_in_scenario("short", &script).map(|said| said.stdout)
    };
    let Some(coloured) = on_terminal("", "") else {
        return;
    };
    assert!(
        coloured.contains("\x1b[1m 5  10.255.0.80\x1b[0m"),
        "{coloured:?}"
    );
    assert!(coloured.contains("\x1b[32m  "), "{coloured:?}");
    for (environment, options) in [("NO_COLOR=1", ""), ("", "--color never"), ("TERM=dumb", "")] {
        let Some(plain) = on_terminal(environment, options) else {
            return;
        };
        assert!(
            plain.contains(" 5  10.255.0.80") && !plain.contains("\x1b[32m"),
            "{plain:?}"
        );
    }
    let Some(said) = in_scenario("short", &["-n", "{4}"]) else {
        return;
    };
    assert!(!said.stdout.contains('\x1b'), "{:?}", said.stdout);
    let Some(said) = in_scenario("short", &["-n", "--color", "always", "{4}"]) else {
        return;
    };
    assert!(
        said.stdout.contains("\x1b[1m 5  10.255.0.80\x1b[0m"),
        "{:?}",
        said.stdout
    );
}
