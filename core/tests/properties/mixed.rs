//! Two traces at a time, whose answers everybody hears, and seqs that wrap.

use crate::network::{ECHO, Trace, config, echo_reply, ends, error, router};
use crate::{a_version, drawn};
use hopshot_core::wire::AddressFamily;
use hopshot_core::wire::icmp::Type;
use hopshot_core::{Config, Echo, Evidence};
use proptest::prelude::*;

/// The parameters of a trace that are random.
#[derive(Clone, Copy, Debug)]
struct Secrets {
    ident: u16,
    first_seq: u16,
    checksum: u16,
    cookie: [u8; 8],
}

fn secrets() -> impl Strategy<Value = Secrets> {
    (any::<u16>(), any::<u16>(), 1..=0xfffe_u16, any::<[u8; 8]>()).prop_map(
        |(ident, first_seq, checksum, cookie)| Secrets {
            ident,
            first_seq,
            checksum,
            cookie,
        },
    )
}

/// Two traces; in some of them the idents, or idents and first seqs, are the same by chance.
fn a_pair() -> impl Strategy<Value = (Secrets, Secrets)> {
    (secrets(), secrets(), 0..3).prop_map(|(one, mut other, alike)| {
        if alike > 0 {
            other.ident = one.ident;
        }
        if alike > 1 {
            other.first_seq = one.first_seq.wrapping_add(1);
        }
        (one, other)
    })
}

fn trace(family: AddressFamily, secrets: Secrets) -> Trace {
    let Secrets {
        ident,
        first_seq,
        checksum,
        cookie,
    } = secrets;
    Trace::of(
        config(family),
        Echo {
            ident,
            first_seq,
            checksum,
            cookie,
            ..ECHO
        },
    )
}

/// The answers to all four probes: three routers, quoting as much as they do, and the target.
fn answers(trace: &Trace, quoted: usize) -> Vec<(std::net::IpAddr, Vec<u8>)> {
    let routers = (1..=3).map(|hop| {
        let (from, mut quote) = (router(trace.family, hop), trace.quote(hop));
        quote.truncate(quote.len() - trace.probes[0].len() + quoted);
        (from, error(from, Type::TimeExceeded, 0, 0, &quote))
    });
    let target = ends(trace.family).destination;
    routers
        .chain([(target, echo_reply(target, &trace.probes[3]))])
        .collect()
}

proptest! {
    #![proptest_config(drawn(200))]

    #[test]
    fn each_trace_takes_its_own_answers_whatever_else_it_hears(
        family in a_version(),
        (one, other) in a_pair(),
        quoted in prop_oneof![Just(8_usize), 18..=32_usize],
        order in Just((0..8_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        prop_assume!(one.cookie != other.cookie && one.checksum != other.checksum);
        let (mut one, mut other) = (trace(family, one), trace(family, other));
        let all = [answers(&one, quoted), answers(&other, quoted)].concat();
        for index in order {
            let (from, message) = &all[index];
            for (trace, own) in [(&mut one, index < 4), (&mut other, index >= 4)] {
                let evidence = trace.handle(10, *from, message).map(|heard| heard.reply.evidence());
                if own {
                    prop_assert_eq!(evidence, Ok(Evidence::Strong));
                } else {
                    // With the same ident and eight octets only the checksum is left to tell.
                    prop_assert!(evidence != Ok(Evidence::Strong));
                    prop_assert!(evidence.is_err() || quoted == 8);
                }
            }
        }
        for trace in [one, other] {
            let route = [1, 2, 3].map(|hop| Some(router(family, hop)));
            prop_assert_eq!(&trace.route()[..3], &route[..]);
            prop_assert_eq!(trace.distance(), Some(4));
        }
    }

    #[test]
    fn a_seq_finds_its_probe_wherever_the_first_one_stands(
        family in a_version(),
        first_seq in prop_oneof![any::<u16>(), 0xfff0..=0xffff_u16],
    ) {
        let config = Config { max_hops: 32, ..config(family) };
        let mut trace = Trace::of(config, Echo { first_seq, ..ECHO });
        prop_assert_eq!(trace.probes.len(), 32);
        for hop in (1..=31).rev() {
            prop_assert_eq!(trace.time_exceeded(10, hop).unwrap().probe.hop, hop);
        }
        prop_assert_eq!(trace.echo_reply(10, 32).unwrap().probe.hop, 32);
    }
}
