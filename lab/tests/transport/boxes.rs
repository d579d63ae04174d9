//! Routers and what stands between them: quotes, balancers, firewalls, translators.

use crate::packets::{
    ACK, BOTH, PORT, Probe, RST, Read, SYN, TCP, UDP, echo, named, parsed, read, send, sum,
};
use core::time::Duration;
use hopshot_core::wire::{AddressFamily, icmp, ip};
use hopshot_lab::log::Fate;
use hopshot_lab::{Internet, Scenario};
use std::collections::HashSet;

const SEQ: u32 = 0x0102_0304;
const ADDED: u32 = 0x9e37_79b9;

/// The port that a translator gives to a client's.
const OUTSIDE: u16 = 60_000;

fn message(packet: &[u8]) -> &[u8] {
    ip::parse(packet).unwrap().1
}

/// What a hop quotes of a probe.
fn quoted(internet: &mut Internet, family: AddressFamily, hop: u8, protocol: u8) -> Vec<u8> {
    let probe = Probe::new(internet, family, hop, 443).of(protocol);
    send(internet, 0, &probe).unwrap().quoted().to_vec()
}

#[test]
fn routers_answer_both_with_the_whole_quote_or_with_eight_octets() {
    for family in BOTH {
        for protocol in [TCP, UDP] {
            for (name, octets) in [("wan", usize::MAX), ("short-quotes", 8)] {
                let mut internet = named(name);
                for hop in 1..12 {
                    let probe = Probe::new(&internet, family, hop, 443).of(protocol);
                    let whole = message(&probe);
                    let expected = Read::Error {
                        from: internet.truth(family).at(hop)[0].unwrap(),
                        kind: [if family == AddressFamily::V4 { 11 } else { 3 }, 0],
                        quoted: whole[..octets.min(whole.len())].to_vec(),
                    };
                    assert_eq!(send(&mut internet, 0, &probe), Some(expected));
                }
            }
        }
    }
}

#[test]
fn what_is_too_big_for_a_link_is_refused_whatever_it_is() {
    for (family, kind) in BOTH.into_iter().zip([[3, 4], [2, 0]]) {
        let mut internet = named("mtu");
        let probe = Probe {
            payload: &[0; 1400],
            ..Probe::new(&internet, family, 30, 443)
        };
        let Some(Read::Error {
            from, kind: said, ..
        }) = send(&mut internet, 0, &probe.udp())
        else {
            panic!("an error")
        };
        let router = internet.truth(family).at(4)[0];
        assert_eq!((Some(from), said), (router, kind));
    }
}

#[test]
fn a_balancer_keeps_five_fields_together_and_nothing_else() {
    for family in BOTH {
        for protocol in [TCP, UDP] {
            let mut seen = HashSet::new();
            for source_port in 40_000..40_200 {
                let mut internet = named("ecmp");
                for hop_limit in 1..12 {
                    let probe = Probe {
                        source_port,
                        seq: u32::from(hop_limit) << 24,
                        payload: &[hop_limit],
                        ..Probe::new(&internet, family, hop_limit, 443)
                    };
                    internet.receive(Duration::ZERO, &probe.of(protocol));
                }
                let paths: HashSet<_> = internet.log().iter().map(|probe| probe.path).collect();
                assert_eq!(paths.len(), 1, "one flow, one path");
                seen.extend(paths);
            }
            assert_eq!(seen.len(), 8, "each path is taken by some flow");
        }
        // Nor does one that looks at the ident of ICMP look farther.
        let mut internet = parsed("[[diamond]]\nat = 4\nlengths = [1, 1, 1, 1]\nby = \"ident\"");
        for seq in 0..50 {
            let seq = seq << 26;
            let probe = Probe {
                seq,
                ..Probe::new(&internet, family, 4, 443)
            };
            internet.receive(Duration::ZERO, &probe.tcp());
        }
        let paths: HashSet<_> = internet.log().iter().map(|probe| probe.path).collect();
        assert_eq!(paths.len(), 1);
        // The same ports of another protocol are another flow.
        let mut internet = named("ecmp");
        for port in 1..100 {
            let probe = Probe::new(&internet, family, 3, port);
            internet.receive(Duration::ZERO, &probe.tcp());
            internet.receive(Duration::ZERO, &probe.udp());
        }
        assert!(
            internet
                .log()
                .chunks(2)
                .any(|pair| pair[0].path != pair[1].path)
        );
    }
}

#[test]
fn translators_of_quotes_keep_checksums_right_but_where_they_must_not() {
    let text = "[[hop]]\nat = 5\nnat = [\"source\", \"destination\", \"port\", \"ident\"]\n\
                [[hop]]\nat = 6\nnat = [\"source\", \"checksum\"]";
    for family in BOTH {
        for protocol in [TCP, UDP] {
            let mut internet = parsed(text);
            for (hop, is_right) in [(5, true), (6, false)] {
                let probe = Probe::new(&internet, family, hop, 443).of(protocol);
                let answers = internet.receive(Duration::ZERO, &probe);
                let (outer, error) = ip::parse(&answers[0].packet).unwrap();
                let Ok(icmp::Message::Error(error)) = icmp::Message::parse(outer.ends, error)
                else {
                    panic!("an error")
                };
                let (header, quoted) = ip::parse_quoted(error.quoted).unwrap();
                assert_ne!(header.ends.source, ip::parse(&probe).unwrap().0.ends.source);
                assert_eq!(header.ends.destination == internet.target(family), hop == 6);
                let port = u16::from_be_bytes([quoted[0], quoted[1]]);
                assert_eq!(port, if hop == 5 { OUTSIDE } else { PORT });
                assert_eq!(sum(header.ends, protocol, quoted) == 0, is_right);
                // Nothing else has changed.
                let at = if protocol == TCP { 16 } else { 6 };
                assert_eq!(quoted[2..at], message(&probe)[2..at]);
                assert_eq!(quoted[at + 2..], message(&probe)[at + 2..]);
            }
        }
    }
}

#[test]
fn only_the_first_syn_passes_the_firewall() {
    for family in BOTH {
        let mut internet = named("first-syn");
        let ask = |internet: &mut Internet, hop_limit, source_port| {
            let syn = Probe {
                source_port,
                seq: u32::from(hop_limit) << 27,
                ..Probe::new(internet, family, hop_limit, 443)
            };
            send(internet, 0, &syn.tcp()).is_some()
        };
        let answered: Vec<u8> = (1..=12)
            .filter(|hop| ask(&mut internet, *hop, PORT))
            .collect();
        assert_eq!(answered, [1, 2, 3, 4, 5]);
        assert_eq!(internet.log()[11].hop, 4, "the firewall's");
        assert!(!ask(&mut internet, 5, PORT), "not even the same again");
        assert!((5..=12).all(|hop| ask(&mut internet, hop, 50_000 + u16::from(hop))));
        assert!((1..=4).all(|hop| ask(&mut internet, hop, PORT)));
        for _ in 0..3 {
            let udp = Probe::new(&internet, family, 9, 443).udp();
            assert!(send(&mut internet, 0, &udp).is_some());
            let echo = echo(&internet, family, 9);
            assert!(send(&mut internet, 0, &echo).is_some());
        }
    }
}

#[test]
fn a_protocol_that_is_dropped_ends_at_the_firewall_and_others_pass() {
    for family in BOTH {
        let mut internet = named("no-icmp");
        for hop in 1..=30 {
            let ping = echo(&internet, family, hop);
            assert_eq!(send(&mut internet, 0, &ping).is_some(), hop <= 5);
            assert_eq!(internet.log().last().unwrap().hop, hop.min(5));
            let syn = Probe {
                source_port: PORT + u16::from(hop),
                ..Probe::new(&internet, family, hop, 443)
            };
            let answered = send(&mut internet, 0, &syn.tcp()).is_some();
            assert_eq!(answered, !(6..12).contains(&hop));
        }
        assert_eq!(internet.truth(family).distance(), None);
        for (dropped, [tcp, udp]) in [("tcp", [false, true]), ("udp", [true, false])] {
            let mut internet = parsed(&format!("[[hop]]\nat = 2\ndrops = [\"{dropped}\"]"));
            let probe = Probe::new(&internet, family, 3, 443);
            assert_eq!(send(&mut internet, 0, &probe.tcp()).is_some(), tcp);
            assert_eq!(send(&mut internet, 0, &probe.udp()).is_some(), udp);
            let ping = echo(&internet, family, 3);
            assert!(send(&mut internet, 0, &ping).is_some());
        }
    }
}

#[test]
fn a_rewritten_seq_shows_in_quotes_and_never_in_the_targets_answers() {
    for family in BOTH {
        let mut internet = named("seq-nat");
        for hop in 1..12 {
            let quoted = quoted(&mut internet, family, hop, TCP);
            let seq = u32::from_be_bytes(quoted[4..8].try_into().unwrap());
            let added = if hop > 3 { ADDED } else { 0 };
            assert_eq!(seq, SEQ.wrapping_add(added), "hop {hop}");
            assert_eq!(sum(ends(&internet, family), TCP, &quoted), 0);
        }
        let syn = Probe::new(&internet, family, 12, 443);
        let (flags, isn, ack) = send(&mut internet, 0, &syn.tcp()).unwrap().numbers();
        assert_eq!((flags, ack), (SYN | ACK, SEQ + 1));
        let far = Probe {
            seq: SEQ + (1 << 30),
            ..syn
        };
        assert_eq!(
            send(&mut internet, 0, &far.tcp()).unwrap().numbers(),
            (ACK, isn.wrapping_add(1), SEQ + 1)
        );
        let closed = Probe { port: 81, ..syn };
        assert_eq!(
            send(&mut internet, 0, &closed.tcp()).unwrap().numbers(),
            (RST | ACK, 0, SEQ + 1)
        );
        // The client's reset fits there too.
        let reset = Probe {
            seq: SEQ + 1,
            flags: RST,
            ..syn
        };
        send(&mut internet, 0, &reset.tcp());
        assert_eq!(
            send(&mut internet, 0, &far.tcp()).unwrap().numbers().0,
            SYN | ACK
        );
    }
}

#[test]
fn a_translated_port_comes_back_and_shows_only_where_quotes_are_left() {
    for family in BOTH {
        for protocol in [TCP, UDP] {
            let mut internet = named("port-nat");
            for hop in 1..12 {
                let quoted = quoted(&mut internet, family, hop, protocol);
                let port = u16::from_be_bytes([quoted[0], quoted[1]]);
                assert_eq!(port, if hop > 8 { OUTSIDE } else { PORT }, "hop {hop}");
                assert_eq!(sum(ends(&internet, family), protocol, &quoted), 0);
            }
            for port in [443, 7, 81] {
                let probe = Probe::new(&internet, family, 12, port);
                match send(&mut internet, 0, &probe.of(protocol)) {
                    Some(Read::Segment { port, .. } | Read::Datagram { port, .. }) => {
                        assert_eq!(port, PORT);
                    }
                    // Nobody speaks QUIC, or nobody is there.
                    Some(Read::Error { quoted, .. }) => {
                        assert_eq!(quoted[..2], OUTSIDE.to_be_bytes());
                    }
                    other => assert_eq!((other, protocol, port), (None, UDP, 443)),
                }
            }
        }
    }
}

#[test]
fn a_lowered_mss_shows_in_quotes_that_are_long_enough() {
    for family in BOTH {
        let mut internet = named("mss-clamp");
        for hop in 1..12 {
            let quoted = quoted(&mut internet, family, hop, TCP);
            let mss = if hop > 4 { 1360 } else { 1460 };
            assert_eq!(quoted[25..27], u16::to_be_bytes(mss), "hop {hop}");
            assert_eq!(sum(ends(&internet, family), TCP, &quoted), 0);
        }
        let syn = Probe::new(&internet, family, 12, 443);
        assert_eq!(
            send(&mut internet, 0, &syn.tcp()).unwrap().numbers().0,
            SYN | ACK
        );
    }
}

#[test]
fn an_mss_means_something_in_a_syn_alone() {
    for family in BOTH {
        let mut internet = named("mss-clamp");
        let ack = Probe {
            flags: ACK,
            ..Probe::new(&internet, family, 9, 443)
        }
        .tcp();
        assert_eq!(
            send(&mut internet, 0, &ack).unwrap().quoted(),
            message(&ack)
        );
    }
}

#[test]
fn a_syn_that_is_lost_leaves_the_firewall_open() {
    for family in BOTH {
        let mut internet = parsed("loss = 0.5\n[[hop]]\nat = 1\nfirst_syn_only = true");
        for source_port in 1..100 {
            let syn = Probe {
                source_port,
                ..Probe::new(&internet, family, 2, 443)
            };
            for _ in 0..40 {
                internet.receive(Duration::ZERO, &syn.tcp());
            }
            let log = internet.take_log();
            let passed = log
                .iter()
                .filter(|probe| probe.hop == 2 && probe.fate != Fate::Lost);
            assert_eq!(passed.count(), 1);
        }
    }
}

fn ends(internet: &Internet, family: AddressFamily) -> hopshot_core::wire::Ends {
    let probe = Probe::new(internet, family, 1, 443).tcp();
    ip::parse(&probe).unwrap().0.ends
}

#[test]
fn an_attacker_guesses_in_the_protocol_that_it_sees() {
    for family in BOTH {
        for protocol in [TCP, UDP] {
            let mut internet = named("hostile");
            let probe = Probe::new(&internet, family, 3, 443).of(protocol);
            internet.receive(Duration::ZERO, &probe);
            let forged = internet.unsolicited(Duration::from_secs(1));
            let is_its = |packet: &[u8]| ip::parse(packet).unwrap().0.protocol == protocol;
            let its: Vec<_> = forged
                .iter()
                .filter(|delivery| is_its(&delivery.packet))
                .map(|delivery| read(&delivery.packet))
                .collect();
            assert!(its.len() > 1000, "{}", its.len());
        }
    }
}

#[test]
fn every_scenario_answers_as_its_truth_says() {
    // Loss and limits hide what is there.
    for name in Scenario::names().filter(|name| !["loss", "partial"].contains(name)) {
        for family in BOTH {
            for (protocol, port) in [(TCP, 443), (TCP, 80), (TCP, 81), (UDP, 53), (UDP, 81)] {
                let mut internet = named(name);
                let kind = if protocol == TCP {
                    hopshot_lab::Protocol::Tcp
                } else {
                    hopshot_lab::Protocol::Udp
                };
                let truth = internet.truth_to(family, kind, port);
                for hop in 1..=40 {
                    // Each a connection of its own.
                    let probe = Probe {
                        source_port: PORT + u16::from(hop),
                        ..Probe::new(&internet, family, hop, port)
                    };
                    // So slowly that no limit is reached, but before anything changes.
                    let is_limited = name.starts_with("ratelimit");
                    let at = Duration::from_secs(if is_limited { hop.into() } else { 0 });
                    let answers = internet.receive(at, &probe.of(protocol));
                    let path = &truth.paths[internet.log().last().unwrap().path];
                    let place = usize::from(hop).min(path.hops.len());
                    let seen = answers.first().and_then(|answer| {
                        let (header, message) = ip::parse(&answer.packet).unwrap();
                        let is_icmp = header.is_icmp();
                        let is_whole = !is_icmp
                            || icmp::Message::parse(header.ends, message).is_ok_and(|message| {
                                matches!(message, icmp::Message::Error(error)
                                    if ip::parse_quoted(error.quoted).unwrap().1.len() >= 8)
                            });
                        is_whole.then_some(header.ends.source)
                    });
                    assert_eq!(
                        seen,
                        path.hops[place - 1],
                        "{name} {kind:?} {port} hop {hop}"
                    );
                }
            }
        }
    }
}
