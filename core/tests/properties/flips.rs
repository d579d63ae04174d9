//! A valid answer with one bit turned, for every bit: it is noticed, or does no harm.
//!
//! Turned on the way back, the ICMP checksum tells. Turned on the way out, or in the router, the
//! checksum of the answer is right. Then it depends on the bit, as the tables here say:
//!
//! - **no answer**: the message is turned down;
//! - **told**: the answer is taken for the same probe, and says what was changed; where that is
//!   something that a forger would not know it is weak;
//! - **harmless**: the same answer in everything but the field that the bit is in, which nothing is
//!   decided upon;
//! - **another word**: it says another thing of the same probe: another type or code. No quote can
//!   prove those.
//!
//! It is never taken for the answer to another probe.

use crate::network::{BOTH, ECHO, Trace, echo_reply, ends, error, put_right, router};
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, Malformed};
use hopshot_core::{Changes, Discard, Evidence, Reply};
use std::net::IpAddr;
use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    NoAnswer,
    Told(Changes),
    Harmless,
    AnotherWord,
}

use Effect::{AnotherWord, Harmless, NoAnswer, Told};

/// What each octet of a Time Exceeded does if a bit of it is turned.
const TIME_EXCEEDED_V4: [(Range<usize>, &str, &[Effect]); 21] = [
    (
        0..1,
        "type: another error, or no answer",
        &[AnotherWord, NoAnswer],
    ),
    (1..2, "code: reassembly", &[NoAnswer]),
    (4..8, "unused, and the length of the quote", &[Harmless]),
    (8..9, "version and IHL", &[NoAnswer]),
    (9..10, "TOS", &[Told(Changes::TRAFFIC_CLASS)]),
    (10..12, "total length", &[Harmless]),
    (12..14, "identification", &[Harmless]),
    (14..15, "flags; offset, high", &[Harmless, NoAnswer]),
    // Together with DF, offset 0 in the other byte order isn't met.
    (15..16, "offset, low", &[NoAnswer]),
    (16..17, "TTL", &[Harmless]),
    (17..18, "protocol", &[NoAnswer]),
    (18..20, "header checksum", &[Harmless]),
    (20..24, "source", &[Told(Changes::SOURCE)]),
    (24..28, "destination", &[Told(Changes::DESTINATION)]),
    (28..30, "type and code of the probe", &[NoAnswer]),
    (30..32, "checksum of the probe", &[Told(Changes::CHECKSUM)]),
    (32..34, "ident", &[Told(Changes::IDENT)]),
    (34..36, "seq", &[NoAnswer]),
    (36..38, "balance", &[NoAnswer]),
    (38..46, "cookie", &[NoAnswer]),
    (46..60, "zeros behind the cookie", &[Harmless]),
];

const TIME_EXCEEDED_V6: [(Range<usize>, &str, &[Effect]); 18] = [
    (
        0..1,
        "type: another error, or no answer",
        &[AnotherWord, NoAnswer],
    ),
    (1..2, "code: reassembly", &[NoAnswer]),
    (4..8, "unused, and the length of the quote", &[Harmless]),
    (
        8..9,
        "version; traffic class, high",
        &[NoAnswer, Told(Changes::TRAFFIC_CLASS)],
    ),
    (
        9..10,
        "traffic class, low; flow label",
        &[Told(Changes::TRAFFIC_CLASS), Harmless],
    ),
    (10..12, "flow label", &[Harmless]),
    (12..14, "payload length", &[Harmless]),
    (14..15, "next header", &[NoAnswer]),
    (15..16, "hop limit", &[Harmless]),
    (16..32, "source", &[Told(Changes::SOURCE)]),
    (32..48, "destination", &[Told(Changes::DESTINATION)]),
    (48..50, "type and code of the probe", &[NoAnswer]),
    (50..52, "checksum of the probe", &[Told(Changes::CHECKSUM)]),
    (52..54, "ident", &[Told(Changes::IDENT)]),
    (54..56, "seq", &[NoAnswer]),
    (56..58, "balance", &[NoAnswer]),
    (58..66, "cookie", &[NoAnswer]),
    (66..80, "zeros behind the cookie", &[Harmless]),
];

const ECHO_REPLY: [(Range<usize>, &str, &[Effect]); 6] = [
    (0..2, "type and code", &[NoAnswer]),
    (4..6, "ident", &[Told(Changes::IDENT)]),
    (6..8, "seq", &[NoAnswer]),
    (8..10, "balance", &[NoAnswer]),
    (10..18, "cookie", &[NoAnswer]),
    (18..32, "zeros behind the cookie", &[Harmless]),
];

/// What became of an answer that should have been `honest`.
fn effect(honest: &Reply, turned: Result<Reply, Discard>) -> Effect {
    let Ok(turned) = turned else { return NoAnswer };
    assert_eq!(
        (turned.probe, turned.from, turned.rtt),
        (honest.probe, honest.from, honest.rtt),
        "never another probe"
    );
    if (turned.icmp_type, turned.icmp_code) != (honest.icmp_type, honest.icmp_code) {
        return AnotherWord;
    }
    if turned.changes.is_empty() {
        Harmless
    } else {
        Told(turned.changes)
    }
}

/// Turns every bit of a message, puts its checksum right, and holds what happens against the table.
fn turn_each(
    family: AddressFamily,
    from: IpAddr,
    message: &[u8],
    table: &[(Range<usize>, &str, &[Effect])],
) {
    let hear = |message: &[u8]| {
        Trace::new(family)
            .handle(10, from, message)
            .map(|heard| heard.reply)
    };
    let honest = hear(message).unwrap();
    let mut met = vec![Vec::new(); table.len()];
    for octet in (0..2).chain(4..message.len()) {
        let row = table
            .iter()
            .position(|(octets, ..)| octets.contains(&octet))
            .expect("every octet is in the table");
        for bit in 0..8 {
            let mut turned = message.to_vec();
            turned[octet] ^= 1 << bit;
            put_right(from, &mut turned);
            let effect = effect(&honest, hear(&turned));
            let (_, what, expected) = table[row];
            assert!(
                expected.contains(&effect),
                "{family:?} octet {octet}, {what}, bit {bit}: {effect:?}"
            );
            met[row].push(effect);
        }
    }
    for ((_, what, expected), met) in table.iter().zip(met) {
        assert!(
            expected.iter().all(|effect| met.contains(effect)),
            "{family:?} {what}: {expected:?} is never met"
        );
    }
}

#[test]
fn turned_on_the_way_back_every_bit_is_noticed() {
    for family in BOTH {
        let trace = Trace::new(family);
        let (router, target) = (router(family, 1), ends(family).destination);
        let time_exceeded = error(router, Type::TimeExceeded, 0, 0, &trace.quote(1));
        for (from, message) in [
            (router, time_exceeded),
            (target, echo_reply(target, &trace.probes[0])),
        ] {
            for bit in 0..message.len() * 8 {
                let mut turned = message.clone();
                turned[bit / 8] ^= 1 << (bit % 8);
                let discard = Trace::new(family).handle(10, from, &turned).unwrap_err();
                // A type that isn't known isn't summed up.
                let foreign = bit < 8 && discard == Discard::Malformed(Malformed::Foreign);
                assert!(
                    foreign || discard == Discard::Malformed(Malformed::Checksum),
                    "bit {bit}: {discard:?}"
                );
            }
        }
    }
}

#[test]
fn turned_on_the_way_out_every_bit_of_time_exceeded_has_its_effect() {
    for family in BOTH {
        let from = router(family, 1);
        let message = error(from, Type::TimeExceeded, 0, 0, &Trace::new(family).quote(1));
        match family {
            AddressFamily::V4 => turn_each(family, from, &message, &TIME_EXCEEDED_V4),
            AddressFamily::V6 => turn_each(family, from, &message, &TIME_EXCEEDED_V6),
        }
    }
}

#[test]
fn turned_on_the_way_out_every_bit_of_an_echo_reply_has_its_effect() {
    for family in BOTH {
        let target = ends(family).destination;
        let message = echo_reply(target, &Trace::new(family).probes[0]);
        turn_each(family, target, &message, &ECHO_REPLY);
    }
}

#[test]
fn what_tells_a_forger_from_a_router_is_weak_and_what_networks_change_is_not() {
    let evidence = |changes: Changes| changes.evidence();
    assert_eq!(
        [Changes::SOURCE, Changes::TRAFFIC_CLASS].map(evidence),
        [Evidence::Strong; 2]
    );
    let weak = [
        Changes::DESTINATION,
        Changes::CHECKSUM,
        Changes::IDENT,
        Changes::SENDER,
    ];
    assert_eq!(weak.map(evidence), [Evidence::Weak; 4]);
}

#[test]
fn in_a_quote_of_eight_octets_only_the_seq_can_name_another_probe() {
    for family in BOTH {
        let from = router(family, 1);
        let quote = Trace::new(family).quote(1);
        let quote = &quote[..quote.len() - ECHO.message_len() + 8];
        let message = error(from, Type::TimeExceeded, 0, 0, quote);
        let seq = message.len() - 2..message.len();
        for bit in 32..message.len() * 8 {
            let mut turned = message.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            put_right(from, &mut turned);
            let heard = Trace::new(family)
                .handle(10, from, &turned)
                .map(|heard| heard.reply.probe.hop);
            // Of 16 bits the last two name one of the four probes: nothing else is there that could
            // tell.
            let other = bit / 8 == seq.end - 1 && bit % 8 < 2;
            assert_eq!(matches!(heard, Ok(hop) if hop != 1), other, "bit {bit}");
        }
    }
}
