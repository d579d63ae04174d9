//! The formats of the output. `.ci/formats` has programs of others read them.

use crate::world::{HOPSHOT, Said, command_in_scenario, hopshot, in_scenario, shell_in_scenario};
use serde_json::Value;
use std::collections::BTreeSet;

fn events(stdout: &str) -> Vec<Value> {
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
        .collect()
}

#[test]
fn an_option_that_says_another_format_is_refused_and_so_is_a_picture_of_several_hosts() {
    let refused: [&[&str]; 4] = [
        &["--json", "--format", "csv"],
        &["--json-stream", "--format", "json-stream"],
        &["--json", "--json-stream"],
        &["--format", "xml"],
    ];
    for options in refused {
        let said = hopshot(&[options, &["127.0.0.1"]].concat());
        assert_eq!(
            (
                said.status,
                said.stdout.as_str(),
                said.stderr.lines().count()
            ),
            (2, "", 1),
            "{}",
            said.stderr
        );
    }
    let said = hopshot(&["--format", "svg", "127.0.0.1", "127.0.0.2"]);
    let why = "hopshot: --format svg draws the path to one host: trace one, or take --format dot\n";
    assert_eq!(
        (said.status, said.stdout.as_str(), said.stderr.as_str()),
        (2, "", why)
    );
}

#[test]
fn an_event_is_written_when_it_happens_not_when_the_trace_has_ended() {
    // Ended by a reader that has seen the first answer: one that had to wait for the end would see
    // another reason.
    let script = r#"mkfifo "$0.fifo" && trap 'rm -f "$0.fifo"' EXIT
        "$1" -n -q1 --rate 4 --json-stream "$2" >"$0.fifo" & pid=$!
        { read -r begin; read -r reply; kill -TERM $pid; echo "$begin"; echo "$reply"; cat; } <"$0.fifo"
        wait $pid"#;
    let fifo = std::env::temp_dir().join(format!("hopshot-stream-{}", std::process::id()));
    let command = ["sh", "-c", script, fifo.to_str().unwrap(), HOPSHOT, "{4}"];
    let Some(said) = command_in_scenario("deadtarget", false, &command) else {
        return;
    };
    let events = events(&said.stdout);
    let [begin, reply, .., end] = events.as_slice() else {
        panic!("{}", said.stdout)
    };
    assert_eq!(
        (&begin["event"], &reply["event"], &end["event"]),
        (&"begin".into(), &"reply".into(), &"end".into())
    );
    assert_eq!(
        (said.status, &end["stop_reason"]),
        (1, &"interrupted".into()),
        "{}",
        said.stdout
    );
}

#[test]
fn the_stream_of_several_hosts_has_the_events_of_each_in_order_with_their_names() {
    let hosts = ["target.example", "10.255.0.80"];
    let Some(said) = in_scenario("short", &[&["-4", "--json-stream"], &hosts[..]].concat()) else {
        return;
    };
    for host in hosts {
        let of_host: Vec<Value> = events(&said.stdout)
            .into_iter()
            .filter(|event| event["target"]["name"] == host)
            .collect();
        let kinds: Vec<&str> = of_host
            .iter()
            .map(|event| event["event"].as_str().unwrap())
            .collect();
        assert_eq!(
            (kinds.first(), kinds.last()),
            (Some(&"begin"), Some(&"end")),
            "{kinds:?}"
        );
        let named = |event: &&Value| event["name"] == "gateway.home.example";
        assert!(of_host.iter().any(|event| named(&event)), "{kinds:?}");
        let end = of_host.last().unwrap();
        assert_eq!(
            (&end["reached"], &end["distance"], end.get("hops")),
            (&true.into(), &5.into(), None)
        );
        // What past probes brought from the target is there too.
        let farthest = of_host
            .iter()
            .filter_map(|event| event["hop"].as_u64())
            .max();
        assert!(farthest >= Some(5));
    }
}

#[test]
fn a_reply_of_the_stream_is_the_probe_of_the_document() {
    let Some(stream) = in_scenario("mpls", &["-n", "--format", "json-stream", "{4}"]) else {
        return;
    };
    let Some(document) = in_scenario("mpls", &["-n", "--format", "json", "{4}"]) else {
        return;
    };
    let keys = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let events = events(&stream.stdout);
    let reply = events.iter().find(|event| event["hop"] == 7).unwrap();
    let document = document.json();
    let probe = &document["hops"][6]["probes"][0];
    let of_the_event = ["event", "target", "hop"].map(str::to_owned);
    assert_eq!(
        keys(reply),
        keys(probe).into_iter().chain(of_the_event).collect()
    );
    for same in [
        "from",
        "kind",
        "mpls",
        "reply_ttl",
        "quoted_ttl",
        "evidence",
    ] {
        assert_eq!(reply[same], probe[same]);
    }
}

#[test]
fn a_table_of_several_hosts_has_one_header_and_a_row_for_each_that_is_lost() {
    let hosts = ["{4}", "no-such.example", "{6}"];
    let Some(said) = in_scenario(
        "short",
        &[&["--format", "csv", "-q1", "--outage=0"], &hosts[..]].concat(),
    ) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.split("\r\n").collect();
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("target,target_address,hop,"))
            .count(),
        1
    );
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("no-such.example,,,,not_traced,"))
            .count(),
        1
    );
    assert_eq!(
        (said.status, said.stderr.as_str()),
        (1, ""),
        "{}",
        said.stdout
    );
    assert!(
        lines.len() > 1 + 5 + 5 + 1 && lines.last() == Some(&""),
        "{}",
        said.stdout
    );
    let Some(said) = in_scenario(
        "short",
        &[&["--format", "markdown", "-n", "--outage=0"], &hosts[..]].concat(),
    ) else {
        return;
    };
    assert_eq!(said.stdout.matches("## ").count(), 3, "{}", said.stdout);
    assert!(
        said.stdout.contains("## no-such.example\n\nNot traced: "),
        "{}",
        said.stdout
    );
}

#[test]
fn the_columns_of_a_table_stay_where_they_are_and_new_ones_come_behind_them() {
    const FIRST: &str = "target,target_address,hop,attempt,outcome,from,name,asn,as_name,rtt_ms,kind,icmp_type,icmp_code,mtu,\
        reply_ttl,quoted_ttl,quoted_tos,hops_back,evidence,mpls,error,seen,of,";
    let Some(said) = in_scenario(
        "short",
        &[
            "--format",
            "csv",
            "-n",
            "-q2",
            "--outage=0",
            "{4}",
            "no-such.example",
        ],
    ) else {
        return;
    };
    let mut lines = said.stdout.split("\r\n");
    let head = lines.next().unwrap();
    assert!(head.starts_with(FIRST), "{head}");
    let place = |column: &str| {
        head.split(',')
            .position(|name| name == column)
            .unwrap_or_else(|| panic!("{column}"))
    };
    // Its reason has commas.
    let (lost, traced): (Vec<&str>, Vec<&str>) = lines
        .filter(|line| !line.is_empty())
        .partition(|line| line.contains(",not_traced,"));
    let is_whole = |line: &str| {
        line.contains("Z,") && line.contains(concat!(",", env!("CARGO_PKG_VERSION"), ","))
    };
    assert!(matches!(lost[..], [lost] if is_whole(lost)), "{lost:?}");
    let rows: Vec<Vec<&str>> = traced
        .iter()
        .map(|line| line.split(',').collect())
        .collect();
    let of = |row: &[&str], column: &str| row[place(column)].to_owned();
    for row in &rows {
        assert_eq!(of(row, "version"), env!("CARGO_PKG_VERSION"));
        assert_eq!(
            (of(row, "attempts"), of(row, "max_hops")),
            ("2".to_owned(), "32".to_owned())
        );
        // When that was is for those who append to one file.
        assert!(of(row, "started").ends_with('Z'), "{row:?}");
    }
    let target = rows
        .iter()
        .find(|row| row[place("hop")] == "5")
        .expect("the target answers");
    let told = ["source", "reached", "stop_reason", "lost"].map(|column| of(target, column));
    assert_eq!(told, ["10.0.0.2", "true", "reached", "0"]);
}

#[test]
fn a_host_that_a_list_names_is_no_formula_in_a_table() {
    let Some(said) = in_scenario("short", &["--format", "csv", "-n", "=1+1", "{4}"]) else {
        return;
    };
    assert!(
        said.stdout.contains("\n\\u{3d}1+1,,,,not_traced,"),
        "{}",
        said.stdout
    );
    let is_formula = |cell: &str| cell.starts_with('=');
    assert!(
        !said
            .stdout
            .lines()
            .any(|line| line.split(',').any(is_formula)),
        "{}",
        said.stdout
    );
}

#[test]
fn a_graph_has_no_link_that_is_not_known() {
    let Some(said) = in_scenario("short", &["-n", "-q1", "--format", "dot", "127.0.0.1"]) else {
        return;
    };
    assert!(
        said.stdout
            .contains("  \"from 127.0.0.1\" -> \"127.0.0.1\"\n"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout
            .contains("  \"127.0.0.1\" [label=\"1  127.0.0.1\\n0."),
        "{}",
        said.stdout
    );
    let Some(said) = in_scenario("short", &["-n", "-q1", "-f", "3", "--format", "dot", "{4}"])
    else {
        return;
    };
    let first: Vec<&str> = said
        .stdout
        .lines()
        .filter(|line| line.contains("\"from ") && line.contains("->"))
        .collect();
    assert!(
        matches!(first[..], [link] if link.ends_with("-> \"10.3.0.1\" [style=dashed]")),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("\"10.3.0.1\" -> \"10.4.0.1\"\n"),
        "{}",
        said.stdout
    );
}

/// Some packets have the target at hop 4, some at hop 5.
const UNEVEN: &str = "hops = 4\n[[diamond]]\nat = 3\nlengths = [1, 2]\nby = \"packet\"\n";

#[test]
fn a_router_at_the_hop_of_the_target_is_not_the_target() {
    let scenario = std::env::temp_dir().join(format!("hopshot-uneven-{}.toml", std::process::id()));
    std::fs::write(&scenario, UNEVEN).expect("a file can be written");
    let scenario = scenario.to_str().unwrap();
    for format in ["svg", "dot", "text"] {
        let args = ["-n", "-q9", "--color", "always", "--format", format, "{4}"];
        let Some(said) = in_scenario(scenario, &args) else {
            return;
        };
        let (router, target): (Vec<&str>, Vec<&str>) = match format {
            "svg" => (
                vec!["class=\"hop-row\"", "hop 4: 10.4.1.1"],
                vec!["class=\"target\"", "hop 4: 10.255.0.80"],
            ),
            "dot" => (
                vec!["\"10.4.1.1\" [label=", "ms\"]"],
                vec!["\"10.255.0.80\" [label=", "penwidth"],
            ),
            _ => (vec!["10.4.1.1  "], vec!["\x1b[1m", "10.255.0.80\x1b[0m"]),
        };
        let text = said.stdout.replace("\n<title>", "<title>");
        let stands = |parts: &[&str]| {
            text.lines()
                .any(|line| parts.iter().all(|part| line.contains(part)))
        };
        assert!(stands(&router) && stands(&target), "{}", said.stdout);
    }
    std::fs::remove_file(scenario).expect("the file can be removed");
}

#[test]
fn a_host_for_which_a_format_has_no_place_is_told_on_standard_error() {
    for format in ["atlas", "dot"] {
        let Some(said) = in_scenario(
            "short",
            &["-n", "--format", format, "{4}", "no-such.example"],
        ) else {
            return;
        };
        assert!(
            said.status == 1 && said.stderr.contains("no-such.example"),
            "{}",
            said.stderr
        );
        assert!(!said.stdout.contains("no-such"), "{}", said.stdout);
    }
}

#[test]
fn no_cell_of_a_csv_is_a_formula_whoever_chose_it() {
    let script =
        "echo '10.255.0.80 =1+1' >>/etc/hosts; $0 -4 -n -q1 --format csv =1+1 @nowhere.example";
    let Some(said) = shell_in_scenario("short", script) else {
        return;
    };
    assert!(
        said.stdout
            .contains("\n\\u{3d}1+1,10.255.0.80,1,1,answered,"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("\n\\u{40}nowhere.example,,"),
        "{}",
        said.stdout
    );
    let cells = said.stdout.split([',', '\n']);
    assert_eq!(
        cells
            .filter(|cell| cell.starts_with(['=', '+', '-', '@']))
            .count(),
        0,
        "{}",
        said.stdout
    );
}

/// What hopshot prints in a format: of a target that doesn't answer, beside much that waits for
/// longer than the trace is let.
fn interrupted(socket: &str, target: &str, format: &str) -> Option<Said> {
    let options =
        format!("-n -q1 -w 60 --patience 10 --socket {socket} --format {format} {target}");
    let script = format!("timeout --foreground -s INT 3 \"$0\" {options}; exit 0");
    command_in_scenario("deadtarget", true, &["sh", "-c", &script, HOPSHOT])
}

/// The figures of each hop, and how many probes to it have an answer.
fn of_hops(document: &Value) -> Vec<(u64, u64, u64)> {
    let figures = document["hops"].as_array().unwrap().iter().map(|hop| {
        let answered = hop["probes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|probe| !probe.is_null())
            .count() as u64;
        (
            hop["sent"].as_u64().unwrap(),
            hop["lost"].as_u64().unwrap(),
            answered,
        )
    });
    figures.collect()
}

#[test]
fn what_is_on_its_way_when_a_trace_is_interrupted_is_not_lost_and_when_one_ends_nothing_is() {
    for (socket, target) in ["raw", "ping"]
        .into_iter()
        .flat_map(|socket| ["{4}", "{6}"].map(|target| (socket, target)))
    {
        let run = format!("{socket} {target}");
        let Some(said) = interrupted(socket, target, "json") else {
            return;
        };
        let document = said.json();
        assert_eq!(document["stop_reason"], "interrupted", "{run} {document}");
        let hops = of_hops(&document);
        assert_eq!(
            hops.iter().map(|(sent, ..)| *sent).sum::<u64>(),
            document["probes_sent"],
            "{run} {document}"
        );
        assert!(
            hops.iter().all(|(_, lost, _)| *lost == 0),
            "{run} {document}"
        );
        assert!(
            hops.iter().any(|(sent, _, answered)| sent > answered),
            "{run} {document}"
        );
        let Some(said) = interrupted(socket, target, "csv") else {
            return;
        };
        let rows: Vec<&str> = said.stdout.lines().skip(1).collect();
        assert!(
            rows.len() >= 11 && rows.iter().all(|row| row.contains(",answered,")),
            "{run} {}",
            said.stdout
        );
        let Some(said) = interrupted(socket, target, "json-stream") else {
            return;
        };
        let events = events(&said.stdout);
        let of_kind = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
        assert!(
            of_kind("reply") >= 11 && of_kind("lost") == 0,
            "{run} {}",
            said.stdout
        );
        let answered = of_kind("reply") as u64;
        assert!(
            events.last().unwrap()["probes_sent"].as_u64().unwrap() > answered,
            "{run} {}",
            said.stdout
        );
        // All that has no answer at the end of a trace that ends by itself is lost.
        let args = ["-n", "--socket", socket, "--format", "json", target];
        let Some(said) = command_in_scenario("deadtarget", true, &[&[HOPSHOT], &args[..]].concat())
        else {
            return;
        };
        let hops = of_hops(&said.json());
        assert!(
            hops.iter()
                .all(|(sent, lost, answered)| sent - lost == *answered),
            "{run} {}",
            said.stdout
        );
        assert!(
            hops.iter().any(|(_, lost, _)| *lost > 0),
            "{run} {}",
            said.stdout
        );
    }
}
