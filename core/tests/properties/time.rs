//! Time that stands still, jumps ahead, and jumps back.

use crate::network::{ECHO, Trace, config, echo_reply, ends, error, quote, router};
use crate::{a_version, drawn};
use hopshot_core::wire::icmp::Type;
use hopshot_core::{Action, Arrival, Config, Instant, Outcome, Sweep, Tracer};
use proptest::prelude::*;
use std::time::Duration;

/// What may happen, and how the clock went before it.
#[derive(Clone, Copy, Debug)]
enum Event {
    Poll,
    /// The answer to some probe: Time Exceeded, or the target's.
    Answer(usize, bool),
}

fn an_event() -> impl Strategy<Value = (Event, i64)> {
    let event = prop_oneof![
        3 => Just(Event::Poll),
        2 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(index, end)| Event::Answer(index.index(64), end)),
    ];
    let milliseconds = prop_oneof![3 => Just(0), 3 => 1..200_i64, 1 => -500..0_i64, 1 => Just(i64::from(i32::MAX))];
    (event, milliseconds)
}

/// What an RTT is cut to: 18 minutes.
const LONGEST_RTT: Duration = Duration::from_nanos((1 << 40) - 1);

proptest! {
    #![proptest_config(drawn(300))]

    #[test]
    fn whatever_the_clock_does_a_trace_keeps_its_promises(
        family in a_version(),
        attempts in 1..=3_u8,
        sweep in prop_oneof![
            Just(None),
            Just(Some(Sweep::Burst)),
            Just(Some(Sweep::Window { first: 1, step: 1 })),
            Just(Some(Sweep::Window { first: 3, step: 3 })),
        ],
        first_hop in 1..=4_u8,
        events in prop::collection::vec(an_event(), 0..120),
    ) {
        let config = Config { attempts, sweep, first_hop, max_hops: 8, ..config(family) };
        let mut tracer = Tracer::<64>::new(config, ECHO).unwrap();
        // What was sent: to which hop, when, and the message.
        let mut sent: Vec<(u8, u64, Vec<u8>)> = Vec::new();
        let (mut now, mut polled, mut buf) = (1_000_u64, 0_u64, [0xa5; 64]);
        for (event, jump) in events {
            now = now.saturating_add_signed(jump);
            if matches!(event, Event::Poll) {
                // A clock that goes back by more than a second has begun again.
                let back = polled.saturating_sub(now);
                for (_, at, _) in sent.iter_mut().filter(|_| back > 1_000) {
                    *at = at.saturating_sub(back);
                }
                polled = now;
            }
            match event {
                Event::Poll => match tracer.poll(Instant::from_millis(now), &mut buf).unwrap() {
                    Action::Transmit(probe) => sent.push((probe.hop_limit, now, probe.message.to_vec())),
                    Action::Wait(until) => prop_assert!(until > Instant::from_millis(now)),
                    Action::Done => prop_assert!(tracer.route().stop_reason().is_some()),
                },
                Event::Answer(index, is_target) if !sent.is_empty() => {
                    let (hop, at, message) = &sent[index % sent.len()];
                    let (from, answer) = if is_target {
                        (ends(family).destination, echo_reply(ends(family).destination, message))
                    } else {
                        let from = router(family, *hop);
                        (from, error(from, Type::TimeExceeded, 0, 0, &quote(family, message)))
                    };
                    let arrival = Arrival { at: Instant::from_millis(now), from, hop_limit: None };
                    if let Ok(heard) = tracer.handle(arrival, &answer) {
                        prop_assert_eq!(heard.reply.probe.hop, *hop);
                        let passed = Duration::from_millis(now.saturating_sub(*at));
                        prop_assert_eq!(heard.reply.rtt, passed.min(LONGEST_RTT));
                    }
                }
                Event::Answer(..) => {}
            }
            // Two more than asked for where the target may hide.
            let most = attempts + config.retries + 2;
            for hop in 1..=8 {
                prop_assert!(sent.iter().filter(|(at, ..)| *at == hop).count() <= usize::from(most));
            }
            prop_assert_eq!(tracer.route().probes_sent(), sent.len());
        }
        // From here on it goes as it should, and the trace ends.
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < 1_000, "the trace doesn't end");
            match tracer.poll(Instant::from_millis(now), &mut buf).unwrap() {
                Action::Transmit(_) => {}
                Action::Wait(until) => now = until.as_nanos().div_ceil(1_000_000),
                Action::Done => break,
            }
        }
        let in_flight = tracer.route().hops().flat_map(|hop| hop.outcomes()).filter(|end| *end == Outcome::InFlight);
        prop_assert!(in_flight.count() <= sent.len());
    }

    #[test]
    fn while_time_stands_still_a_trace_asks_to_wait_and_does_nothing_else(family in a_version(), at in 0..u64::MAX >> 1) {
        let mut tracer = Tracer::<64>::new(config(family), ECHO).unwrap();
        let (now, mut buf) = (Instant::from_nanos(at), [0; 64]);
        let mut told = None;
        for poll in 0..20 {
            match tracer.poll(now, &mut buf).unwrap() {
                Action::Transmit(_) => prop_assert!(poll < 4, "the burst has four probes"),
                Action::Wait(until) => {
                    prop_assert!(until > now);
                    prop_assert_eq!(*told.get_or_insert(until), until);
                }
                Action::Done => prop_assert!(false, "nothing was waited for"),
            }
        }
        prop_assert!(told.is_some());
    }

    #[test]
    fn a_poll_that_comes_years_late_ends_the_trace_at_once(family in a_version(), late in 10_000..=u64::MAX / 2_000_000) {
        let mut trace = Trace::new(family);
        prop_assert!(trace.send(late).is_none());
        prop_assert_eq!(trace.probes.len(), 4);
    }
}
