//! The commands that trace by TCP and by UDP: those of TCP first.

use super::super::formats::Format;
use super::super::tools::{HOPSHOT, PLAIN, SCAMPER, TRACEROUTE, Tool};
use hopshot_lab::Protocol;

const MTR: Tool = Tool {
    program: "mtr",
    ..PLAIN
};
const TRIP: Tool = Tool {
    program: "trip",
    format: Format::Trippy,
    ..PLAIN
};

/// All of them; arguments are separated by `|`.
pub(in super::super) const TOOLS: &[Tool] = &[
    Tool {
        label: "hopshot --tcp --burst -q 1",
        v4: "-n|--json|--tcp|-p|{p}|--burst|-q|1|{t}",
        v6: "-n|--json|--tcp|-p|{p}|--burst|-q|1|{t}",
        protocol: Protocol::Tcp,
        ..HOPSHOT
    },
    Tool {
        label: "hopshot --tcp -q 1",
        v4: "-n|--json|--tcp|-p|{p}|-q|1|{t}",
        v6: "-n|--json|--tcp|-p|{p}|-q|1|{t}",
        protocol: Protocol::Tcp,
        ..HOPSHOT
    },
    Tool {
        label: "hopshot --tcp -q 1, again",
        again: true,
        v4: "-n|--json|--tcp|-p|{p}|-q|1|--rate|1000000|--at-once|1|{t}|{t}",
        v6: "-n|--json|--tcp|-p|{p}|-q|1|--rate|1000000|--at-once|1|{t}|{t}",
        protocol: Protocol::Tcp,
        ..HOPSHOT
    },
    Tool {
        label: "hopshot --tcp",
        attempts: 3,
        v4: "-n|--json|--tcp|-p|{p}|{t}",
        v6: "-n|--json|--tcp|-p|{p}|{t}",
        protocol: Protocol::Tcp,
        ..HOPSHOT
    },
    Tool {
        label: "hopshot --tcp -q 1, without root",
        v4: "-n|--json|--tcp|--socket|tcp|-p|{p}|-q|1|{t}",
        v6: "-n|--json|--tcp|--socket|tcp|-p|{p}|-q|1|{t}",
        protocol: Protocol::Tcp,
        ..HOPSHOT
    },
    Tool {
        label: "hopshot --tcp -q 1, without root, again",
        again: true,
        v4: "-n|--json|--tcp|--socket|tcp|-p|{p}|-q|1|--rate|1000000|--at-once|1|{t}|{t}",
        v6: "-n|--json|--tcp|--socket|tcp|-p|{p}|-q|1|--rate|1000000|--at-once|1|{t}|{t}",
        protocol: Protocol::Tcp,
        ..HOPSHOT
    },
    // Without `-O info` it doesn't say what the port is.
    Tool {
        label: "traceroute -T -q1 -N30",
        v4: "-T|-O|info|-n|-p|{p}|-q1|-N30|{t}",
        v6: "-6|-T|-O|info|-n|-p|{p}|-q1|-N30|{t}",
        protocol: Protocol::Tcp,
        ..TRACEROUTE
    },
    Tool {
        label: "traceroute -T",
        attempts: 3,
        v4: "-T|-O|info|-n|-p|{p}|{t}",
        v6: "-6|-T|-O|info|-n|-p|{p}|{t}",
        protocol: Protocol::Tcp,
        ..TRACEROUTE
    },
    Tool {
        label: "mtr -T -c1 -i0.01 -G0.2",
        v4: "-T|-P|{p}|-n|-r|-w|-c1|-i0.01|-G0.2|{t}",
        v6: "-6|-T|-P|{p}|-n|-r|-w|-c1|-i0.01|-G0.2|{t}",
        protocol: Protocol::Tcp,
        ..MTR
    },
    // One at a time: with several under way it takes no SYN/ACK or RST for an answer. It writes
    // Ethernet frames.
    Tool {
        label: "scamper -P tcp -N 1 -g 31 -w 1 -q 1",
        lab: &["--link", "veth"],
        v4: "-p|1000|-I|trace -P tcp -d {p} -N 1 -g 31 -m 30 -w 1 -q 1 {t}",
        v6: "-p|1000|-I|trace -P tcp -d {p} -N 1 -g 31 -m 30 -w 1 -q 1 {t}",
        protocol: Protocol::Tcp,
        ..SCAMPER
    },
    // With rounds of less than 100 ms it doesn't see the target.
    Tool {
        label: "trip --tcp -C1 -i 200ms -T 3s -g 20ms",
        v4: "-m|json|--tcp|-P|{p}|-C1|-i|200ms|-T|3s|-g|20ms|{t}",
        v6: "-6|-m|json|--tcp|-P|{p}|-C1|-i|200ms|-T|3s|-g|20ms|{t}",
        protocol: Protocol::Tcp,
        ..TRIP
    },
    Tool {
        label: "hopshot --udp --burst -q 1",
        v4: "-n|--json|--udp|-p|{p}|--burst|-q|1|{t}",
        v6: "-n|--json|--udp|-p|{p}|--burst|-q|1|{t}",
        protocol: Protocol::Udp,
        ..HOPSHOT
    },
    Tool {
        label: "hopshot --udp -q 1",
        v4: "-n|--json|--udp|-p|{p}|-q|1|{t}",
        v6: "-n|--json|--udp|-p|{p}|-q|1|{t}",
        protocol: Protocol::Udp,
        ..HOPSHOT
    },
    Tool {
        label: "hopshot --udp --burst -q 1, without root",
        v4: "-n|--json|--udp|--socket|udp|-p|{p}|--burst|-q|1|{t}",
        v6: "-n|--json|--udp|--socket|udp|-p|{p}|--burst|-q|1|{t}",
        protocol: Protocol::Udp,
        ..HOPSHOT
    },
    Tool {
        label: "hopshot --udp -q 1, without root",
        v4: "-n|--json|--udp|--socket|udp|-p|{p}|-q|1|{t}",
        v6: "-n|--json|--udp|--socket|udp|-p|{p}|-q|1|{t}",
        protocol: Protocol::Udp,
        ..HOPSHOT
    },
    Tool {
        label: "traceroute -U -q1 -N30",
        v4: "-U|-n|-p|{p}|-q1|-N30|{t}",
        v6: "-6|-U|-n|-p|{p}|-q1|-N30|{t}",
        protocol: Protocol::Udp,
        ..TRACEROUTE
    },
    Tool {
        label: "mtr -u -c1 -i0.01 -G0.2",
        v4: "-u|-P|{p}|-n|-r|-w|-c1|-i0.01|-G0.2|{t}",
        v6: "-6|-u|-P|{p}|-n|-r|-w|-c1|-i0.01|-G0.2|{t}",
        protocol: Protocol::Udp,
        ..MTR
    },
    Tool {
        label: "scamper -P udp-paris -N 30 -g 31 -w 1 -q 1",
        v4: "-p|1000|-I|trace -P udp-paris -d {p} -N 30 -g 31 -m 30 -w 1 -q 1 {t}",
        v6: "-p|1000|-I|trace -P udp-paris -d {p} -N 30 -g 31 -m 30 -w 1 -q 1 {t}",
        protocol: Protocol::Udp,
        ..SCAMPER
    },
    Tool {
        label: "trip --udp -R paris -C1 -i 1ms -T 3s -g 20ms",
        one_flow: true,
        v4: "-m|json|--udp|-R|paris|-P|{p}|-C1|-i|1ms|-T|3s|-g|20ms|{t}",
        v6: "-6|-m|json|--udp|-R|paris|-P|{p}|-C1|-i|1ms|-T|3s|-g|20ms|{t}",
        protocol: Protocol::Udp,
        ..TRIP
    },
];
