//! A tracer in the simulated internet, on virtual time.

use hopshot_core::wire::{AddressFamily, Ends, icmp, ip};
use hopshot_core::{Action, Arrival, Config, Echo, Instant, Outcome, StopReason, Tracer};
use hopshot_lab::{CLIENT, Delivery, Internet, Scenario};
use std::net::IpAddr;
use std::time::Duration;

/// What a trace found, and what it cost.
pub(crate) struct Traced {
    pub(crate) tracer: Tracer<768>,
    pub(crate) internet: Internet,
    /// From the first probe to the end.
    pub(crate) took: Duration,
}

/// A path whose first third is within 10 ms, and the rest behind an ocean.
pub(crate) fn leap(hops: u8, rtt_ms: f64) -> Scenario {
    let routers = (1..hops).map(|hop| {
        let is_near = hop * 3 <= hops;
        let away = if is_near {
            f64::from(hop) * 30.0 / f64::from(hops)
        } else {
            rtt_ms - f64::from(hops - hop)
        };
        format!("[[hop]]\nat = {hop}\nrtt_ms = {away}\n")
    });
    let text = format!(
        "hops = {hops}\nrtt_ms = {rtt_ms}\n{}",
        routers.collect::<String>()
    );
    Scenario::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Traces the scenario's target.
pub(crate) fn trace(
    scenario: &Scenario,
    family: AddressFamily,
    seed: u64,
    configure: impl Fn(Config) -> Config,
) -> Traced {
    let mut internet = Internet::new(scenario, seed);
    let tracer = trace_in(&mut internet, family, seed, Duration::ZERO, configure);
    Traced {
        took: tracer.1,
        tracer: tracer.0,
        internet,
    }
}

/// Traces in an internet that has seen traffic before, from `start` on its clock.
pub(crate) fn trace_in(
    internet: &mut Internet,
    family: AddressFamily,
    seed: u64,
    start: Duration,
    configure: impl Fn(Config) -> Config,
) -> (Tracer<768>, Duration) {
    let random = u128::from(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64
        | u128::from(seed ^ 0x5851_f42d_4c95_7f2d);
    let client = CLIENT.address(family);
    let target = internet.target(family);
    let config = configure(Config {
        source: client,
        ..Config::new(target)
    });
    let mut tracer = Tracer::new(config, Echo::new(random.rotate_left(37).to_be_bytes()))
        .expect("the parameters are in range");
    let ended = play(internet, &mut tracer, start);
    (tracer, ended - start)
}

/// Plays a tracer from `start` to its end, and says when that is.
pub(crate) fn play(internet: &mut Internet, tracer: &mut Tracer<768>, start: Duration) -> Duration {
    let client = tracer.config().source;
    let mut now = start;
    let mut due: Vec<Delivery> = Vec::new();
    let mut message = vec![0; tracer.protocol().message_len()];
    loop {
        due.extend(internet.unsolicited(now));
        due.sort_by_key(|delivery| delivery.due);
        while due.first().is_some_and(|delivery| delivery.due <= now) {
            let delivery = due.remove(0);
            let (header, payload) =
                ip::parse(&delivery.packet).expect("the lab sends whole packets");
            let arrival = Arrival {
                at: at(delivery.due),
                from: header.ends.source,
                hop_limit: Some(header.hop_limit),
            };
            let _ = tracer.handle(arrival, payload);
        }
        match tracer
            .poll(at(now), &mut message)
            .expect("the buffer is large enough")
        {
            Action::Transmit(probe) => {
                let packet = packet(client, probe.destination, probe.hop_limit, probe.message);
                due.extend(internet.receive(now, &packet));
            }
            Action::Wait(until) => {
                assert!(until > at(now), "a wait must end later than it begins");
                let until = Duration::from_nanos(until.as_nanos());
                let arrivals = due
                    .iter()
                    .map(|delivery| delivery.due)
                    .chain(internet.next_unsolicited());
                now = arrivals.fold(until, Duration::min).max(now);
            }
            Action::Done => return now,
        }
        assert!(now < start + Duration::from_secs(60), "a trace must end");
    }
}

fn at(time: Duration) -> Instant {
    Instant::EPOCH.saturating_add(time)
}

fn packet(source: IpAddr, destination: IpAddr, hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let ends = Ends {
        source,
        destination,
    };
    let mut packet = vec![0; ip::header_len(ends.family()) + message.len()];
    let header = ip::Header {
        ends,
        hop_limit,
        traffic_class: 0,
        protocol: ip::icmp(ends.family()),
    };
    let len = header
        .emit(message.len(), &mut packet)
        .expect("it has room");
    packet[len..].copy_from_slice(message);
    assert!(
        icmp::Message::parse(ends, message).is_ok(),
        "a probe's checksum is right"
    );
    packet
}

impl Traced {
    /// What each hop said: all addresses that answered there.
    pub(crate) fn addresses(&self) -> Vec<Vec<IpAddr>> {
        let hops = self.tracer.route().hops().map(|hop| {
            let mut from: Vec<IpAddr> = hop.replies().map(|reply| reply.from).collect();
            from.dedup();
            from
        });
        hops.collect()
    }

    pub(crate) fn distance(&self) -> Option<u8> {
        self.tracer.route().distance()
    }

    pub(crate) fn stop_reason(&self) -> StopReason {
        self.tracer.route().stop_reason().expect("it has ended")
    }

    pub(crate) fn sent(&self) -> usize {
        self.tracer.route().probes_sent()
    }

    pub(crate) fn past_target(&self) -> usize {
        self.internet
            .log()
            .iter()
            .filter(|probe| probe.past_target)
            .count()
    }

    /// How many hops have no answer.
    pub(crate) fn dark(&self) -> usize {
        let silent = |hop: &hopshot_core::Hop<'_>| {
            !hop.outcomes()
                .any(|outcome| matches!(outcome, Outcome::Answered(_)))
        };
        self.tracer.route().hops().filter(silent).count()
    }
}
