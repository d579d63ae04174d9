//! Every public type of the core, through defmt: `firmware/check` decodes what comes out and looks
//! for each of them.
//!
//! One line for each, with its name first: a type without its format doesn't compile here.
#![no_std]
#![no_main]

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use cortex_m_rt::entry;
use defmt_semihosting as _;
use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::extensions::{Extensions, Object};
use hopshot_core::wire::{AddressFamily, BufferTooSmall, Ends, Malformed, icmp, ip};
use hopshot_core::{
    Action, Answer, Arrival, Changes, Config, ConfigError, Discard, Echo, Evidence, Failure,
    Instant, Kind, Outcome, ProbeId, SendError, StopReason, Sweep, Tracer,
};
use hopshot_firmware::debugger;

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const TARGET: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const ENDS: Ends = Ends {
    source: SOURCE,
    destination: TARGET,
};

#[entry]
fn main() -> ! {
    debugger::exit(log().is_some())
}

/// Logs all of it; `None` if something couldn't be made.
fn log() -> Option<()> {
    defmt::info!("instant {}", Instant::from_millis(5));
    defmt::info!("duration {}", Duration::from_millis(5));
    defmt::info!("version {}", AddressFamily::V6);
    defmt::info!("ends {}", ENDS);
    defmt::info!("malformed {}", Malformed::Checksum);
    defmt::info!("buffer {}", BufferTooSmall { needed: 64 });
    defmt::info!("checksum {}", Checksum::new().with(&[1, 2]));
    defmt::info!("type {}", icmp::Type::TimeExceeded);
    defmt::info!("kind {}", Kind::TimeExceeded);
    defmt::info!("evidence {}", Evidence::Strong);
    defmt::info!("changes {}", Changes::SOURCE);
    defmt::info!("probe {}", ProbeId { hop: 3, attempt: 1 });
    defmt::info!("sweep {}", Sweep::ONE_ATTEMPT);
    defmt::info!("failure {}", Failure::Send(SendError(1)));
    defmt::info!("outcome {}", Outcome::Lost);
    defmt::info!("stop {}", StopReason::Quiet);
    defmt::info!("discard {}", Discard::NotOurs);
    defmt::info!("extensions {}", Extensions::default());
    defmt::info!(
        "object {}",
        Object {
            class: 1,
            kind: 1,
            payload: &[0, 1, 1, 1]
        }
    );
    defmt::info!(
        "labels {}",
        Object {
            class: 1,
            kind: 1,
            payload: &[0, 1, 1, 1]
        }
        .mpls()?
        .next()?
    );
    let header = ip::Header {
        ends: ENDS,
        hop_limit: 1,
        traffic_class: 0,
        protocol: ip::PROTOCOL_ICMP,
    };
    defmt::info!("header {}", header);

    let config = Config {
        max_hops: 1,
        source: SOURCE,
        ..Config::new(TARGET)
    };
    defmt::info!("config {}", config);
    defmt::info!("identity {}", Echo::new([7; 16]));
    defmt::info!(
        "error {}",
        Tracer::<1>::new(
            Config {
                attempts: 2,
                ..config
            },
            Echo::new([7; 16])
        )
        .err()? as ConfigError
    );
    let mut tracer = Tracer::<4>::new(config, Echo::new([7; 16])).ok()?;
    let mut buf = [0; 32];
    let action = tracer.poll(Instant::EPOCH, &mut buf).ok()?;
    defmt::info!("action {}", action);
    let Action::Transmit(transmit) = action else {
        return None;
    };
    defmt::info!("transmit {}", transmit);
    let request = icmp::Message::parse(ENDS, transmit.message).ok()?;
    defmt::info!("request {}", request);
    let icmp::Message::EchoRequest(echo) = request else {
        return None;
    };
    defmt::info!("echo {}", echo);
    defmt::info!(
        "quoted {}",
        icmp::QuotedEcho::parse(AddressFamily::V4, transmit.message).ok()?
    );
    let mut answer = [0; 32];
    icmp::Message::EchoReply(echo)
        .emit(ENDS.reversed(), &mut answer)
        .ok()?;
    let arrival = Arrival {
        at: Instant::from_millis(2),
        from: TARGET,
        hop_limit: Some(64),
    };
    defmt::info!("arrival {}", arrival);
    defmt::info!("reason {}", transmit.reason);
    defmt::info!(
        "answer {}",
        Answer::parse(ENDS.reversed(), Some(64), &answer).ok()?
    );
    defmt::info!("heard {}", tracer.handle(arrival, &answer).ok()?);
    tracer.stop();
    defmt::info!("tally {}", tracer.route().tally());
    defmt::info!("hop {}", tracer.route().hops().next()?);
    defmt::info!("loss {}", tracer.route().hops().next()?.loss());
    defmt::info!("route {}", tracer.route());
    defmt::info!("tracer {}", tracer);
    Some(())
}
