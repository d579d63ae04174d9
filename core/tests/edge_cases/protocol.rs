//! The seam between a trace and its probes: probes of another kind than Echo Requests.

use crate::network::{BOTH, ECHO, config, echo_reply, ends, error, message, ms, router};
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, BufferTooSmall, Ends, Malformed, ip};
use hopshot_core::{
    Action, Answer, Arrival, Back, Changes, Config, ConfigError, Discard, Echo, Instant, Kind,
    Match, ProbeId, Protocol, Tracer,
};
use std::net::IpAddr;

/// UDP datagrams of one flow, with a secret and the index of the probe in their payload.
#[derive(Clone, Copy, Debug)]
struct Datagrams {
    secret: [u8; 4],
}

const PORTS: [u8; 4] = [0x82, 0x9a, 0x82, 0x9b];
const UDP: u8 = 17;

impl Protocol for Datagrams {
    const IDLE: Self = Self { secret: [0; 4] };

    fn number(&self, _: AddressFamily) -> u8 {
        UDP
    }

    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    fn message_len(&self) -> usize {
        14
    }

    fn emit(&self, _: Ends, index: u16, message: &mut [u8]) -> Result<(), BufferTooSmall> {
        let [high, low] = index.to_be_bytes();
        let datagram = [&PORTS[..], &[0, 14, 0, 0], &self.secret, &[high, low]].concat();
        message.copy_from_slice(&datagram);
        Ok(())
    }

    fn recognize(&self, _: Ends, answer: &Answer<'_>, changes: Changes) -> Result<Match, Discard> {
        match answer.back {
            Back::Quoted(quoted) if quoted.protocol == UDP => match quoted.message {
                [.., a, b, c, d, high, low] if [*a, *b, *c, *d] == self.secret => Ok(Match {
                    index: u16::from_be_bytes([*high, *low]),
                    changes,
                }),
                _ => Err(Discard::WrongCookie),
            },
            _ => Err(Malformed::Foreign.into()),
        }
    }

    fn key(_: &Answer<'_>) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(PORTS))
    }
}

/// A trace by datagrams that has sent four of them.
fn trace(family: AddressFamily) -> (Tracer<8, Datagrams>, Vec<Vec<u8>>) {
    let mut tracer = Tracer::new(config(family), Datagrams { secret: *b"cook" }).unwrap();
    let mut probes = Vec::new();
    let mut buf = [0; 64];
    while let Ok(Action::Transmit(probe)) = tracer.poll(Instant::EPOCH, &mut buf) {
        probes.push(probe.message.to_vec());
    }
    assert_eq!(probes.len(), 4);
    (tracer, probes)
}

/// An error that quotes a datagram.
fn quoting(
    family: AddressFamily,
    from: IpAddr,
    icmp_type: Type,
    code: u8,
    probe: &[u8],
) -> Vec<u8> {
    let ends = ends(family);
    let header = ip::Header {
        ends,
        hop_limit: 1,
        traffic_class: 0,
        protocol: UDP,
    };
    let mut packet = vec![0; ip::header_len(family)];
    header.emit(probe.len(), &mut packet).unwrap();
    error(from, icmp_type, code, 0, &[&packet, probe].concat())
}

fn from(from: IpAddr) -> Arrival {
    Arrival {
        at: Instant::from_millis(10),
        from,
        hop_limit: None,
    }
}

#[test]
fn a_trace_by_other_probes_knows_its_hops_as_any_other() {
    for family in BOTH {
        let (mut tracer, probes) = trace(family);
        let target = ends(family).destination;
        for hop in [1, 2] {
            let router = router(family, hop);
            let probe = &probes[usize::from(hop) - 1];
            let message = quoting(family, router, Type::TimeExceeded, 0, probe);
            let reply = tracer.handle(from(router), &message).unwrap().reply;
            assert_eq!(
                (reply.probe.hop, reply.from, reply.rtt),
                (hop, router, ms(10))
            );
            assert!(reply.changes.is_empty());
        }
        // Port unreachable.
        let code = if family == AddressFamily::V4 { 3 } else { 4 };
        let message = quoting(family, target, Type::Unreachable, code, &probes[2]);
        assert_eq!(
            tracer.handle(from(target), &message).unwrap().reply.kind,
            Kind::Unreachable
        );
        assert_eq!(tracer.route().distance(), Some(3));
    }
}

#[test]
fn probes_are_numbered_in_the_order_they_leave_also_those_that_ask_again() {
    for family in BOTH {
        let config = Config {
            sweep: None,
            ..config(family)
        };
        let secret = *b"cook";
        let mut tracer = Tracer::<16, _>::new(config, Datagrams { secret }).unwrap();
        let (mut now, mut buf, mut left) = (Instant::EPOCH, [0; 64], Vec::new());
        loop {
            match tracer.poll(now, &mut buf).unwrap() {
                Action::Transmit(probe) => {
                    let index = probe.message.last_chunk().copied().map(u16::from_be_bytes);
                    assert_eq!(tracer.index(probe.probe), index);
                    left.push((probe.hop_limit, index.unwrap()));
                }
                Action::Wait(until) => now = until,
                Action::Done => break,
            }
        }
        // The nearest two were asked again.
        assert_eq!(left, [(1, 0), (2, 1), (3, 2), (4, 3), (1, 4), (2, 5)]);
        assert_eq!(tracer.index(ProbeId { hop: 3, attempt: 2 }), None);
    }
}

#[test]
fn what_all_protocols_have_in_common_is_compared_for_each() {
    for family in BOTH {
        let target = router(family, 7);
        let config = Config {
            target,
            traffic_class: 4,
            ..config(family)
        };
        let secret = *b"cook";
        let mut tracer = Tracer::<8, _>::new(config, Datagrams { secret }).unwrap();
        let mut buf = [0; 64];
        assert!(matches!(
            tracer.poll(Instant::EPOCH, &mut buf),
            Ok(Action::Transmit(_))
        ));
        let router = router(family, 1);
        let message = quoting(family, router, Type::TimeExceeded, 0, &buf[..14]);
        let changes = tracer.handle(from(router), &message).unwrap().reply.changes;
        assert!(changes.contains(Changes::DESTINATION) && changes.contains(Changes::TRAFFIC_CLASS));
        assert!(!changes.contains(Changes::SOURCE) && !changes.contains(Changes::UNPROVEN));
    }
}

#[test]
fn an_answer_to_a_probe_of_one_kind_is_none_to_one_of_another() {
    for family in BOTH {
        let foreign = Err(Discard::Malformed(Malformed::Foreign));
        let (mut tracer, probes) = trace(family);
        let target = ends(family).destination;
        let (mut echoes, mut buf) = (Tracer::<8>::new(config(family), ECHO).unwrap(), [0; 64]);
        let Ok(Action::Transmit(probe)) = echoes.poll(Instant::EPOCH, &mut buf) else {
            panic!()
        };
        let reply = echo_reply(target, probe.message);
        assert_eq!(
            tracer.handle(from(target), &reply).map(|heard| heard.reply),
            foreign
        );
        let router = router(family, 1);
        let about_datagram = quoting(family, router, Type::TimeExceeded, 0, &probes[0]);
        assert_eq!(
            echoes
                .handle(from(router), &about_datagram)
                .map(|heard| heard.reply),
            foreign
        );
        // Nor is there a key in it by which a trace could be found.
        let ends = Ends {
            source: router,
            destination: ends(family).source,
        };
        let answer = Answer::parse(ends, None, &about_datagram).unwrap();
        assert_eq!(Echo::key(&answer), Err(Malformed::Foreign));
        assert!(echoes.handle(from(target), &reply).is_ok());
    }
}

#[test]
fn an_echo_is_icmp_of_its_family() {
    assert_eq!(BOTH.map(|family| ECHO.number(family)), [1, 58]);
}

#[test]
fn the_key_of_an_echo_is_its_ident_and_its_seq() {
    for family in BOTH {
        let target = ends(family).destination;
        let (ident, seq) = (0x1de7, 0x5eb0);
        let echo = hopshot_core::wire::icmp::Echo {
            ident,
            seq,
            payload: &[],
        };
        let reply = message(target, &hopshot_core::wire::icmp::Message::EchoReply(echo));
        let ends = Ends {
            source: target,
            destination: ends(family).source,
        };
        let answer = Answer::parse(ends, None, &reply).unwrap();
        assert_eq!(Echo::key(&answer), Ok(0x1de7_5eb0));
    }
}
