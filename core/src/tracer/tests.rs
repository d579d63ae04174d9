use super::*;
use crate::answer::{Back, Quoted};
use crate::config::Sweep;
use crate::outcome::Outcome;
use core::time::Duration;

const ECHO: Echo = Echo::new([7; 16]);

fn config(max_hops: u8) -> Config {
    Config {
        max_hops,
        ..Config::new([192, 0, 2, 1].into())
    }
}

/// A tracer that has sent a probe to hop 1 at 10 ms, and that probe.
fn tracer() -> (Tracer<8>, [u8; 32]) {
    let (mut tracer, mut probe) = (Tracer::new(config(1), ECHO).unwrap(), [0; 32]);
    assert!(matches!(
        tracer.poll(Instant::from_millis(10), &mut probe),
        Ok(Action::Transmit(_))
    ));
    (tracer, probe)
}

/// Hears the target's reply: the probe with another type.
fn reply(tracer: &mut Tracer<8>, at: u64, probe: &[u8]) -> Reply {
    let mut message = [0; 32];
    message[1..].copy_from_slice(&probe[1..]);
    let back = Back::Reply {
        protocol: ip::PROTOCOL_ICMP,
        message: &message,
    };
    tracer
        .accept(Instant::from_millis(at), &answer(Kind::Reply, back))
        .unwrap()
}

fn answer(kind: Kind, back: Back<'_>) -> Answer<'_> {
    let extensions = Extensions::default();
    Answer {
        from: [192, 0, 2, 1].into(),
        hop_limit: None,
        kind,
        icmp: (0, 0),
        mtu: None,
        back,
        extensions,
    }
}

fn rtt(tracer: &Tracer<8>) -> Duration {
    tracer
        .route()
        .hops()
        .next()
        .unwrap()
        .replies()
        .next()
        .unwrap()
        .rtt
}

const PROBE: ProbeId = ProbeId { hop: 1, attempt: 1 };

#[test]
fn an_idle_tracer_expects_nothing_and_a_trace_no_more_than_its_hops() {
    let mut tracer = Tracer::<8>::idle();
    tracer.expect(9, true);
    assert_eq!(tracer.route().stop_reason(), Some(StopReason::Interrupted));
    let config = Config {
        max_hops: 4,
        sweep: Some(Sweep::Window { first: 1, step: 1 }),
        ..Config::new([192, 0, 2, 1].into())
    };
    tracer.start(&config, Echo::new([7; 16])).unwrap();
    for (hop, expected) in [(0, 1), (3, 3), (200, 4)] {
        tracer.expect(hop, true);
        let Some(Sweep::Window { first, step }) = tracer.config().sweep else {
            panic!("it has a window");
        };
        // No echo begins a connection, so there is nothing to save.
        assert_eq!((first, step), (expected, 1));
    }
}

#[test]
fn a_transmit_timestamp_moves_the_sending_time() {
    let (mut tracer, probe) = tracer();
    tracer.sent(PROBE, Instant::from_millis(12));
    tracer.sent(
        ProbeId {
            attempt: 2,
            ..PROBE
        },
        Instant::from_millis(99),
    );
    assert_eq!(reply(&mut tracer, 15, &probe).rtt, Duration::from_millis(3));
}

#[test]
fn a_transmit_timestamp_after_the_answer_still_counts_but_never_turns_the_rtt_around() {
    let (mut tracer, probe) = tracer();
    assert_eq!(reply(&mut tracer, 15, &probe).rtt, Duration::from_millis(5));
    tracer.sent(PROBE, Instant::from_millis(14));
    assert_eq!(rtt(&tracer), Duration::from_millis(1));
    tracer.sent(PROBE, Instant::from_millis(16));
    assert_eq!(rtt(&tracer), Duration::ZERO);
}

/// Answers every probe of a burst: by the router that `router` names for its hop.
fn answered(router: impl Fn(u8) -> u8) -> Tracer<64> {
    let config = Config {
        sweep: Some(Sweep::Burst),
        ..config(64)
    };
    let (mut tracer, mut buf) = (Tracer::new(config, ECHO).unwrap(), [0; 32]);
    for _ in 1..=64 {
        let Ok(Action::Transmit(probe)) = tracer.poll(Instant::EPOCH, &mut buf) else {
            panic!()
        };
        let from = [10, 0, 0, router(probe.hop_limit)].into();
        let (protocol, message) = (ip::PROTOCOL_ICMP, probe.message);
        let back = Back::Quoted(Quoted {
            destination: None,
            header: None,
            protocol,
            message,
        });
        let answer = Answer {
            from,
            ..answer(Kind::TimeExceeded, back)
        };
        tracer.accept(Instant::from_millis(5), &answer).unwrap();
    }
    tracer
}

fn end(tracer: &Tracer<64>) -> Option<(u8, EndKind)> {
    tracer.path.end.map(|end| (end.hop, end.kind))
}

/// Lets the router with this number answer a probe, weakly where the quoted destination is
/// another.
fn answer_from(tracer: &mut Tracer<64>, hop: u8, router: u8, is_weak: bool) {
    let mut message = [0; 32];
    let index = u16::from(hop - 1);
    ECHO.emit(tracer.config.ends(), index, &mut message)
        .unwrap();
    let back = Back::Quoted(Quoted {
        destination: is_weak.then(|| [192, 0, 2, 99].into()),
        header: None,
        protocol: ip::PROTOCOL_ICMP,
        message: &message,
    });
    let answer = Answer {
        from: [10, 0, 0, router].into(),
        ..answer(Kind::TimeExceeded, back)
    };
    let _ = tracer.accept(Instant::from_millis(5), &answer);
}

/// The loop that a look at all routers finds.
fn any_loop(tracer: &Tracer<64>) -> Option<(u8, Evidence)> {
    let probes = tracer.memory.probes();
    [Evidence::Strong, Evidence::Weak]
        .into_iter()
        .find_map(|evidence| {
            let routers = probes.iter().filter_map(Slot::passed_by);
            let thirds = routers.map(|router| match table::third_visit(probes, router) {
                (hop, _) if evidence == Evidence::Weak => hop,
                (_, hop) => hop,
            });
            let third = thirds.min().filter(|hop| *hop != table::NOWHERE);
            third.map(|hop| (hop, evidence))
        })
}

#[test]
fn a_loop_is_found_in_whatever_order_its_answers_come_and_however_well_they_are_proven() {
    let mut random = 1u32;
    let mut below = |most: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as usize % most
    };
    let (mut strong, mut weak) = (0, 0);
    for _ in 0..20_000 {
        let config = Config {
            sweep: Some(Sweep::Burst),
            ..config(12)
        };
        let (mut tracer, mut buf) = (Tracer::<64>::new(config, ECHO).unwrap(), [0; 32]);
        while let Ok(Action::Transmit(_)) = tracer.poll(Instant::EPOCH, &mut buf) {}
        // Answers in any order, some of them twice: a strong one takes the place of a weak one,
        // which may be another router's.
        let routers = 2 + below(3);
        let honest: [u8; 12] = core::array::from_fn(|_| below(routers) as u8);
        for _ in 0..8 + below(16) {
            let hop = below(12);
            let (router, is_weak) = match below(4) {
                0 => (below(routers) as u8, true),
                1 => (honest[hop], true),
                _ => (honest[hop], false),
            };
            answer_from(&mut tracer, hop as u8 + 1, router, is_weak);
            let found = tracer
                .path
                .found_loop
                .map(|found| (found.hop, found.evidence));
            let any = any_loop(&tracer);
            // A weak loop that others than those that have just answered make may come later.
            if any.is_none_or(|(_, evidence)| evidence == Evidence::Strong) {
                assert_eq!(found, any);
            }
            strong += u32::from(any.is_some_and(|any| any.1 == Evidence::Strong));
            weak += u32::from(found.is_some_and(|found| found.1 == Evidence::Weak));
        }
    }
    assert!(strong > 1000 && weak > 1000, "{strong}, {weak}");
}

#[test]
fn a_loop_of_any_length_ends_where_its_first_router_is_met_for_the_third_time() {
    assert_eq!(end(&answered(|hop| hop % 32)), None);
    assert_eq!(
        end(&answered(|hop| if hop % 8 == 0 { 200 } else { hop })),
        Some((24, EndKind::Loop))
    );
    for routers in [2, 3, 4, 5, 21] {
        let tracer = answered(|hop| hop % routers);
        assert_eq!(
            end(&tracer),
            Some((2 * routers + 1, EndKind::Loop)),
            "{routers} routers"
        );
    }
}

#[test]
fn a_better_sending_time_leaves_a_loop_as_it_is() {
    let mut tracer = answered(|hop| hop % 3);
    let before = tracer.path.end;
    for hop in 1..=64 {
        tracer.sent(ProbeId { hop, attempt: 1 }, Instant::from_millis(1));
    }
    assert_eq!(tracer.path.end, before);
}

#[test]
fn an_idle_tracer_has_nothing_to_do_and_starts_again_and_again() {
    static IDLE: Tracer<8> = Tracer::idle();
    let mut tracer = IDLE.clone();
    let mut buf = [0; 32];
    assert_eq!(tracer.poll(Instant::EPOCH, &mut buf), Ok(Action::Done));
    assert_eq!(tracer.route().stop_reason(), Some(StopReason::Interrupted));
    assert_eq!(tracer.route().hops().count(), 0);
    // All zeros: a static takes no flash.
    let idle = tracer.config();
    assert_eq!((idle.first_hop, idle.max_hops, idle.patience), (0, 0, 0));
    assert_eq!((idle.attempts, idle.retries), (0, 0));
    assert_eq!(idle.timeout, Duration::ZERO);
    assert_eq!(idle.sweep, Some(Sweep::Burst));
    for max_hops in [3, 5, 1] {
        tracer.start(&config(max_hops), ECHO).unwrap();
        assert_eq!(tracer.route().stop_reason(), None);
        assert_eq!(tracer.route().probes_sent(), 0);
        for hop in 1..=max_hops {
            let Ok(Action::Transmit(probe)) = tracer.poll(Instant::EPOCH, &mut buf) else {
                panic!()
            };
            assert_eq!(probe.hop_limit, hop);
        }
        reply(&mut tracer, 5, &buf);
    }
    // What can't be started leaves it as it is.
    assert!(tracer.start(&config(9), ECHO).is_err());
    assert_eq!(tracer.route().distance(), Some(1));
}

#[test]
fn a_clock_that_begins_again_does_not_hold_the_trace_up() {
    // Whenever it does, be it among the first probes, once it is quiet, or near the end.
    for (interval, at) in [0, 30]
        .into_iter()
        .flat_map(|ms| (0..20).map(move |at| (ms, at)))
    {
        let config = Config {
            interval: Duration::from_millis(interval),
            ..config(6)
        };
        let (mut tracer, mut buf) = (Tracer::<12>::new(config, ECHO).unwrap(), [0; 32]);
        let (mut now, mut spent) = (Instant::from_millis(1 << 32), Duration::ZERO);
        for step in 0.. {
            if step == at {
                now = Instant::from_millis(3);
            }
            match tracer.poll(now, &mut buf).unwrap() {
                Action::Transmit(_) => {}
                Action::Wait(until) => {
                    spent += until.saturating_since(now);
                    now = until;
                }
                Action::Done => break,
            }
        }
        assert!(
            spent < Duration::from_secs(5),
            "{interval} ms, {at}: {spent:?}"
        );
    }
}

#[test]
fn a_clock_that_goes_back_by_a_second_has_not_begun_again() {
    for (back, expected) in [(1_000_000_000, 0), (1_000_000_001, 5_000_000)] {
        let (mut tracer, mut buf) = (Tracer::<8>::new(config(2), ECHO).unwrap(), [0; 32]);
        let sent = Instant::from_millis(10_000);
        let _ = tracer.poll(sent, &mut buf);
        let now = sent.before(back);
        let _ = tracer.poll(now, &mut [0; 32]);
        let heard = now.after(5_000_000).as_nanos() / 1_000_000;
        let rtt = reply(&mut tracer, heard, &buf).rtt;
        assert!(
            rtt.as_nanos().abs_diff(expected) <= 1_000_000,
            "{back}: {rtt:?}"
        );
    }
}

#[test]
fn a_queue_that_was_full_puts_off_nothing_but_what_failed_does() {
    let config = Config {
        interval: Duration::from_millis(30),
        ..config(4)
    };
    let is_sent =
        |action: Result<Action<'_>, BufferTooSmall>| matches!(action, Ok(Action::Transmit(_)));
    let (mut tracer, mut buf) = (Tracer::<8>::new(config, ECHO).unwrap(), [0; 32]);
    let now = Instant::from_millis(10);
    assert!(is_sent(tracer.poll(now, &mut buf)));
    tracer.unsent(PROBE);
    assert!(is_sent(tracer.poll(now, &mut buf)));
    // Once it has left, or failed, the next one waits.
    tracer.unsent(ProbeId { hop: 2, attempt: 1 });
    assert!(matches!(tracer.poll(now, &mut buf), Ok(Action::Wait(_))));
    let (mut tracer, now) = (
        Tracer::<8>::new(
            Config {
                interval: Duration::ZERO,
                ..config
            },
            ECHO,
        )
        .unwrap(),
        now,
    );
    assert!(is_sent(tracer.poll(now, &mut buf)));
    assert!(is_sent(tracer.poll(now, &mut buf)));
    tracer.fail(PROBE, SendError(105));
    tracer.unsent(ProbeId { hop: 2, attempt: 1 });
    assert_eq!(
        tracer.poll(now, &mut buf),
        Ok(Action::Wait(now.after(AFTER_FAILURE)))
    );
}

#[test]
fn a_probe_that_was_not_sent_comes_again() {
    let (mut tracer, mut first) = tracer();
    tracer.unsent(PROBE);
    assert_eq!(tracer.route().probes_sent(), 0);
    let mut again = [0; 32];
    let later = Instant::from_millis(900);
    assert!(matches!(
        tracer.poll(later, &mut again),
        Ok(Action::Transmit(Transmit { probe: PROBE, .. }))
    ));
    assert_eq!(first, again);
    assert_eq!(
        reply(&mut tracer, 905, &first).rtt,
        Duration::from_millis(5)
    );
    // What was answered has been sent, whatever the caller says; so has what isn't the last.
    tracer.unsent(PROBE);
    assert_eq!(tracer.route().distance(), Some(1));
    let mut tracer = Tracer::<8>::new(config(2), ECHO).unwrap();
    for _ in 1..=2 {
        let _ = tracer.poll(Instant::EPOCH, &mut first);
    }
    tracer.unsent(PROBE);
    assert_eq!(tracer.route().probes_sent(), 2);
}

#[test]
fn the_next_probe_leaves_a_while_after_one_that_failed() {
    let (mut tracer, mut buf) = (Tracer::<8>::new(config(4), ECHO).unwrap(), [0; 32]);
    let now = Instant::from_millis(10);
    let Ok(Action::Transmit(probe)) = tracer.poll(now, &mut buf) else {
        panic!()
    };
    let probe = probe.probe;
    tracer.fail(probe, SendError(105));
    let later = now.after(AFTER_FAILURE);
    assert_eq!(tracer.poll(now, &mut buf), Ok(Action::Wait(later)));
    assert!(matches!(
        tracer.poll(later, &mut buf),
        Ok(Action::Transmit(_))
    ));
}

#[test]
fn what_could_not_be_sent_has_no_sending_time() {
    let (mut tracer, _) = tracer();
    tracer.fail(PROBE, SendError(1));
    tracer.sent(PROBE, Instant::from_millis(12));
    assert!(matches!(
        tracer.route().hops().next().unwrap().outcomes().next(),
        Some(Outcome::Failed(_))
    ));
}
