//! Searches for all paths to one host by several protocols, or over both families, at the same
//! time.

use super::job::SidePlan;
use super::routers::{Difference, Routers, differences, sentence};
use super::side::Side;
use crate::driver::{Driver, Step};
use crate::error::Fault;
use crate::job::Job;
use crate::link::{Link, SocketKind};
use crate::paths::{AT_ONCE, Graph, Paths, Quest, Thoroughness, deadline};
use crate::protocol::ProbeProtocol;
use crate::settings::ProbeSettings;
use crate::survey::Survey;
use hopshot_core::Instant;
use hopshot_core::wire::AddressFamily;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// Searches for all paths to one host that run at the same time.
pub struct ComparePaths<L: Link> {
    survey: Survey<L>,
    host: String,
    sides: Vec<Exploring>,
    started: SystemTime,
    start: Instant,
}

/// A side while it runs, or why it could not begin.
struct Exploring {
    side: Side,
    protocol: ProbeProtocol,
    quest: Result<Quest, String>,
}

/// All paths of a side, or why it could not begin.
#[derive(Debug)]
#[non_exhaustive]
pub struct ExploredSide {
    /// The side.
    pub side: Side,
    /// The protocol of its probes.
    pub protocol: ProbeProtocol,
    /// Its paths, or why it could not begin.
    pub paths: Result<Box<Paths>, String>,
}

/// All paths to a host on several sides, and where their routers differ.
#[derive(Debug)]
pub struct PathsComparison {
    host: String,
    started: SystemTime,
    duration: Duration,
    sides: Vec<ExploredSide>,
    differences: Vec<Difference>,
}

impl<L: Link> ComparePaths<L> {
    /// Begins to search for all paths to a host, which is called `host` in the result, on all
    /// sides. The rate is that of all sides together. A side that can't begin doesn't keep the
    /// others from it. Each wants a port of its own on the link.
    ///
    /// # Errors
    /// A setting is out of its range, there is no side, or none can begin: the first one's reason.
    pub fn start(
        link: L,
        host: &str,
        plans: Vec<SidePlan<L::Error>>,
        thoroughness: Thoroughness,
    ) -> Result<Self, L::Error> {
        for plan in &plans {
            let address = plan.address.as_ref().ok();
            let family = address.map_or(AddressFamily::V4, |it| AddressFamily::of(it.ip()));
            plan.settings.check(family)?;
        }
        let all: Vec<&ProbeSettings> = plans.iter().map(|plan| &plan.settings).collect();
        let first = all.first().copied().cloned().unwrap_or_default();
        let (started, start) = (link.date(), link.now());
        let mut survey = Survey::of_several(link, &first, &all, thoroughness.rate, AT_ONCE)?;
        let (mut sides, mut first_error) = (Vec::new(), None);
        for SidePlan {
            side,
            settings,
            address,
        } in plans
        {
            let quest = address.and_then(|address| {
                let quest = Quest::new(&mut survey, &settings, thoroughness, host, address);
                let mut quest = quest?;
                quest.begin(&mut survey).map(|()| quest)
            });
            let quest = quest.map_err(|error| {
                let why = error.to_string();
                first_error.get_or_insert(error);
                why
            });
            sides.push(Exploring {
                side,
                protocol: settings.protocol,
                quest,
            });
        }
        if sides.iter().all(|side| side.quest.is_err()) {
            return Err(first_error.unwrap_or_else(|| Fault::Full.into()));
        }
        Ok(Self {
            survey,
            host: host.to_owned(),
            sides,
            started,
            start,
        })
    }

    /// Returns the host as it was given.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the sides, in the order in which they were asked for, each with its target and the
    /// address that its probes leave from; `None` of a side that could not begin.
    pub fn sides(&self) -> impl Iterator<Item = (Side, Option<(IpAddr, IpAddr)>)> {
        let ends = |side: &Exploring| {
            let summary = side.quest.as_ref().ok()?.paths.summary();
            Some((summary.target, summary.source))
        };
        self.sides.iter().map(move |side| (side.side, ends(side)))
    }

    /// Returns what is known so far of each side; `None` of one that could not begin.
    pub fn graphs(&self) -> impl Iterator<Item = Option<Graph>> {
        let sides = self.sides.iter();
        sides.map(|side| side.quest.as_ref().ok().map(Quest::graph))
    }

    /// Returns how many flows' traces have ended, of all sides.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.quests().map(Quest::flows).sum()
    }

    /// Returns the kinds of sockets that were opened, each once, in the order of the sides.
    #[must_use]
    pub fn sockets(&self) -> Vec<SocketKind> {
        let mut kinds = Vec::new();
        for quest in self.quests() {
            let kind = quest.paths.summary().socket;
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    fn quests(&self) -> impl Iterator<Item = &Quest> {
        self.sides
            .iter()
            .filter_map(|side| side.quest.as_ref().ok())
    }

    /// Takes the flows whose traces have ended.
    fn take(&mut self) {
        while let Some(route) = self.survey.take() {
            if let Some(quest) = quests_of(&mut self.sides).find(|quest| quest.owns(&route)) {
                quest.take(&route);
            }
        }
    }
}

fn quests_of(sides: &mut [Exploring]) -> impl Iterator<Item = &mut Quest> {
    sides.iter_mut().filter_map(|side| side.quest.as_mut().ok())
}

impl<L: Link> Job for ComparePaths<L> {
    type Link = L;
    type Output = PathsComparison;

    fn driver(&self) -> &Driver<L> {
        self.survey.driver()
    }

    fn driver_mut(&mut self) -> &mut Driver<L> {
        self.survey.driver_mut()
    }

    fn deadline(&self) -> Option<Instant> {
        deadline(&self.survey, self.quests())
    }

    /// # Errors
    /// Those of the machine. A side that can't go on ends, as interrupted, with what is known.
    fn work(&mut self) -> Result<Step, L::Error> {
        let Self { survey, sides, .. } = self;
        for quest in quests_of(sides) {
            if quest.begin_due(survey).is_err() {
                quest.interrupt();
            }
        }
        self.survey.work()?;
        self.take();
        quests_of(&mut self.sides).for_each(Quest::go_on);
        Ok(match self.quests().all(Quest::is_over) {
            true => Step::Done,
            false => Step::Running,
        })
    }

    fn interrupt(&mut self) {
        self.survey.interrupt();
        self.take();
        quests_of(&mut self.sides).for_each(Quest::interrupt);
    }

    fn finish(mut self) -> PathsComparison {
        self.interrupt();
        let Self {
            survey,
            host,
            sides,
            started,
            start,
        } = self;
        let explored = |Exploring {
                            side,
                            protocol,
                            quest,
                        }| ExploredSide {
            side,
            protocol,
            paths: quest.map(|quest: Quest| Box::new(quest.finish(&survey, start))),
        };
        let sides: Vec<ExploredSide> = sides.into_iter().map(explored).collect();
        let routers = |side: &ExploredSide| {
            let paths = side.paths.as_deref().ok();
            (side.side, paths.map(Routers::of).unwrap_or_default())
        };
        let routers: Vec<_> = sides.iter().map(routers).collect();
        PathsComparison {
            host,
            started,
            duration: survey.link().now().saturating_since(start),
            differences: differences(&routers),
            sides,
        }
    }
}

impl<L: Link> fmt::Debug for ComparePaths<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sides: Vec<Side> = self.sides.iter().map(|side| side.side).collect();
        f.debug_struct("ComparePaths")
            .field("host", &self.host)
            .field("sides", &sides)
            .finish_non_exhaustive()
    }
}

impl PathsComparison {
    /// Returns the host as it was given.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the start, on the wall clock.
    #[must_use]
    pub const fn started(&self) -> SystemTime {
        self.started
    }

    /// Returns the time from the start to the end of the last side, on the monotonic clock.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.duration
    }

    /// Returns the sides, in the order in which they were asked for.
    #[must_use]
    pub fn sides(&self) -> &[ExploredSide] {
        &self.sides
    }

    /// Returns the paths of the sides that began.
    pub fn paths(&self) -> impl Iterator<Item = &Paths> {
        self.sides
            .iter()
            .filter_map(|side| side.paths.as_deref().ok())
    }

    /// Returns the hops at which the routers of two sides differ, nearest first.
    #[must_use]
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// Returns the same for people: one sentence, if two sides or more have begun, and one for each
    /// side that could not begin.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let failed = |side: &ExploredSide| {
            let why = side.paths.as_ref().err()?;
            Some(format!("{} failed: {why}", side.side))
        };
        let are_families = |side: &ExploredSide| matches!(side.side, Side::Family(_));
        let last = match self.sides.iter().any(are_families) {
            true => "Families have no addresses in common: routers are not compared".to_owned(),
            false => sentence(&self.differences),
        };
        let failed = self.sides.iter().filter_map(failed);
        let last = (self.paths().count() > 1).then_some(last);
        failed.chain(last).collect()
    }

    /// Returns whether every side by TCP got to its target; without TCP, whether any side did.
    #[must_use]
    pub fn reached(&self) -> bool {
        let reached = |side: &ExploredSide| side.paths.as_deref().is_ok_and(Paths::reached);
        let mut tcp = self
            .sides
            .iter()
            .filter(|side| side.protocol.is_tcp())
            .peekable();
        match tcp.peek() {
            Some(_) => tcp.all(reached),
            None => self.sides.iter().any(reached),
        }
    }
}
