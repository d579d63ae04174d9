//! What a path is like: read from a TOML file in which everything has a default, so that a plain
//! path of 25 hops is two lines.

use crate::hop::{Hop, Limit};
use crate::host::Target;
use core::fmt;
use core::time::Duration;
use serde::Deserialize;

/// A path to a target, and how everything on it behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// One line that says what is special here.
    pub about: String,
    /// The target's distance: `hops - 1` routers, then the target.
    pub hops: u8,
    /// The round trip to the target. Router `h` is `rtt_ms * h / hops` away unless its entry says
    /// otherwise.
    pub rtt_ms: f64,
    /// Up to so much is added to each answer's round trip, evenly distributed.
    pub jitter_ms: f64,
    /// The share of packets lost on the way there, and again on the way back.
    pub loss: f64,
    /// So many copies follow each answer, 1 ms apart.
    pub duplicates: u8,
    /// How many errors each router sends, unless its entry says otherwise.
    pub limit: Option<Limit>,
    /// How many octets after the IP header each router quotes, unless its entry says otherwise.
    /// Left out: as Linux, up to 576 octets of message in IPv4 and 1,280 in IPv6.
    pub quote: Option<usize>,
    /// A part of the path that packets never leave.
    #[serde(rename = "loop")]
    pub cycle: Option<Loop>,
    /// Routers that are not like the others.
    pub hop: Vec<Hop>,
    /// Where the path splits and joins again.
    pub diamond: Vec<Diamond>,
    /// What the path is like later on, in the order of time.
    pub later: Vec<Later>,
    /// The target.
    pub target: Target,
    /// What an attacker sends while a trace runs.
    pub flood: Option<Flood>,
    /// A host among the target's that guesses at the probes of the others.
    pub sweeper: Option<Sweeper>,
    /// Targets that answer in place of a router.
    pub usurper: Option<Usurper>,
    /// Targets that seem farther away than they are.
    pub liar: Option<Liar>,
}

/// From a moment on, other routers are not like the others; everything else stays as it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Later {
    /// So many seconds after the first packet.
    pub from_s: f64,
    /// In place of the entries before.
    #[serde(default)]
    pub hop: Vec<Hop>,
}

/// From hop `from` on, packets go round between the routers `from` to `to`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loop {
    /// The first router of the round.
    pub from: u8,
    /// The last.
    pub to: u8,
}

/// Several ways between two routers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diamond {
    /// The first hop of the branches.
    pub at: u8,
    /// How many routers each branch has. The first branch is the main line, the one that `hops`
    /// counts.
    pub lengths: Vec<u8>,
    /// What decides between them.
    #[serde(default)]
    pub by: Balance,
}

/// What a load balancer looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Balance {
    /// A hash of the addresses, the protocol, in IPv6 the flow label, and the first four octets
    /// behind the IP header: the ports of TCP and UDP; type, code and checksum of ICMP.
    #[default]
    Flow,
    /// As [`Balance::Flow`], and the ident of ICMP with it.
    Ident,
    /// The protocol alone: ICMP, TCP and UDP take the first branch, the second and the third; where
    /// there are two, UDP takes the first.
    Protocol,
    /// Nothing: every packet goes its own way.
    Packet,
}

/// Messages that nobody asked for, from the first probe on.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flood {
    /// How many come each second.
    pub per_second: u32,
}

/// A hostile host: once it has been reached it sends an error about every seq, in its own name,
/// with ident and checksum as in its own probe.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweeper {
    /// Its place among the hosts: 0 is the first.
    pub host: u32,
    /// What its errors say.
    #[serde(default)]
    pub says: Sweep,
    /// The place of the host that its errors name as the destination; left out: itself.
    #[serde(default)]
    pub quotes: Option<u32>,
    /// How often it goes through all seqs.
    #[serde(default = "once")]
    pub sweeps: u32,
    /// How many errors it sends each second.
    #[serde(default = "fast")]
    pub per_second: u32,
}

/// An error that a sweeper sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sweep {
    /// As of a router at some hop.
    #[default]
    TimeExceeded,
    /// As of a router that lets nothing through.
    Unreachable,
}

const fn once() -> u32 {
    1
}

const fn fast() -> u32 {
    100_000
}

/// Some of the target's hosts, which work together: when a probe gets to one, it answers for the
/// probe of the same trace that expired at a hop, in the name of the target's first address.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usurper {
    /// The hop, whose router should be silent.
    pub hop: u8,
    /// How many hosts.
    pub hosts: u32,
    /// How far they are apart, from the first one on and round again.
    #[serde(default = "one_apart")]
    pub step: u32,
}

const fn one_apart() -> u32 {
    1
}

/// Some of the target's hosts, which lie about their distance: they answer no probe with a smaller
/// hop limit.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Liar {
    /// The hop where they say they are.
    pub says: u8,
    /// How many hosts, from the first one on.
    pub hosts: u32,
    /// Of so many each, such as those of a network.
    pub of: u32,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            about: String::new(),
            hops: 12,
            rtt_ms: 80.0,
            jitter_ms: 0.0,
            loss: 0.0,
            duplicates: 0,
            limit: None,
            quote: None,
            cycle: None,
            hop: Vec::new(),
            diamond: Vec::new(),
            later: Vec::new(),
            target: Target::default(),
            flood: None,
            sweeper: None,
            usurper: None,
            liar: None,
        }
    }
}

/// Why a scenario can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError(String);

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for ScenarioError {}

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("../scenarios/", $name, ".toml")))),+] };
}

/// The scenarios that come with the lab, in the order in which they are shown.
const SHIPPED: &[(&str, &str)] = shipped![
    "short",
    "wan",
    "demo",
    "long",
    "leap",
    "silent",
    "deadtarget",
    "loss",
    "dup",
    "unreach",
    "ratelimit",
    "ratelimit-strict",
    "slowhop",
    "loop",
    "ecmp",
    "ecmp-packet",
    "ecmp-uneven",
    "ecmp-wide",
    "ecmp-mesh",
    "dnat",
    "partial",
    "altreply",
    "truncated",
    "nat",
    "nat-id",
    "mpls",
    "interface-name",
    "nodeid",
    "badchecksum",
    "mtu",
    "mtu-odd",
    "mtu-silent",
    "mtu-forged",
    "mtu-liars",
    "hostile",
    "sweeper",
    "many",
    "changing",
    "tcp-open",
    "tcp-filtered",
    "tcp-rejected",
    "first-syn",
    "no-icmp",
    "short-quotes",
    "seq-nat",
    "port-nat",
    "mss-clamp",
    "compare",
];

impl Scenario {
    /// The names of the scenarios that come with the lab.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// A scenario that comes with the lab.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn named(name: &str) -> Result<Self, ScenarioError> {
        let (_, text) = SHIPPED
            .iter()
            .find(|(shipped, _)| *shipped == name)
            .ok_or_else(|| {
                ScenarioError(format!(
                    "no scenario is called {name}; `hopshot-lab list` shows them"
                ))
            })?;
        Self::parse(text)
    }

    /// A scenario that comes with the lab, or the one in a file.
    ///
    /// # Errors
    /// It is neither, or it contradicts itself.
    pub fn load(name_or_path: &str) -> Result<Self, ScenarioError> {
        if Self::names().any(|name| name == name_or_path) {
            return Self::named(name_or_path);
        }
        let text = std::fs::read_to_string(name_or_path).map_err(|error| {
            ScenarioError(format!(
                "{name_or_path} is no scenario (`hopshot-lab list` shows them) and no file: {error}"
            ))
        })?;
        Self::parse(&text).map_err(|error| ScenarioError(format!("{name_or_path}: {error}")))
    }

    /// Reads a scenario from TOML.
    ///
    /// # Errors
    /// It isn't one, or it contradicts itself.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self =
            toml::from_str(text).map_err(|error| ScenarioError(error.to_string()))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// A path on which every hop answers.
    #[must_use]
    pub fn plain(hops: u8, rtt_ms: f64) -> Self {
        Self {
            hops: hops.clamp(1, 254),
            rtt_ms,
            ..Self::default()
        }
    }

    /// The stretches of time in which the path stays as it is: when each begins, and what is there
    /// then.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = (Duration, Self)> {
        let later = self.later.iter().map(|Later { from_s, hop }| {
            let from = Duration::try_from_secs_f64(*from_s).unwrap_or(Duration::MAX);
            (
                from,
                Self {
                    hop: hop.clone(),
                    later: Vec::new(),
                    ..self.clone()
                },
            )
        });
        core::iter::once((
            Duration::ZERO,
            Self {
                later: Vec::new(),
                ..self.clone()
            },
        ))
        .chain(later)
    }

    fn check(&self) -> Result<(), ScenarioError> {
        if !self
            .later
            .is_sorted_by(|one, next| one.from_s < next.from_s)
            || self.later.iter().any(|later| later.from_s <= 0.0)
        {
            return Err(ScenarioError(
                "[[later]]: each from_s must be after the one before, the first after 0".to_owned(),
            ));
        }
        if !self.later.is_empty() {
            self.stretches()
                .try_for_each(|(_, scenario)| scenario.check())?;
        }
        let fail = |reason: String| Err(ScenarioError(reason));
        if !(1..=254).contains(&self.hops) {
            return fail(format!("hops = {}: must be 1 to 254", self.hops));
        }
        if self.target.count == 0 || self.target.shift_v6 > 96 {
            return fail("[target]: count must be 1 or more, shift_v6 at most 96".to_owned());
        }
        let mut seen = [false; 256];
        for place in self.hop.iter().flat_map(|hop| hop.at.as_slice()) {
            if !(1..self.hops).contains(place) {
                return fail(format!(
                    "[[hop]] at {place}: the routers are at 1 to {}",
                    self.hops - 1
                ));
            }
            if core::mem::replace(&mut seen[usize::from(*place)], true) {
                return fail(format!("[[hop]] at {place}: there are two"));
            }
        }
        let mut free_from = 1;
        for diamond in &self.diamond {
            let main = diamond.lengths.first().copied().unwrap_or(0);
            let end = u16::from(diamond.at) + u16::from(main);
            if main == 0 || u16::from(diamond.at) < free_from || end > u16::from(self.hops) {
                return fail(format!(
                    "[[diamond]] at {}: its main branch must fit between its neighbours",
                    diamond.at
                ));
            }
            free_from = end;
        }
        if self
            .diamond
            .iter()
            .map(|diamond| diamond.lengths.len())
            .product::<usize>()
            > 1024
        {
            return fail("more than 1,024 paths".to_owned());
        }
        if let Some(Loop { from, to }) = self.cycle
            && !(1 <= from && from < to && to < self.hops && self.diamond.is_empty())
        {
            return fail(format!(
                "loop from {from} to {to}: two routers or more, and no diamond"
            ));
        }
        Ok(())
    }
}
