//! True answers and forged ones in any order: the truth wins.

use crate::network::{ECHO, Trace, config, ends, error, quote, router, stranger};
use crate::{a_version, drawn};
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, Malformed};
use hopshot_core::{Config, Discard, Evidence, StopReason};
use proptest::prelude::*;
use std::net::IpAddr;

const DISTANCE: u8 = 6;

/// Something to arrive.
#[derive(Clone, Copy, Debug)]
enum Message {
    /// The true answer to the probe to this hop.
    True(u8),
    /// A forged one, by somebody who has guessed ident and seq.
    Forged {
        hop: u8,
        from: From,
        icmp_type: Type,
    },
}

#[derive(Clone, Copy, Debug)]
enum From {
    Stranger,
    Target,
    Us,
    Router(u8),
}

impl From {
    fn address(self, family: AddressFamily) -> IpAddr {
        match self {
            Self::Stranger => stranger(family),
            Self::Target => ends(family).destination,
            Self::Us => ends(family).source,
            Self::Router(hop) => router(family, hop),
        }
    }
}

fn a_forgery() -> impl Strategy<Value = Message> {
    let from = prop_oneof![
        Just(From::Stranger),
        Just(From::Target),
        Just(From::Us),
        (1..=8_u8).prop_map(From::Router)
    ];
    let icmp_type = prop_oneof![
        Just(Type::TimeExceeded),
        Just(Type::Unreachable),
        Just(Type::ParameterProblem)
    ];
    (1..=8_u8, from, icmp_type).prop_map(|(hop, from, icmp_type)| Message::Forged {
        hop,
        from,
        icmp_type,
    })
}

/// The true answers of a path, some of its routers silent, and forgeries, in any order.
fn messages() -> impl Strategy<Value = (Vec<Message>, Vec<u8>)> {
    let silent = prop::collection::vec(1..DISTANCE, 0..3);
    (silent, prop::collection::vec(a_forgery(), 0..30)).prop_flat_map(|(silent, forged)| {
        let answered = (1..=8)
            .filter(|hop| !silent.contains(hop))
            .map(Message::True);
        let all: Vec<Message> = answered.chain(forged).collect();
        (Just(all).prop_shuffle(), Just(silent))
    })
}

fn hear(trace: &mut Trace, ms: u64, message: Message) -> Result<Evidence, Discard> {
    match message {
        Message::True(hop) if hop < DISTANCE => {
            trace.time_exceeded(ms, hop).map(|reply| reply.evidence())
        }
        Message::True(hop) => trace.echo_reply(ms, hop).map(|reply| reply.evidence()),
        Message::Forged {
            hop,
            from,
            icmp_type,
        } => {
            let from = from.address(trace.family);
            let mut probe = trace.probes[usize::from(hop) - 1][..8].to_vec();
            probe[2] ^= 0x2a;
            let message = error(from, icmp_type, 0, 0, &quote(trace.family, &probe));
            trace
                .handle(ms, from, &message)
                .map(|heard| heard.reply.evidence())
        }
    }
}

proptest! {
    #![proptest_config(drawn(300))]

    #[test]
    fn the_route_is_the_true_one_whatever_was_forged_and_when(family in a_version(), (messages, silent) in messages()) {
        let mut trace = Trace::with(Config { max_hops: 8, ..config(family) });
        for (ms, message) in (1..).zip(messages) {
            let heard = hear(&mut trace, ms, message);
            match message {
                Message::True(_) => prop_assert_eq!(heard, Ok(Evidence::Strong)),
                Message::Forged { .. } => prop_assert!(heard != Ok(Evidence::Strong)),
            }
        }
        trace.run_out(100);
        let route = trace.tracer.route();
        prop_assert_eq!((route.distance(), route.stop_reason()), (Some(DISTANCE), Some(StopReason::Reached)));
        for hop in route.hops() {
            let number = hop.number();
            let truth = if number == DISTANCE { ends(family).destination } else { router(family, number) };
            for reply in hop.replies() {
                // Where a router is silent there is nobody to contradict: but it is said to be
                // weak.
                let doubtful = silent.contains(&number) && reply.evidence() == Evidence::Weak;
                prop_assert!(reply.from == truth && reply.evidence() == Evidence::Strong || doubtful);
            }
        }
    }

    #[test]
    fn forgeries_alone_never_make_the_trace_stop_looking(family in a_version(), forged in prop::collection::vec(a_forgery(), 0..30)) {
        let sweep = Some(hopshot_core::Sweep::Window { first: 8, step: 1 });
        let mut trace = Trace::with(Config { max_hops: 10, sweep, ..config(family) });
        for (ms, message) in (1..).zip(forged) {
            let _ = hear(&mut trace, ms, message);
        }
        prop_assert!(trace.send(50).is_some(), "the true answers may be on their way");
        trace.run_out(51);
        prop_assert!(trace.hops.contains(&10), "what lies behind was not looked for");
    }

    #[test]
    fn without_the_secrets_a_forgery_is_rejected(
        family in a_version(),
        quoted in 0..=32_usize,
        octets in any::<[u8; 32]>(),
        icmp_type in prop_oneof![Just(Type::TimeExceeded), Just(Type::Unreachable), Just(Type::PacketTooBig)],
        from_target in any::<bool>(),
    ) {
        let mut trace = Trace::new(family);
        // All that somebody off the path knows: the ends, and what the header of a probe looks
        // like.
        let mut probe = trace.probes[0].clone();
        probe[2..].copy_from_slice(&octets[2..]);
        let config = *trace.tracer.config();
        let (ident, seq) = (u16::from_be_bytes([probe[4], probe[5]]), u16::from_be_bytes([probe[6], probe[7]]));
        prop_assume!(ident != ECHO.ident || seq.wrapping_sub(ECHO.first_seq) >= 4);
        let from = if from_target { config.target } else { stranger(family) };
        let message = error(from, icmp_type, 0, 0, &quote(family, &probe[..quoted]));
        let discard = trace.handle(5, from, &message).unwrap_err();
        prop_assert!(matches!(discard, Discard::NotOurs | Discard::WrongCookie | Discard::Malformed(_)));
        prop_assert_eq!(discard == Discard::Malformed(Malformed::Truncated), quoted < 8);
        prop_assert_eq!(trace.route(), vec![None; 4]);
    }

    #[test]
    fn an_echo_reply_without_the_cookie_is_rejected_though_ident_and_seq_were_guessed(
        family in a_version(),
        payload in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut trace = Trace::new(family);
        prop_assume!(!payload.starts_with(&trace.probes[0][8..18]));
        let target = ends(family).destination;
        let message = crate::network::echo_reply(target, &[&trace.probes[0][..8], &payload].concat());
        prop_assert_eq!(trace.handle(5, target, &message).unwrap_err(), Discard::WrongCookie);
        prop_assert_eq!((trace.distance(), trace.tracer.route().tally().forged), (None, 1));
    }
}
