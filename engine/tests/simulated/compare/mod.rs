//! The same target by several protocols at once: the verdict and the hop at which paths part are
//! right every time, and nothing is said that isn't so.

mod ends;
mod figures;
mod paths;
mod sides;

use crate::judge::{tcp, udp};
use crate::{FAMILIES, MOST_STEPS};
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{
    Compare, Comparison, Job, ProbeProtocol, ProbeSettings, Side, SideEnd, SidePlan, SocketKind,
    Step, UdpPayload,
};
use hopshot_lab::log::Probe;
use hopshot_lab::{Error, Hop, Machine, Places, Scenario, Truth};
use std::net::IpAddr;

const ICMP: ProbeProtocol = ProbeProtocol::Icmp;
const UDP: ProbeProtocol = udp(33_434, UdpPayload::Plain);
const TCP: ProbeProtocol = tcp(443);
const ALL: [ProbeProtocol; 3] = [ICMP, UDP, TCP];

/// Seeds of each scenario, in each family.
const SEEDS: u64 = 50;

/// What a comparison has said, and what is known of its world.
struct Seen {
    result: Comparison,
    truth: Truth,
    log: Vec<Probe>,
    told: String,
}

impl Seen {
    fn end(&self, side: usize) -> &SideEnd {
        &self.result.verdict().ends()[side].1
    }

    fn router(&self, hop: u8) -> IpAddr {
        self.truth.paths[0].hops[usize::from(hop) - 1].expect("it answers")
    }

    /// Checks that nothing is said but where sides end.
    fn shows_ends_alone(&self) {
        let verdict = self.result.verdict();
        assert_eq!(verdict.parting(), None, "{}", self.told);
        assert_eq!(verdict.slower(), [], "{}", self.told);
        assert_eq!(verdict.lossier(), [], "{}", self.told);
    }

    /// Checks that a side got to the target at its hop, and how its port is.
    fn reaches(&self, side: usize, open: Option<bool>) {
        let SideEnd::Reached {
            distance, is_open, ..
        } = self.end(side)
        else {
            panic!("{}: {:?}", self.told, self.end(side));
        };
        let told = (*distance, *is_open);
        assert_eq!(told, (Some(12), open), "{}", self.told);
    }
}

fn plan(
    side: Side,
    protocol: ProbeProtocol,
    target: Result<IpAddr, Error>,
    attempts: u8,
) -> SidePlan<Error> {
    let mut settings = ProbeSettings::default();
    settings.protocol = protocol;
    settings.config.attempts = attempts;
    SidePlan {
        side,
        settings,
        address: target.map(|target| (target, 0).into()),
    }
}

fn run(mut job: Compare<Machine>) -> (Comparison, Vec<Probe>) {
    for _ in 0..MOST_STEPS {
        if job.advance(None).unwrap() == Step::Done {
            let log = job.link().internet().log().to_vec();
            return (job.finish(), log);
        }
    }
    panic!("it does not end");
}

/// How to compare.
struct How<'a> {
    protocols: &'a [ProbeProtocol],
    attempts: u8,
    change: &'a dyn Fn(&mut Machine),
}

const USUAL: How<'static> = How {
    protocols: &ALL,
    attempts: 3,
    change: &|_| (),
};

fn compare(scenario: &Scenario, family: AddressFamily, seed: u64, how: &How<'_>) -> Seen {
    let mut machine = Machine::new(scenario, SocketKind::Raw, seed).speaking_all(how.protocols);
    (how.change)(&mut machine);
    let target = machine.internet().target(family);
    let truth = machine.internet().truth(family);
    let plan = |protocol: &ProbeProtocol| {
        plan(
            Side::Protocol(*protocol),
            *protocol,
            Ok(target),
            how.attempts,
        )
    };
    let plans = how.protocols.iter().map(plan).collect();
    let (result, log) = run(Compare::start(machine, "target", plans, true).unwrap());
    let sentences = result.verdict().sentences();
    Seen {
        told: format!("{family:?} seed {seed}: {sentences:?}"),
        result,
        truth,
        log,
    }
}

/// Compares in a scenario by many seeds, in both families.
fn each(scenario: &Scenario, how: &How<'_>, check: impl Fn(&Seen)) {
    for family in FAMILIES {
        for seed in 0..SEEDS {
            check(&compare(scenario, family, seed, how));
        }
    }
}

/// Twelve hops with some jitter.
fn path() -> Scenario {
    Scenario {
        jitter_ms: 2.0,
        ..Scenario::plain(12, 80.0)
    }
}

fn with(hop: Hop) -> Scenario {
    Scenario {
        hop: vec![hop],
        ..path()
    }
}

fn at(hop: u8) -> Hop {
    Hop {
        at: Places::One(hop),
        ..Hop::default()
    }
}
