//! TCP and UDP through boxes that answer, drop or divert in the name of others, played by the
//! kernel of this machine. Whatever they do, a port is what the one who answered says, no router
//! stands at a hop that isn't its own, and no distance is wrong.

use crate::needs::needs;
use crate::transport::{FORWARD, TARGETS, answers, rules};
use crate::world::{HOPSHOT, command_on_chain};
use serde_json::Value;

/// Ports of the target: served, where nobody listens, and dropped by its firewall.
const OPEN: &str = "443";
const CLOSED: &str = "81";
const DROPPED: &str = "444";

/// An address that only translators know.
const VIRTUAL: [&str; 2] = ["10.4.0.9", "2001:db8:4::9"];

/// Rules by which the target drops a port.
const DROPPED_THERE: &str = "4=nft add table inet d; \
     nft add chain inet d i '{ type filter hook input priority 0; }'; \
     nft add rule inet d i meta l4proto { tcp, udp } th dport 444 drop";

/// The document of a trace, and the command's exit status.
struct Told(Value, i32);

impl Told {
    fn distance(&self) -> Option<u64> {
        self.0["distance"].as_u64()
    }

    /// Checks that the target was heard, and only with this, or one of these: also by the probe
    /// that was to learn the distance.
    fn says(&self, expected: &str) {
        let Self(document, status) = self;
        assert_eq!((&document["reached"], *status), (&true.into(), 0));
        let mut all = answers(document);
        all.extend(document["knock"].as_str());
        let are_expected = all
            .iter()
            .all(|it| expected.split(' ').any(|one| one == *it));
        assert!(!all.is_empty() && are_expected, "{document}");
    }

    /// Checks that the target says this, at this distance, behind routers as far as there.
    fn is_at(&self, distance: u64, answer: &str, target: &str) {
        self.says(answer);
        assert_eq!(self.distance(), Some(distance), "{}", self.0);
        self.credits_routers_to(distance - 1, target);
    }

    /// Checks that somebody says this in the target's name, at this hop, where a router is.
    fn is_proxied_at(&self, hop: u64, answer: &str, target: &str) {
        let Self(document, status) = self;
        assert_eq!(document["stop_reason"], "proxied", "{document}");
        assert_eq!((&document["reached"], *status), (&false.into(), 1));
        assert_eq!(self.distance(), None, "{document}");
        let router = target.replacen('4', &hop.to_string(), 1);
        // Here nobody may open a ping socket.
        let protocol = if document["socket"] == "raw" {
            "icmp"
        } else {
            "udp"
        };
        let proxy = serde_json::json!({
            "hop": hop, "router": router, "protocol": protocol, "certain": true
        });
        assert_eq!(document["proxy"], proxy, "{document}");
        let mut said = answers(document);
        said.dedup();
        assert_eq!(said, [answer], "{document}");
        self.credits_routers_to(hop - 1, target);
    }

    /// Checks that nothing is said of the target but how the trace ended.
    fn is_unanswered(&self, stop_reasons: &[&str]) {
        let Self(document, status) = self;
        let stop_reason = document["stop_reason"].as_str().unwrap();
        assert!(stop_reasons.contains(&stop_reason), "{document}");
        assert_eq!((&document["reached"], *status), (&false.into(), 1));
        assert_eq!((self.distance(), answers(document)), (None, vec![]));
        assert_eq!(document["knock"], Value::Null, "{document}");
    }

    /// Checks that whoever answered at a hop is the router there, and farther on the target.
    fn credits_routers_to(&self, last: u64, target: &str) {
        for hop in self.0["hops"].as_array().unwrap() {
            let number = hop["hop"].as_u64().unwrap();
            // The target is hop 4, and has that number in its address.
            let router = target.replacen('4', &number.to_string(), 1);
            let true_one = if number > last { target } else { &router };
            for probe in hop["probes"].as_array().unwrap() {
                let from = probe["from"].as_str();
                assert!(from.is_none_or(|from| from == true_one), "{}", self.0);
            }
        }
    }
}

/// Traces with this at hops of a chain of three routers.
fn trace(at: &[&str], args: &[&str]) -> Option<Told> {
    let at = at.iter().flat_map(|at| ["--at", at]);
    let options: Vec<&str> = ["--serve", OPEN].into_iter().chain(at).collect();
    let command = [&[HOPSHOT, "-n", "--json"][..], args].concat();
    let said = command_on_chain(3, &options, &command)?;
    Some(Told(said.json(), said.status))
}

/// The same on each kind of socket that can do it.
fn each_socket<'a>(args: &[&'a str]) -> Vec<Vec<&'a str>> {
    let has = |option| args.contains(&option);
    let without_root = has("-T") && !has("--source-port");
    let more: &[&[&str]] = match without_root {
        true => &[&[], &["--socket", "tcp"]],
        false => &[&[]],
    };
    let with = |more: &&[&'a str]| [args, more].concat();
    more.iter().map(with).collect()
}

/// Traces on each kind of socket, and checks what is told.
fn on_each(at: &[&str], args: &[&str], check: impl Fn(Told)) -> Option<()> {
    for args in each_socket(args) {
        check(trace(at, &args)?);
    }
    Some(())
}

/// Does the same for each of two addresses at the same time: most of a trace is waiting.
fn for_each(targets: [&str; 2], check: impl Fn(&str) -> Option<()> + Sync) {
    std::thread::scope(|scope| {
        let check = &check;
        for target in targets {
            scope.spawn(move || check(target));
        }
    });
}

/// A command for a hop: a script of these tests, with its arguments.
fn script(hop: u8, words: &str) -> String {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    format!("{hop}=python3 {tests}/data/{words}")
}

/// A delay at the start, as on any real path: several probes are on their way at once.
fn slow() -> String {
    script(0, "slow_link.py 0.01")
}

/// A command that waits until somebody listens at a port.
fn until_served(port: &str) -> String {
    let is_there = format!("ss -lntuH sport = {port} | grep -q .");
    format!("for i in $(seq 100); do {is_there} && break; sleep 0.05; done")
}

#[test]
fn where_no_icmp_passes_the_target_is_found_and_nothing_is_made_of_silence() {
    needs("nft");
    let icmp = rules(1, FORWARD, &["meta l4proto { icmp, icmpv6 } drop"]);
    for_each(TARGETS, |target| {
        for (protocol, port, answer) in [
            ("-T", OPEN, Some("syn_ack")),
            ("-T", CLOSED, Some("rst")),
            ("-T", DROPPED, None),
            ("-U", OPEN, Some("datagram")),
            // The error that would say so doesn't pass.
            ("-U", CLOSED, None),
        ] {
            let at = [&icmp, DROPPED_THERE];
            let args = ["-q1", protocol, "-p", port, target];
            on_each(&at, &args, |told| match answer {
                Some(answer) => told.is_at(4, answer, target),
                None => told.is_unanswered(&["quiet", "timeout"]),
            })?;
        }
        Some(())
    });
}

#[test]
fn a_firewall_that_resets_or_forbids_answers_from_where_it_stands() {
    needs("nft");
    let resets = rules(2, FORWARD, &["tcp dport 443 reject with tcp reset"]);
    let forbids = ["meta l4proto { tcp, udp } th dport 443 reject with icmpx admin-prohibited"];
    let router = rules(2, FORWARD, &forbids);
    let target_itself = rules(4, "filter hook input priority 0", &forbids);
    for_each(TARGETS, |target| {
        // It looks at what has hops left, in the target's name: as the hop after it would.
        on_each(&[&resets], &["-T", target], |told| {
            told.is_proxied_at(3, "rst", target);
        })?;
        for protocol in ["-T", "-U"] {
            let args = ["-q1", protocol, "-p", OPEN, target];
            on_each(&[&router], &args, |told| {
                told.is_unanswered(&["filtered"]);
            })?;
            // The target answers, if only that it forbids it.
            on_each(&[&target_itself], &args, |told| {
                assert_eq!(told.0["stop_reason"], "filtered", "{}", told.0);
                assert_eq!((told.distance(), told.1), (Some(4), 0), "{}", told.0);
                assert_eq!(answers(&told.0), [""; 0], "{}", told.0);
            })?;
        }
        Some(())
    });
}

#[test]
fn where_only_the_first_syn_passes_nothing_false_is_said() {
    needs("nft");
    needs("python3");
    // Firewalls that know connections drop a second SYN with another sequence number.
    let first = |hop| {
        let sets = ["ip", "ip6"].map(|ip| {
            let key = format!("{ip} saddr . {ip} daddr . tcp sport . tcp dport");
            format!(
                "nft add set inet t {ip}s '{{ typeof {key}; flags dynamic; size 1000; }}'; \
                 nft add rule inet t c tcp flags syn / syn,ack {key} @{ip}s drop; \
                 nft add rule inet t c tcp flags syn / syn,ack add @{ip}s '{{ {key} }}'; "
            )
        });
        rules(hop, FORWARD, &[]) + &sets.concat()
    };
    for_each(TARGETS, |target| {
        for at in [&[first(1).as_str()][..], &[&first(3), &slow()]] {
            for (port, answer) in [(OPEN, "syn_ack"), (CLOSED, "rst")] {
                on_each(at, &["-T", "-q1", "-p", port, target], |told| {
                    told.says(answer);
                    assert_eq!(told.distance(), Some(4), "{}", told.0);
                    // Behind router 3 there is the target alone, which the first SYN reaches.
                    let is_one = at.len() > 1 && told.0["socket"] == "raw";
                    assert_eq!(told.0["one_flow"], is_one, "{}", told.0);
                    told.credits_routers_to(3, target);
                })?;
            }
        }
        Some(())
    });
}

#[test]
fn a_firewall_that_tracks_connections_loses_no_answer() {
    needs("nft");
    needs("python3");
    let tracks = ["ct state invalid drop"];
    let at_router = rules(1, FORWARD, &tracks);
    let here = rules(0, "filter hook input priority 0", &tracks);
    for_each(TARGETS, |target| {
        for at in [&at_router, &here] {
            for (port, answer) in [(OPEN, "syn_ack"), (CLOSED, "rst")] {
                for _ in 0..3 {
                    on_each(&[at, &slow()], &["-T", "-p", port, target], |told| {
                        told.is_at(4, answer, target);
                        assert_eq!(answers(&told.0), [answer; 3], "{}", told.0);
                    })?;
                }
            }
        }
        Some(())
    });
}

#[test]
fn a_proxy_of_syns_is_told_from_the_target() {
    needs("nft");
    // Of IPv4 alone: of IPv6 the kernel's proxy drops any SYN whose checksum is complete already.
    let proxy = rules(
        2,
        "filter hook prerouting priority -300",
        &[
            "tcp dport { 443, 81 } tcp flags syn / fin,syn,rst,ack notrack; \
             nft add chain inet t f '{ type filter hook forward priority 0; }'; \
             nft add rule inet t f tcp dport { 443, 81 } ct state { invalid, untracked } \
             synproxy mss 1460 wscale 7 timestamp sack-perm; \
             nft add rule inet t f ct state invalid drop",
        ],
    );
    for port in [OPEN, CLOSED] {
        let args = ["-T", "-p", port, TARGETS[0]];
        let _ = on_each(&[&proxy], &args, |told| {
            told.is_proxied_at(3, "syn_ack", TARGETS[0]);
        });
    }
}

#[test]
fn a_redirect_is_told_from_the_target() {
    needs("nft");
    needs("python3");
    for_each(TARGETS, |target| {
        // On this machine, as a service mesh has it, and at a router.
        for (hop, hook, distance) in [(0, "output", 1), (2, "prerouting", 2)] {
            let hook = format!("nat hook {hook} priority -100");
            let what = "meta l4proto { tcp, udp } th dport 443 redirect to :15001";
            let redirect = rules(hop, &hook, &[what]);
            let server = "python3 -m http.server --bind :: 15001 >/dev/null 2>&1";
            let server = format!("{hop}={server} & {}", until_served("15001"));
            let at = [&redirect[..], &server];
            for (at, answer) in [(&at[..], "syn_ack"), (&[&redirect], "rst")] {
                on_each(at, &["-T", target], |told| {
                    told.is_proxied_at(distance, answer, target);
                })?;
            }
            // All else goes to the target itself.
            let told = trace(&[&redirect], &["-U", "-p", OPEN, target])?;
            told.is_proxied_at(distance, "port_unreachable", target);
            let told = trace(&[&redirect], &["-U", "-p", CLOSED, target])?;
            told.is_at(4, "port_unreachable", target);
            // Of other flows each, one probe of a hop is no proof.
            let args = [
                "--watch", "--count", "2", "--every", "0.2", "-q3", "-T", target,
            ];
            on_each(&at, &args, |Told(watched, status)| {
                assert_eq!((&watched["port_state"], status), (&"proxied".into(), 1));
                assert_eq!(watched["distance"], Value::Null, "{watched}");
            })?;
            // Who doesn't want to know isn't told.
            on_each(&at, &["-T", "--no-checks", target], |told| {
                told.is_at(distance, "syn_ack", target);
            })?;
        }
        Some(())
    });
}

#[test]
fn of_two_servers_behind_one_address_the_one_that_answers_the_flow_is_told() {
    needs("nft");
    needs("python3");
    // A translator sends the flow of the trace to one server, and all others to another one: that
    // one hears the probe that is to learn the distance.
    let balance = |flow, others| {
        let to = |which: &str, (hop, port): (u8, &str)| {
            let [v4, v6] = VIRTUAL;
            let which = format!("tcp dport 443 {which} dnat");
            [
                format!("ip daddr {v4} {which} ip to 10.{hop}.0.1:{port}"),
                format!("ip6 daddr {v6} {which} ip6 to [2001:db8:{hop}::1]:{port}"),
            ]
        };
        let [[v4, v6], [rest4, rest6]] = [to("tcp sport 50123", flow), to("", others)];
        let all = [v4.as_str(), &v6, &rest4, &rest6];
        rules(2, "nat hook prerouting priority -100", &all)
    };
    for_each(VIRTUAL, |target| {
        let args = ["-T", "--source-port", "50123", target];
        for (flow, others, answer) in [
            ((4, OPEN), (4, CLOSED), "syn_ack"),
            ((4, CLOSED), (4, OPEN), "rst"),
            // A router is a server too, nearer than the other one.
            ((3, CLOSED), (4, OPEN), "rst"),
            ((4, OPEN), (3, CLOSED), "syn_ack"),
            ((4, OPEN), (4, DROPPED), "syn_ack"),
        ] {
            let at = [&balance(flow, others), DROPPED_THERE, &slow()];
            let Told(document, _) = trace(&at, &args)?;
            assert_eq!(document["distance"], flow.0, "{document}");
            let mut said = answers(&document);
            said.dedup();
            assert_eq!(said, [answer], "{document}");
        }
        let silent = balance((4, DROPPED), (4, OPEN));
        let told = trace(&[&silent, DROPPED_THERE, &slow()], &args)?;
        assert!(matches!(told.distance(), None | Some(4)), "{}", told.0);
        told.says("syn_ack");
        Some(())
    });
}

#[test]
fn through_a_translator_of_random_ports_all_is_told_as_without() {
    needs("nft");
    let masquerade = ["meta l4proto { tcp, udp } masquerade fully-random"];
    let hook = "nat hook postrouting priority 100";
    for_each(TARGETS, |target| {
        for hop in [1, 2] {
            let translator = rules(hop, hook, &masquerade);
            for (protocol, port, answer) in [
                ("-T", OPEN, "syn_ack"),
                ("-T", CLOSED, "rst"),
                ("-U", OPEN, "datagram"),
                ("-U", CLOSED, "port_unreachable"),
            ] {
                let args = [protocol, "-p", port, target];
                on_each(&[&translator], &args, |told| told.is_at(4, answer, target))?;
            }
        }
        Some(())
    });
}

#[test]
fn a_lost_answer_makes_no_other_of_those_that_follow() {
    needs("nft");
    needs("python3");
    // The first SYN/ACK or RST to each port of ours is lost: the connection has begun all the same.
    let loss = rules(2, FORWARD, &[])
        + "nft add set inet t lost '{ type inet_service; flags dynamic; size 1000; }'; \
           from='nft add rule inet t c tcp sport { 443, 81 } tcp flags != ack tcp dport'; \
           $from @lost accept; $from 1-65535 add @lost '{ tcp dport }' drop";
    for_each(TARGETS, |target| {
        for (port, answers) in [(OPEN, "syn_ack ack"), (CLOSED, "rst")] {
            let args = ["-T", "-p", port, target];
            // The kernel's own SYNs have a port each, of which this loses all.
            trace(&[&loss, &slow()], &args)?.is_at(4, answers, target);
        }
        Some(())
    });
}

#[test]
fn a_server_under_load_is_open_by_cookie_and_silent_with_a_full_queue() {
    needs("python3");
    let cookies = "4=echo 2 >/proc/sys/net/ipv4/tcp_syncookies";
    let full = script(4, "full_queue.py 4430");
    for_each(TARGETS, |target| {
        on_each(&[cookies, &slow()], &["-T", target], |told| {
            told.is_at(4, "syn_ack", target);
        })?;
        let args = ["-T", "-q1", "-p", "4430", target];
        on_each(&[&full], &args, |told| told.is_unanswered(&["quiet"]))?;
        Some(())
    });
}

#[test]
fn a_server_of_quic_answers_the_start_of_a_connection_and_nothing_else() {
    needs("gtlsserver");
    let server = format!(
        "4=own=$(mktemp -d); openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=target.example \
         -keyout $own/key -out $own/certificate 2>/dev/null; \
         gtlsserver -q '*' 8443 $own/key $own/certificate >/dev/null 2>&1 & {}; rm -r $own",
        until_served("8443")
    );
    for_each(TARGETS, |target| {
        let args = ["-U", "-p", "8443", target];
        let quic = [&["--quic"][..], &args].concat();
        trace(&[&server], &quic)?.is_at(4, "datagram", target);
        trace(&[&server], &args)?.is_unanswered(&["quiet"]);
        // The server is what was heard: without it the port is closed.
        trace(&[], &quic)?.is_at(4, "port_unreachable", target);
        Some(())
    });
}
