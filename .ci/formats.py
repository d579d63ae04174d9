"""Runs hopshot in the lab and reads what it writes with programs of others: JSON Schema, RIPE Atlas's parser, Python's CSV,
Graphviz, an XML parser and librsvg, a Markdown parser. Arguments: the lab, hopshot, the folder of the command's sources."""

import csv
import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt
from referencing import Registry, Resource
from ripe.atlas.sagan import TracerouteResult

LAB, HOPSHOT, SOURCES = sys.argv[1:]
DATABASE = f"{SOURCES}/tests/data/asn.mmdb"
TARGETS = {"{4}": "10.255.0.80", "{6}": "2001:db8:ffff::80"}
SVG = "{http://www.w3.org/2000/svg}"


def run(scenario, *options, status=0):
    command = [LAB, "run", scenario, "--ping", "--", HOPSHOT, *options]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == status, (options, done.returncode, done.stderr)
    # Not as text: that would change the ends of lines.
    return done.stdout.decode()


def strict(schema):
    """The schema without room for a field that it doesn't name: those are for later versions only."""
    for name, definition in schema["$defs"].items():
        if definition.get("type") == "object" and not name.endswith("Fields"):
            definition["unevaluatedProperties"] = False
    return schema


def schemas():
    files = {path.name: json.loads(path.read_text()) for path in Path(SOURCES, "schema").glob("*.json")}
    for schema in files.values():
        Draft202012Validator.check_schema(schema)
    registry = Registry().with_resources((name, Resource.from_contents(strict(files[name]))) for name in files)
    checker = Draft202012Validator.FORMAT_CHECKER
    return [
        Draft202012Validator({"$ref": name}, registry=registry, format_checker=checker)
        for name in ("hopshot.schema.json", "stream.schema.json", "watch.schema.json", "paths.schema.json", "compare.schema.json")
    ]


DOCUMENT, EVENT, WATCH, PATHS, COMPARE = schemas()


def addresses(document):
    """The first address of each hop."""
    return [next((probe["from"] for probe in hop["probes"] if probe and "from" in probe), None) for hop in document["hops"]]


def json_is_as_its_schema_says(scenario, status, target, socket):
    document = json.loads(run(scenario, "--json", "--socket", socket, target, status=status))
    DOCUMENT.validate(document)
    assert document["socket"] == socket and document["target"]["address"] == TARGETS[target]
    assert document["reached"] == (status == 0)


def the_stream_is_as_its_schema_says(scenario, status, target, socket):
    events = [json.loads(line) for line in run(scenario, "--json-stream", "--socket", socket, target, status=status).splitlines()]
    for event in events:
        EVENT.validate(event)
        assert event["target"] == {"name": TARGETS[target], "address": TARGETS[target]}
    kinds = [event["event"] for event in events]
    assert kinds[0] == "begin" and kinds[-1] == "end" and {"begin", "end"}.isdisjoint(kinds[1:-1])
    assert {"reply", "address"} <= set(kinds), kinds
    heard = {event["from"] for event in events if event["event"] == "reply"}
    assert {event["address"] for event in events if event["event"] == "address"} <= heard
    assert events[-1]["reached"] == (status == 0)


def the_report_of_a_watch_is_as_its_schema_says(scenario, status, target):
    report = json.loads(run(scenario, "--watch", "--count", "3", "--every", "0.1", "--json", target, status=status))
    WATCH.validate(report)
    assert report["rounds"] == 3 and report["reached"] == (status == 0) and report["hops"][0]["sent"] == 3


def the_graph_of_all_paths_is_as_its_schema_says(scenario, status, target):
    graph = json.loads(run(scenario, "--paths", "--json", target, status=status))
    PATHS.validate(graph)
    assert graph["reached"] == (status == 0)
    assert all(edge[end] < len(graph["nodes"]) for edge in graph["edges"] for end in ("from", "to"))


def a_search_for_the_path_mtu_is_as_the_schema_says(scenario, status, target):
    document = json.loads(run(scenario, "--mtu", "--json", target, status=status))
    DOCUMENT.validate(document)
    assert document["reached"] == (document["path_mtu"] is not None) == (status == 0)
    assert bool(document["mtu_limits"]) == scenario.startswith("mtu"), document["mtu_limits"]


def what_can_not_be_sent_is_in_every_format():
    def chain(form):
        command = [LAB, "chain", "2", "--", HOPSHOT, "-n", "-F", "--size", "3000", "-q1", "-m2", "--format", form, "{4}"]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).stdout.decode()

    DOCUMENT.validate(json.loads(chain("json")))
    events = [json.loads(line) for line in chain("json-stream").splitlines()]
    for event in events:
        EVENT.validate(event)
    assert [event["event"] for event in events].count("failed") >= 2
    result = TracerouteResult(chain("atlas"), on_malformation=TracerouteResult.ACTION_FAIL, on_error=TracerouteResult.ACTION_IGNORE)
    assert [hop.error_message for hop in result.hops] == ["Message too long"] * 2
    assert {row["error"] for row in csv.DictReader(io.StringIO(chain("csv")))} == {"Message too long"}
    assert "Message too long" in list(ElementTree.fromstring(chain("svg")).itertext())


def tcp_and_udp_are_in_every_format(scenario, protocol, target):
    """Whatever stands between, and whatever the target says."""
    options = ["-n", "-q1", protocol, target]
    lab = lambda *more: subprocess.run([LAB, "run", scenario, "--", HOPSHOT, *options, *more], capture_output=True, timeout=60, check=False)
    text = lambda *more: lab(*more).stdout.decode()
    document = json.loads(text("--json"))
    DOCUMENT.validate(document)
    assert document["protocol"] == protocol.strip("-") and document["port"] and document["source_port"]
    for line in text("--json-stream").splitlines():
        EVENT.validate(json.loads(line))
    report = json.loads(text("--watch", "--count", "2", "--every", "0.3", "--json"))
    WATCH.validate(report)
    assert "port_state" in report, report
    PATHS.validate(json.loads(text("--paths", "--json")))
    result = TracerouteResult(text("--format", "atlas"), on_malformation=TracerouteResult.ACTION_FAIL)
    assert result.protocol == protocol.strip("-").upper(), result.protocol
    rows = list(csv.DictReader(io.StringIO(text("--format", "csv"), newline=""), strict=True))
    assert {row["protocol"] for row in rows} == {protocol.strip("-")}


def lost_hosts_have_documents_and_events():
    hosts = ["--outage", "1", "no-such.example", "10.255.0.80"]
    for line in run("short", "--json", *hosts, status=1).splitlines():
        DOCUMENT.validate(json.loads(line))
    events = [json.loads(line) for line in run("short", "--json-stream", *hosts, status=1).splitlines()]
    for event in events:
        EVENT.validate(event)
    assert [event["event"] for event in events if event["target"]["name"] == "no-such.example"] == ["error"]


def what_routes_share_is_in_every_format_of_lists():
    # Of several networks (/24): those of one alone can't name a router.
    hosts = [f"10.200.{number % 8}.{number}" for number in range(1, 61)]
    of_list = lambda form: run("many", "-n", "-q1", "--format", form, *hosts)
    documents = [json.loads(line) for line in of_list("json").splitlines()]
    for document in documents:
        DOCUMENT.validate(document)
    assert sum("shared" in document for document in documents) > 20
    events = [json.loads(line) for line in of_list("json-stream").splitlines()]
    for event in events:
        EVENT.validate(event)
    assert any("shared" in event for event in events)
    rows = list(csv.DictReader(io.StringIO(of_list("csv"), newline=""), strict=True))
    shared = [row for row in rows if row["outcome"] == "shared"]
    assert all(row["from"] == f"10.{row['hop']}.0.1" and not row["rtt_ms"] and int(row["seen"]) >= 16 for row in shared)
    assert len(rows) == 60 * 12 and any(row["outcome"] == "shared" for row in rows)
    for line in of_list("atlas").splitlines():
        assert TracerouteResult(line, on_malformation=TracerouteResult.ACTION_FAIL).destination_ip_responded
    drawn = subprocess.run(["dot", "-Tsvg"], input=of_list("dot").encode(), capture_output=True, timeout=60, check=True)
    assert not drawn.stderr, drawn.stderr
    assert "were not probed" in of_list("markdown")


def ases_are_in_json():
    document = json.loads(run("wan", "--json", "--asn-db", DATABASE, "{4}"))
    DOCUMENT.validate(document)
    assert any(probe["asn"] for hop in document["hops"] for probe in hop["probes"] if probe)
    for line in run("wan", "--json-stream", "--asn-db", DATABASE, "{4}").splitlines():
        EVENT.validate(json.loads(line))


def the_schemas_refuse_what_is_wrong():
    document = json.loads(run("short", "--json", "-n", "{4}"))
    for change in ({"stop_reason": "tired"}, {"distance": "near"}, {"surplus": 1}, {"source": "here"}, {"started": "now Z"}):
        assert not DOCUMENT.is_valid({**document, **change}), change


def atlas_is_read_by_its_own_parser(scenario, target, distance):
    status = 0 if distance else 1
    # An unreachable is an error of the result, not of the format.
    action = {"on_error": TracerouteResult.ACTION_FAIL if distance else TracerouteResult.ACTION_IGNORE}
    result = TracerouteResult(
        run(scenario, "--format", "atlas", "-n", target, status=status),
        on_malformation=TracerouteResult.ACTION_FAIL,
        **action,
    )
    assert not result.is_malformed and result.protocol == "ICMP" and result.af == (4 if target == "{4}" else 6)
    assert result.destination_address == result.destination_name == TARGETS[target]
    assert result.size == (52 if target == "{4}" else 72) and result.end_time >= result.created
    assert (result.is_success, result.destination_ip_responded) == (bool(distance), bool(distance)), scenario
    if distance:
        assert result.total_hops == distance and 79 < result.last_median_rtt < 1000
    path = addresses(json.loads(run(scenario, "--json", "-n", target, status=status)))
    heard = [next((packet.origin for packet in hop.packets if packet.origin), None) for hop in result.hops]
    assert heard == path, (scenario, heard, path)
    assert all(not packet.rtt or 0 < packet.ttl < 256 for hop in result.hops for packet in hop.packets)
    if scenario == "unreach":
        assert result.last_hop_errors[0] == "Destination unreachable"
    if scenario == "mpls":
        labels = [packet.icmp_header.objects[0]["mpls"] for packet in result.hops[6].packets]
        assert [entry["label"] for entry in labels[0]] == [24002, 16]
        assert result.hops[0].packets[0].icmp_header is None


def what_proves_nothing_is_counted_apart(target):
    sockets = ("-n", "--socket", "udp", target)
    document = json.loads(run("short-quotes", "-U", "--json", *sockets))
    DOCUMENT.validate(document)
    for hop in document["hops"][:-1]:
        answers = [probe for probe in hop["probes"] if probe]
        assert hop["sent"] - hop["lost"] == hop["unproven"] == len(answers) > 0 and hop["median_ms"] is None, hop
        assert all(answer["source_port"] != document["source_port"] for answer in answers)
    result = TracerouteResult(run("short-quotes", "-U", "--format", "atlas", *sockets), on_malformation=TracerouteResult.ACTION_FAIL)
    assert result.is_success and all(not packet.rtt for hop in result.hops[:-1] for packet in hop.packets)
    rows = list(csv.DictReader(io.StringIO(run("short-quotes", "-U", "--format", "csv", *sockets))))
    assert {row["evidence"] for row in rows if row["hop"] == "1" and row["from"]} == {"weak"}
    assert all(int(row["unproven"]) == (row["hop"] != "12") for row in rows)
    comparison = json.loads(run("short-quotes", "--compare=udp,quic", "-m6", "--json", *sockets, status=1))
    COMPARE.validate(comparison)
    for end in comparison["verdict"]["ends"]:
        assert (end["end"], end["after_hop"], end["unproven"]) == ("max_hops", 0, {"hop": 6, "target": False}), end


def atlas_is_a_line_for_each_host():
    lines = run("short", "--format", "atlas", "{4}", "{6}").splitlines()
    results = [TracerouteResult(line, on_malformation=TracerouteResult.ACTION_FAIL) for line in lines]
    assert {result.destination_address for result in results} == set(TARGETS.values())


def csv_is_read_by_python():
    text = run("silent", "--format", "csv", "--outage", "1", "{4}", "no-such.example", "{6}", status=1)
    assert text.count("\n") == text.count("\r\n")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert sum(line.startswith("target,") for line in text.splitlines()) == 1
    assert all(None not in row and None not in row.values() for row in rows)
    [lost] = [row for row in rows if row["outcome"] == "not_traced"]
    assert lost["target"] == "no-such.example" and lost["error"] and not lost["hop"]
    for target in TARGETS.values():
        probes = [row for row in rows if row["target"] == target]
        assert {int(row["hop"]) for row in probes} == set(range(1, 13))
        assert {row["hop"] for row in probes if row["outcome"] == "lost"} >= {"3", "4", "7"}
        answered = [row for row in probes if row["outcome"] == "answered"]
        assert all(float(row["rtt_ms"]) > 0 and row["name"] for row in answered)
        assert {row["kind"] for row in answered} == {"time_exceeded", "echo_reply"}


def markdown_is_a_table():
    def table(text):
        """The titles and the cells as a parser sees them, in the text alone."""
        tokens = MarkdownIt("commonmark").enable("table").parse(text)
        inline = lambda after: [
            "".join(part.content for part in tokens[index + 1].children)
            for index, token in enumerate(tokens)
            if token.type == after
        ]
        assert not any(token.type.startswith("html") for token in tokens)
        return inline("heading_open"), inline("th_open"), inline("td_open")

    titles, head, cells = table(run("unreach", "--format", "markdown", "{name}", status=1))
    assert titles == ["target.example"] and len(head) == 7 and len(cells) == 6 * 7, (titles, head, cells)
    assert cells[2] == "gateway.home.example" and cells[-1].endswith(" !H"), cells
    titles, head, cells = table(run("silent", "--format", "markdown", "--asn-db", DATABASE, "{4}", "{6}"))
    assert len(titles) == 2 and len(head) == 2 * 8 and len(cells) == 2 * 12 * 8
    assert cells[2 * 8 : 2 * 8 + 5] == ["3", "*", "", "", "100 %"], cells[16:24]


def dot_is_drawn_by_graphviz(scenario, status, *targets):
    text = run(scenario, "--format", "dot", *targets, status=status)
    drawn = subprocess.run(["dot", "-Tsvg"], input=text.encode(), capture_output=True, timeout=60, check=True)
    assert not drawn.stderr, drawn.stderr
    groups = ElementTree.fromstring(drawn.stdout).iter(f"{SVG}g")
    return [group.get("class") for group in groups], [text for text in ElementTree.fromstring(drawn.stdout).itertext()]


def graphs_have_their_nodes():
    classes, texts = dot_is_drawn_by_graphviz("wan", 0, "{4}")
    assert (classes.count("node"), classes.count("edge")) == (13, 12)
    classes, texts = dot_is_drawn_by_graphviz("ecmp-packet", 0, "{4}")
    assert (classes.count("node"), classes.count("edge")) == (14, 14), classes
    classes, texts = dot_is_drawn_by_graphviz("silent", 0, "{4}")
    assert {"3  *", "4  *", "7  *"} <= {text.replace("\u00a0", " ") for text in texts}, texts
    # Both families share nothing but the graph.
    classes, texts = dot_is_drawn_by_graphviz("short", 1, "--outage", "1", "{4}", "{6}", "no-such.example")
    assert (classes.count("graph"), classes.count("node")) == (1, 12)
    dot_is_drawn_by_graphviz("loop", 1, "{4}")
    dot_is_drawn_by_graphviz("deadtarget", 1, "{name}")
    dot_is_drawn_by_graphviz("interface-name", 0, "{name}")


def svg_is_drawn_by_librsvg(scenario, status, *options):
    text = run(scenario, "--format", "svg", *options, status=status)
    picture = ElementTree.fromstring(text)
    assert picture.tag == f"{SVG}svg" and not list(picture.iter(f"{SVG}script")) and "href" not in text
    drawn = subprocess.run(["rsvg-convert"], input=text.encode(), capture_output=True, timeout=60, check=True)
    assert drawn.stdout.startswith(b"\x89PNG") and not drawn.stderr, drawn.stderr
    document = json.loads(run(scenario, "--json", "-n", "-4", "{name}", status=status))
    shown = set(picture.itertext())
    if "-4" in options:
        assert {address for address in addresses(document) if address} <= {text.split("  ")[0] for text in shown}


def main():
    jobs = []
    with ThreadPoolExecutor(4) as pool:
        add = lambda *job: jobs.append((job, pool.submit(*job)))
        routes = {"wan": 0, "mpls": 0, "silent": 0, "interface-name": 0, "unreach": 1, "deadtarget": 1, "loop": 1}
        for scenario, status in routes.items():
            for target, socket in (("{4}", "raw"), ("{4}", "ping"), ("{6}", "raw"), ("{6}", "ping")):
                add(json_is_as_its_schema_says, scenario, status, target, socket)
                if (target, socket) != ("{4}", "ping"):
                    add(the_stream_is_as_its_schema_says, scenario, status, target, socket)
        for scenario, status, target in (("wan", 0, "{6}"), ("silent", 0, "{4}"), ("deadtarget", 1, "{4}")):
            add(the_report_of_a_watch_is_as_its_schema_says, scenario, status, target)
        for scenario, status, target in (("ecmp", 0, "{6}"), ("ecmp-packet", 0, "{4}"), ("unreach", 1, "{4}")):
            add(the_graph_of_all_paths_is_as_its_schema_says, scenario, status, target)
        for scenario in ("wan", "first-syn", "no-icmp", "port-nat", "tcp-rejected", "tcp-filtered"):
            add(tcp_and_udp_are_in_every_format, scenario, "--tcp", "{4}")
            add(tcp_and_udp_are_in_every_format, scenario, "--udp", "{6}")
        for scenario, status in (("mtu", 0), ("mtu-odd", 0), ("mtu-silent", 0), ("mtu-forged", 0), ("deadtarget", 1)):
            for target in TARGETS:
                add(a_search_for_the_path_mtu_is_as_the_schema_says, scenario, status, target)
        add(what_can_not_be_sent_is_in_every_format)
        add(lost_hosts_have_documents_and_events)
        add(what_routes_share_is_in_every_format_of_lists)
        add(ases_are_in_json)
        add(the_schemas_refuse_what_is_wrong)
        for target in TARGETS:
            add(what_proves_nothing_is_counted_apart, target)
            for scenario, distance in {"wan": 12, "mpls": 12, "silent": 12, "unreach": None, "deadtarget": None}.items():
                add(atlas_is_read_by_its_own_parser, scenario, target, distance)
        add(atlas_is_a_line_for_each_host)
        add(csv_is_read_by_python)
        add(markdown_is_a_table)
        add(graphs_have_their_nodes)
        for scenario, status in {**routes, "ecmp-packet": 0}.items():
            add(svg_is_drawn_by_librsvg, scenario, status, "-4", "{name}")
        add(svg_is_drawn_by_librsvg, "wan", 0, "-n", "{6}")
        add(svg_is_drawn_by_librsvg, "wan", 0, "-4", "--asn-db", DATABASE, "{name}")
    failed = [(job, done.exception()) for job, done in jobs if done.exception()]
    for (job, *arguments), error in failed:
        print(f"{job.__name__} {arguments}: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"{len(jobs) - len(failed)} of {len(jobs)} checks of formats passed")
    sys.exit(bool(failed))


main()
