//! All paths to a host that load balancers share traffic over.

mod flows;
mod graph;
mod quest;
mod result;
mod search;
mod stopping;
mod thoroughness;

pub use graph::{Edge, End, Graph, Node};
pub use result::Paths;
pub use search::Completeness;
pub use thoroughness::Thoroughness;

use crate::driver::{Driver, Step};
use crate::job::Job;
use crate::link::{Link, SocketKind};
use crate::settings::ProbeSettings;
use crate::survey::Survey;
use hopshot_core::Instant;
use hopshot_core::wire::AddressFamily;
pub(crate) use quest::{Quest, deadline};
pub(crate) use search::AT_ONCE;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A search that has been started.
pub struct Exploration<L: Link> {
    survey: Survey<L>,
    quest: Quest,
    start: Instant,
}

impl<L: Link> Exploration<L> {
    /// Begins a search for all paths to an address, which is called `host` in the result. The first
    /// probes leave with [`advance`](Job::advance). The port has no meaning.
    ///
    /// # Errors
    /// As [`Trace::start`](crate::Trace::start).
    pub fn start(
        link: L,
        settings: &ProbeSettings,
        thoroughness: Thoroughness,
        host: &str,
        address: SocketAddr,
    ) -> Result<Self, L::Error> {
        settings.check(AddressFamily::of(address.ip()))?;
        let start = link.now();
        let mut survey = Survey::start(link, settings, thoroughness.rate, AT_ONCE)?;
        let mut quest = Quest::new(&mut survey, settings, thoroughness, host, address)?;
        // What keeps the first flow from being traced, such as that no route leads there, is told
        // at once.
        quest.begin(&mut survey)?;
        Ok(Self {
            survey,
            quest,
            start,
        })
    }

    /// The target's address.
    #[must_use]
    pub const fn target(&self) -> IpAddr {
        self.quest.paths.summary.target
    }

    /// The address that the probes leave from.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        self.quest.paths.summary.source
    }

    /// The kind of socket that was opened.
    #[must_use]
    pub const fn socket(&self) -> SocketKind {
        self.quest.paths.summary.socket
    }

    /// Returns how many flows' traces have ended: what [`graph`](Self::graph) is of.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.quest.flows()
    }

    /// Returns what is known so far, of the flows whose traces have ended.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.quest.graph()
    }

    /// Takes the flows whose traces have ended.
    fn take(&mut self) {
        while let Some(route) = self.survey.take() {
            self.quest.take(&route);
        }
    }
}

impl<L: Link> fmt::Debug for Exploration<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exploration")
            .field("flows", &self.flows())
            .field("paths", &self.quest.paths)
            .finish_non_exhaustive()
    }
}

impl<L: Link> Job for Exploration<L> {
    type Link = L;
    type Output = Paths;

    fn driver(&self) -> &Driver<L> {
        self.survey.driver()
    }

    fn driver_mut(&mut self) -> &mut Driver<L> {
        self.survey.driver_mut()
    }

    fn deadline(&self) -> Option<Instant> {
        deadline(&self.survey, std::iter::once(&self.quest))
    }

    /// # Errors
    /// Those of the machine, and why no more flows can be traced, such as that no route leads to
    /// the target any more: [`finish`](Self::finish) has what is known nevertheless.
    fn work(&mut self) -> Result<Step, L::Error> {
        if self.quest.is_over() {
            return Ok(Step::Done);
        }
        self.quest.begin_due(&mut self.survey)?;
        self.survey.work()?;
        self.take();
        self.quest.go_on();
        Ok(match self.quest.is_over() {
            true => Step::Done,
            false => Step::Running,
        })
    }

    fn interrupt(&mut self) {
        self.survey.interrupt();
        self.take();
        self.quest.interrupt();
    }

    fn finish(mut self) -> Paths {
        self.interrupt();
        self.quest.finish(&self.survey, self.start)
    }
}

#[cfg(test)]
mod tests;
