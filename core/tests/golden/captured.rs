//! What a chain of Linux routers answered to the probes of one trace, captured off the wire.

use crate::network::{BOTH, ECHO, Trace, config, ends, octets, probe_packet, router};
use hopshot_core::wire::{AddressFamily, ip};
use hopshot_core::{Changes, Echo, Evidence, Kind, Reply};
use std::net::IpAddr;
use std::time::Duration;

/// Both captures of a kind.
macro_rules! captured {
    ($name:literal, $family:expr) => {
        octets(match $family {
            AddressFamily::V4 => include_str!(concat!("../captured/", $name, "_v4.hex")),
            AddressFamily::V6 => include_str!(concat!("../captured/", $name, "_v6.hex")),
        })
    };
}

fn hear(trace: &mut Trace, packet: &[u8]) -> Reply {
    let heard = trace
        .packet(packet)
        .unwrap_or_else(|discard| panic!("{discard}: {packet:02x?}"));
    assert!(heard.extensions.is_empty(), "Linux appends nothing");
    heard.reply
}

/// A packet that answers a probe with a payload of 24 octets.
fn heard(family: AddressFamily, packet: &[u8]) -> Reply {
    hear(&mut Trace::new(family), packet)
}

fn by_family<T>(family: AddressFamily, v4: T, v6: T) -> T {
    if family == AddressFamily::V4 { v4 } else { v6 }
}

/// What is the same in all of them.
fn assert_honest(reply: &Reply, hop: u8, from: IpAddr, kind: Kind) {
    assert_eq!((reply.probe.hop, reply.from, reply.kind), (hop, from, kind));
    assert_eq!(
        (reply.rtt, reply.changes, reply.evidence()),
        (
            Duration::from_millis(10),
            Changes::default(),
            Evidence::Strong
        )
    );
}

#[test]
fn the_probe_that_was_captured_is_the_one_that_a_trace_writes() {
    for family in BOTH {
        let packet = probe_packet(family);
        assert_eq!(Trace::new(family).quote(1), packet);
        let (header, message) = ip::parse(&packet).unwrap();
        assert_eq!((header.ends, header.hop_limit), (ends(family), 1));
        assert_eq!(message.len(), ECHO.message_len());
    }
}

#[test]
fn a_router_says_time_exceeded() {
    for family in BOTH {
        let reply = heard(family, &captured!("time_exceeded", family));
        assert_honest(&reply, 1, router(family, 1), Kind::TimeExceeded);
        assert_eq!((reply.hop_limit, reply.hops_back()), (Some(64), Some(1)));
        assert_eq!(
            (reply.icmp_type, reply.icmp_code),
            by_family(family, (11, 0), (3, 0))
        );
        assert_eq!(
            (reply.quoted_hop_limit, reply.quoted_traffic_class),
            (Some(1), Some(0))
        );
        let reply = heard(family, &captured!("time_exceeded_hop_2", family));
        assert_honest(&reply, 2, router(family, 2), Kind::TimeExceeded);
        assert_eq!((reply.hop_limit, reply.hops_back()), (Some(63), Some(2)));
    }
}

#[test]
fn the_target_answers() {
    for family in BOTH {
        let reply = heard(family, &captured!("echo_reply", family));
        assert_honest(&reply, 3, ends(family).destination, Kind::Reply);
        assert_eq!((reply.hop_limit, reply.hops_back()), (Some(62), Some(3)));
        assert_eq!(
            (reply.quoted_hop_limit, reply.quoted_traffic_class),
            (None, None)
        );
    }
}

#[test]
fn options_and_extension_headers_stand_before_the_echo_that_a_router_quotes() {
    for family in BOTH {
        let packet = captured!("time_exceeded_options", family);
        let reply = heard(family, &packet);
        assert_honest(&reply, 1, router(family, 1), Kind::TimeExceeded);
    }
    // In IPv4 the router's own header has the option as well.
    assert_eq!(
        captured!("time_exceeded_options", AddressFamily::V4)[0],
        0x48
    );
}

#[test]
fn a_router_finds_a_fault_in_the_header() {
    for family in BOTH {
        let reply = heard(family, &captured!("parameter_problem", family));
        assert_honest(&reply, 3, router(family, 1), Kind::Unreachable);
        assert_eq!(
            (reply.icmp_type, reply.icmp_code, reply.mtu),
            by_family(family, (12, 0, None), (4, 2, None))
        );
    }
}

#[test]
fn a_router_permits_no_passage() {
    for family in BOTH {
        let reply = heard(family, &captured!("prohibited", family));
        assert_honest(&reply, 3, router(family, 2), Kind::Unreachable);
        assert_eq!(
            (reply.icmp_type, reply.icmp_code),
            by_family(family, (3, 13), (1, 1))
        );
        let reply = heard(family, &captured!("host_unreachable", family));
        assert_honest(&reply, 3, router(family, 2), Kind::Unreachable);
        assert_eq!(
            (reply.icmp_type, reply.icmp_code),
            by_family(family, (3, 1), (1, 3))
        );
    }
}

#[test]
fn a_router_says_what_the_next_link_can_carry() {
    for family in BOTH {
        let payload_len = by_family(family, 100, 1300);
        let mut trace = Trace::of(
            config(family),
            Echo {
                payload_len,
                ..ECHO
            },
        );
        let reply = hear(&mut trace, &captured!("too_big", family));
        assert_honest(&reply, 3, router(family, 2), Kind::Unreachable);
        let expected = by_family(family, (3, 4, Some(100)), (2, 0, Some(1280)));
        assert_eq!((reply.icmp_type, reply.icmp_code, reply.mtu), expected);
    }
}

#[test]
fn a_long_probe_is_quoted_up_to_the_limit_of_its_family() {
    for family in BOTH {
        let packet = captured!("time_exceeded_long", family);
        assert_eq!(packet.len(), by_family(family, 576, 1280));
        let mut trace = Trace::of(
            config(family),
            Echo {
                payload_len: 1200,
                ..ECHO
            },
        );
        assert_honest(
            &hear(&mut trace, &packet),
            1,
            router(family, 1),
            Kind::TimeExceeded,
        );
    }
}

#[test]
fn all_of_them_are_of_that_trace_and_of_no_other() {
    for family in BOTH {
        let packets = [
            captured!("time_exceeded", family),
            captured!("time_exceeded_hop_2", family),
            captured!("echo_reply", family),
            captured!("prohibited", family),
        ];
        let other = Echo {
            ident: 0x1de8,
            cookie: [7; 8],
            ..ECHO
        };
        for packet in packets {
            assert!(Trace::of(config(family), other).packet(&packet).is_err());
        }
    }
}
