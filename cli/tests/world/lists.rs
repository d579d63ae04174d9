//! Lists of hosts behind a network that fails for a while.

use crate::world::{HOPSHOT, Said, command_on_chain};
use serde_json::Value;

/// The routes to the chain as they were.
pub(crate) const ROUTES: &str = "ip route replace 10.0.0.0/8 via 10.1.0.1; ip route replace 2001:db8::/32 via 2001:db8:1::1 dev ahead";

pub(crate) const ADDRESSES: &str = "ip address replace 10.1.0.254/24 dev ahead; ip address replace 2001:db8:1::fe/64 dev ahead nodad";

/// Each socket in each family: the family, the target and the kind of socket.
pub(crate) const SOCKETS: [(&str, &str, &str); 4] = [
    ("-4", "10.6.0.1", "raw"),
    ("-4", "10.6.0.1", "ping"),
    ("-6", "2001:db8:6::1", "raw"),
    ("-6", "2001:db8:6::1", "ping"),
];

/// Traces a list of 600 hosts at 1,000 probes a second, and cuts the network off for 0.4 s
/// meanwhile, on each kind of socket in each family, by shell commands. Every host must have its
/// whole path.
pub(crate) fn assert_nothing_is_lost(cut: &str, mend: &str) {
    assert_nothing_is_lost_on(&SOCKETS, cut, mend);
}

pub(crate) fn assert_nothing_is_lost_on(
    sockets: &[(&str, &str, &'static str)],
    cut: &str,
    mend: &str,
) {
    let run = |(family, target, socket): (&str, &str, &'static str)| {
        // The list must be on its way when the cut comes, and when it is mended.
        let script = format!(
            "yes {target} | head -n 600 | {HOPSHOT} {family} -n -q1 --json --socket {socket} --targets - &
            pid=$!
            sleep 0.4; kill -0 $pid || exit 9
            {cut}
            sleep 0.4; kill -0 $pid || exit 9
            {mend}
            wait $pid"
        );
        (
            socket,
            command_on_chain(5, &["--ping"], &["sh", "-c", &script]),
        )
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = sockets
            .iter()
            .map(|socket| scope.spawn(move || run(*socket)))
            .collect();
        for running in running {
            let (socket, said) = running.join().unwrap();
            let Some(said) = said else { continue };
            assert_all_whole(&said, 600, socket);
        }
    });
}

pub(crate) fn assert_all_whole(said: &Said, hosts: usize, what: &str) {
    let documents: Vec<Value> = said
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (documents.len(), said.status),
        (hosts, 0),
        "{what}: {}",
        said.stderr
    );
    for document in documents {
        assert_eq!(
            (&document["reached"], &document["distance"]),
            (&true.into(), &6.into()),
            "{what}: {document}"
        );
        assert!(has_every_hop(&document), "{what}: {document}");
    }
}

/// Whether somebody answered at each hop, at once or when asked again.
fn has_every_hop(document: &Value) -> bool {
    let is_answered = |hop: &Value| {
        hop["probes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|probe| probe["from"].is_string())
    };
    document["hops"].as_array().unwrap().iter().all(is_answered)
}

/// The seconds that everything had failed for, in an error that says why.
pub(crate) fn waited(error: &str, why: &str) -> u64 {
    let before = error.split(why).next().unwrap();
    assert_ne!(before, error, "{error}");
    let mut words = before.trim_end_matches([' ', 's']).rsplit(' ');
    words.next().unwrap().parse().unwrap()
}

/// Runs a list of the shell command `list` on a chain of six hops while `script` goes on, and
/// returns how many of its hosts have their whole path, of all results.
pub(crate) fn whole_of(
    options: &str,
    before: &str,
    list: &str,
    meanwhile: &str,
) -> Option<(usize, usize, String)> {
    let script = format!(
        "{before}
        {list} | {HOPSHOT} -n -q1 --json {options} --targets - &
        pid=$!
        {meanwhile}
        wait $pid"
    );
    let said = command_on_chain(5, &["--ping"], &["sh", "-c", &script])?;
    let is_whole = |line: &&str| {
        let document: Value = serde_json::from_str(line).unwrap();
        document["stop_reason"] == "reached" && has_every_hop(&document)
    };
    Some((
        said.stdout.lines().filter(is_whole).count(),
        said.stdout.lines().count(),
        said.stdout + &said.stderr,
    ))
}

/// Traces a list of which three quarters lead nowhere, by what shell commands do to 10.99.0.0/16
/// and 2001:db8:99::/48: these are given up, and all the others traced.
pub(crate) fn assert_no_outage(dead_end: &str) {
    let run = |family: &str, list: &str| {
        let script = format!(
            "{dead_end}; ({list}) | {HOPSHOT} {family} -n -q1 --json --outage 3 --at-once 100 --targets -"
        );
        let Some(said) = command_on_chain(2, &[], &["sh", "-c", &script]) else {
            return;
        };
        let count = |text: &str| said.stdout.matches(text).count();
        let given_up = said
            .stdout
            .lines()
            .filter(|line| line.contains("\"error\":"))
            .count();
        assert_eq!(
            (count("\"reached\":true"), given_up, count("not traced")),
            (51, 150, 0),
            "{dead_end} {}",
            said.stderr
        );
    };
    let list =
        |alive, dead| format!("echo {alive}; seq -f {dead}%.0f 150; yes {alive} | head -n 50");
    let lists = [
        ("-4", list("10.3.0.1", "10.99.0.")),
        ("-6", list("2001:db8:3::1", "2001:db8:99::")),
    ];
    std::thread::scope(|scope| {
        for (family, list) in &lists {
            scope.spawn(|| run(family, list));
        }
    });
}

/// The longest that a list of these tests may take, in seconds; one that hangs ends with status
/// 124.
pub(crate) const LONGEST: u32 = 90;

/// Runs a list on a chain of six hops while a shell script goes on.
pub(crate) fn run(before: &str, list: &str, options: &str, meanwhile: &str) -> Option<Said> {
    run_by(
        &format!("timeout {LONGEST} {HOPSHOT}"),
        before,
        list,
        options,
        meanwhile,
    )
}

/// The same by a command, which the script knows as `$pid`.
pub(crate) fn run_by(
    command: &str,
    before: &str,
    list: &str,
    options: &str,
    meanwhile: &str,
) -> Option<Said> {
    let script = format!(
        "{before}
        ({list}) | {command} -n -q1 --json {options} --targets - &
        pid=$!
        {meanwhile}
        wait $pid"
    );
    command_on_chain(5, &["--ping"], &["sh", "-c", &script])
}
