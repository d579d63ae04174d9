//! The same target by several protocols at once: the verdict and the hop at which paths part are
//! right every time, and nothing is said that isn't so.

mod ends;
mod figures;
mod paths;
mod routers;
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
    sockets: Sockets,
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

    /// Whether there are sockets for ICMP.
    fn has_icmp(&self) -> bool {
        self.sockets != Sockets::NoPings
    }

    /// Whether a side can't begin: then that is its end.
    fn fails(&self, side: usize) -> bool {
        let fails = self.result.sides()[side].protocol == ICMP && !self.has_icmp();
        let why = "NotPermitted".to_owned();
        assert_eq!(fails, *self.end(side) == SideEnd::Local { why });
        fails
    }

    /// Checks the end of a side.
    fn ends(&self, side: usize, end: &SideEnd) {
        if !self.fails(side) {
            assert_eq!(self.end(side), end, "{}", self.told);
        }
    }

    /// What is said, but for a side that can't begin.
    fn sentences(&self) -> Vec<String> {
        let all = self.result.verdict().sentences().into_iter();
        all.filter(|it| !it.ends_with("failed: NotPermitted"))
            .collect()
    }

    /// Checks that a side got to the target at its hop, and how its port is.
    fn reaches(&self, side: usize, open: Option<bool>) {
        if self.fails(side) {
            return;
        }
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

/// The sockets that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sockets {
    /// Raw ones.
    Raw,
    /// Those that every user may open, ping sockets among them.
    Unprivileged,
    /// The same without ping sockets, as in most pods: no side by ICMP can begin.
    NoPings,
}

const SOCKETS: [Sockets; 3] = [Sockets::Raw, Sockets::Unprivileged, Sockets::NoPings];

impl Sockets {
    /// A machine that has them.
    fn machine(self, scenario: &Scenario, protocols: &[ProbeProtocol], seed: u64) -> Machine {
        let has_pings = self != Self::NoPings;
        match self {
            Self::Raw => Machine::new(scenario, SocketKind::Raw, seed).speaking_all(protocols),
            _ => Machine::unprivileged(scenario, protocols, has_pings, seed),
        }
    }

    /// The target of a side, or why it can't begin.
    fn permit(self, protocol: ProbeProtocol, target: IpAddr) -> Result<IpAddr, Error> {
        let is_permitted = self != Self::NoPings || protocol != ICMP;
        is_permitted.then_some(target).ok_or(Error::NotPermitted)
    }
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

fn compare(
    scenario: &Scenario,
    family: AddressFamily,
    seed: u64,
    sockets: Sockets,
    how: &How<'_>,
) -> Seen {
    let mut machine = sockets.machine(scenario, how.protocols, seed);
    (how.change)(&mut machine);
    let target = machine.internet().target(family);
    let truth = machine.internet().truth(family);
    let plan = |protocol: &ProbeProtocol| {
        let target = sockets.permit(*protocol, target);
        plan(Side::Protocol(*protocol), *protocol, target, how.attempts)
    };
    let plans = how.protocols.iter().map(plan).collect();
    let (result, log) = run(Compare::start(machine, "target", plans, true).unwrap());
    let sentences = result.verdict().sentences();
    Seen {
        told: format!("{family:?} {sockets:?} seed {seed}: {sentences:?}"),
        sockets,
        result,
        truth,
        log,
    }
}

/// Compares in a scenario by many seeds, in both families, with all kinds of sockets.
fn each(scenario: &Scenario, how: &How<'_>, check: impl Fn(&Seen)) {
    for family in FAMILIES {
        for seed in 0..SEEDS {
            for sockets in SOCKETS {
                check(&compare(scenario, family, seed, sockets, how));
            }
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
