//! A valid answer cut short at every length: it says the same as the whole one, or nothing.

use crate::network::{BOTH, Trace, echo_reply, ends, error, put_right, router};
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, ip};
use hopshot_core::{Discard, Kind, Tally};
use std::net::IpAddr;

/// Time Exceeded with a label stack behind its quote.
fn extended(trace: &Trace) -> Vec<u8> {
    let mut quote = trace.quote(1);
    quote.resize(128, 0);
    quote.extend([0x20, 0, 0, 0, 0, 8, 1, 1, 0x05, 0xdc, 0x11, 1]);
    let rest = if trace.family == AddressFamily::V4 {
        0x0020_0000
    } else {
        0x1000_0000
    };
    error(router(trace.family, 1), Type::TimeExceeded, 0, rest, &quote)
}

/// Who says it, what, and how many of its octets it takes to know.
fn answers(family: AddressFamily) -> [(IpAddr, Vec<u8>, usize); 4] {
    let trace = Trace::new(family);
    let (router, target) = (router(family, 1), ends(family).destination);
    let quote = 8 + ip::header_len(family) + 8;
    [
        (
            router,
            error(router, Type::TimeExceeded, 0, 0, &trace.quote(1)),
            quote,
        ),
        (
            router,
            error(router, Type::Unreachable, 1, 0, &trace.quote(1)),
            quote,
        ),
        (router, extended(&trace), quote),
        // Ident, seq, balance and cookie.
        (target, echo_reply(target, &trace.probes[0]), 18),
    ]
}

#[test]
fn cut_with_the_checksum_of_the_whole_it_is_noticed_unless_only_zeros_are_missing() {
    for family in BOTH {
        for (from, message, _) in answers(family) {
            for len in 0..message.len() {
                let mut trace = Trace::new(family);
                let heard = trace.handle(10, from, &message[..len]);
                // The sum of IPv4 doesn't cover the length.
                let zeros =
                    family == AddressFamily::V4 && message[len..].iter().all(|octet| *octet == 0);
                assert_eq!(
                    heard.is_ok(),
                    zeros,
                    "{family:?}, {len} of {} octets",
                    message.len()
                );
                if heard.is_err() {
                    assert_eq!(
                        (trace.route(), trace.tracer.route().tally()),
                        (vec![None; 4], Tally::default())
                    );
                }
            }
        }
    }
}

#[test]
fn cut_with_a_checksum_of_its_own_it_says_the_same_or_nothing() {
    for family in BOTH {
        for (from, message, needed) in answers(family) {
            let whole = Trace::new(family).handle(10, from, &message).unwrap().reply;
            for len in 8..message.len() {
                let mut short = message[..len].to_vec();
                put_right(from, &mut short);
                let mut trace = Trace::new(family);
                match trace.handle(10, from, &short) {
                    Ok(heard) => {
                        assert_eq!((heard.reply, len >= needed), (whole, true), "{len} octets");
                    }
                    Err(discard) => {
                        assert!(len < needed, "{len} octets: {discard}");
                        // An Echo Reply that has lost the cookie is no answer, and is counted.
                        let forged = whole.kind == Kind::Reply;
                        assert_eq!(matches!(discard, Discard::WrongCookie), forged);
                        let tally = trace.tracer.route().tally();
                        assert_eq!(tally.forged, u16::from(forged));
                        assert_eq!((tally.duplicates, tally.late), (0, 0));
                        assert_eq!(trace.route(), [None; 4]);
                    }
                }
            }
        }
    }
}
