//! A whole trace over a made-up path where every router and the target tell the truth or keep
//! silent, while forgeries come in that lack what only the path knows: the route must be the true
//! one.

use crate::ends;
use crate::packets::{Says, Shape};
use crate::tracer::Setup;
use crate::watched::{Step, Watched};
use arbitrary::{Arbitrary, Unstructured};
use core::time::Duration;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Config, Echo, Evidence, Hop, MAX_RETRIES, StopReason};
use hopshot_engine::Probes;

const MILLISECOND: u64 = 1_000_000;

/// One hop: how long its answer takes, and whether it gives one.
#[derive(Arbitrary, Clone, Copy, Debug, Default)]
struct Router {
    /// In milliseconds, modulo 150: what a trace must wait for.
    delay: u8,
    is_silent: bool,
}

/// An answer that somebody off the path made up.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Forgery {
    /// To this probe.
    which: u8,
    /// So many milliseconds after it left.
    after: u8,
    shape: Shape,
}

/// Decodes a path and forgeries from `octets`, and traces it.
pub fn body(octets: &[u8]) {
    let mut input = Unstructured::new(octets);
    let Ok(setup) = Setup::arbitrary(&mut input) else {
        return;
    };
    let Ok(distance) = u8::arbitrary(&mut input) else {
        return;
    };
    let mut config = setup.config();
    config.attempts = 1 + config.attempts % 4;
    config.retries %= MAX_RETRIES;
    config.timeout = Duration::from_secs(2);
    config.interval = Duration::ZERO;
    let distance = config.first_hop + distance % (config.max_hops + 1 - config.first_hop);
    let routers: Vec<Router> = (0..distance)
        .map(|_| Router::arbitrary(&mut input).unwrap_or_default())
        .collect();
    let mut forgeries = Vec::new();
    while let (false, Ok(forgery)) = (
        input.is_empty() || forgeries.len() > 40,
        Forgery::arbitrary(&mut input),
    ) {
        forgeries.push(forgery);
    }
    match setup.room % 2 {
        0 => trace::<64>(config, setup.echo(), &routers, &forgeries),
        _ => trace::<400>(config, setup.echo(), &routers, &forgeries),
    }
}

/// What is on its way back, by the time of its arrival.
struct Underway {
    at: u64,
    index: usize,
    shape: Shape,
}

fn trace<const N: usize>(config: Config, echo: Echo, routers: &[Router], forgeries: &[Forgery]) {
    let Some(mut watched) = Watched::<N>::new(config, Probes::Echo(echo)) else {
        return;
    };
    let mut now = 1_000 * MILLISECOND;
    let mut underway: Vec<Underway> = Vec::new();
    let mut settled = Vec::new();
    for _ in 0..20 * N + 1000 {
        while let Some(first) = (0..underway.len())
            .filter(|i| underway[*i].at <= now)
            .min_by_key(|i| underway[*i].at)
        {
            let Underway { at, index, shape } = underway.remove(first);
            watched.answer(index, &shape, at);
        }
        match watched.poll(now) {
            Step::Transmitted(index) => {
                send(&watched, index, now, routers, forgeries, &mut underway);
            }
            Step::Wait(until) => {
                now = underway
                    .iter()
                    .map(|answer| answer.at)
                    .fold(until, u64::min);
            }
            Step::Done => {
                check(&watched, &config, routers);
                if forgeries.is_empty() {
                    check_complete(&watched, &config, routers);
                }
                return;
            }
        }
        if forgeries.is_empty() {
            check_settled(&watched, &mut settled);
        }
    }
    panic!("the trace doesn't end");
}

/// Puts the true answer to a probe and all forged ones on their way.
fn send<const N: usize>(
    watched: &Watched<N>,
    index: usize,
    now: u64,
    routers: &[Router],
    forgeries: &[Forgery],
    underway: &mut Vec<Underway>,
) {
    let place = usize::from(watched.sent[index].id.hop).min(routers.len());
    let router = routers[place - 1];
    let is_target = place == routers.len();
    if is_target || !router.is_silent {
        let shape = Shape::honest(if is_target {
            Says::Reply
        } else {
            Says::TimeExceeded
        });
        let delay = 1 + u64::from(router.delay % 150);
        underway.push(Underway {
            at: now + delay * MILLISECOND,
            index,
            shape,
        });
    }
    for forgery in forgeries
        .iter()
        .filter(|forgery| usize::from(forgery.which) == index)
    {
        let shape = if forgery.shape.says == Says::Reply {
            Shape {
                stranger: true,
                ..forgery.shape
            }
        } else {
            Shape {
                other_destination: true,
                ..forgery.shape
            }
        };
        underway.push(Underway {
            at: now + u64::from(forgery.after) * MILLISECOND,
            index,
            shape,
        });
    }
}

/// A line that was printed stays true: no probe is added to a hop once it and all before it are
/// settled.
fn check_settled<const N: usize>(watched: &Watched<N>, settled: &mut Vec<(u8, usize)>) {
    let route = watched.tracer().route();
    let count = |number: u8| {
        watched
            .sent
            .iter()
            .filter(|sent| sent.id.hop == number)
            .count()
    };
    for (number, probes) in settled.iter() {
        assert_eq!(
            count(*number),
            *probes,
            "a probe to hop {number}, which was settled"
        );
    }
    let so_far = route.hops().take_while(Hop::is_settled);
    *settled = so_far
        .filter(|hop| !hop.is_target())
        .map(|hop| (hop.number(), count(hop.number())))
        .collect();
}

/// Whatever is forged: the target is where it is, and what is beyond doubt is true.
fn check<const N: usize>(watched: &Watched<N>, config: &Config, routers: &[Router]) {
    let route = watched.tracer().route();
    assert_eq!(
        route.distance().map(usize::from),
        Some(routers.len()),
        "the target answers every probe that reaches it"
    );
    // With few places some silent hops were not asked again.
    assert!(matches!(
        route.stop_reason(),
        Some(StopReason::Reached | StopReason::NoRoom)
    ));
    for hop in route.hops().filter(|hop| !hop.is_target()) {
        let router = routers[usize::from(hop.number()) - 1];
        for reply in hop
            .replies()
            .filter(|reply| reply.evidence() == Evidence::Strong)
        {
            assert!(!router.is_silent);
            assert_eq!(
                reply.from,
                ends::router(AddressFamily::of(config.target), hop.number())
            );
        }
    }
}

/// Where nobody lies the route has an answer of every router that gives one, and all attempts were
/// made.
fn check_complete<const N: usize>(watched: &Watched<N>, config: &Config, routers: &[Router]) {
    let asked = usize::from(config.attempts);
    for hop in watched.tracer().route().hops() {
        let number = hop.number();
        let answers = hop.replies().count();
        let outcomes = hop.outcomes().count();
        assert!(
            outcomes >= asked,
            "{outcomes} of {asked} attempts at hop {number}"
        );
        if hop.is_target() {
            assert!(
                answers >= asked,
                "the target answered more often than it shows"
            );
        } else if !routers[usize::from(number) - 1].is_silent {
            // Of several that a slow router owes, all but the first may be given up.
            assert!(answers > 0, "hop {number} was not waited for");
        }
    }
}
