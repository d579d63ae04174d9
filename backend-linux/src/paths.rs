//! All paths to a host that load balancers share traffic over.

use crate::error::Error;
use crate::plan::{Plan, sealed};
use crate::running::Running;
use crate::settings::Settings;
use crate::sockets::Sockets;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{self as engine, Thoroughness};
pub use hopshot_engine::{Completeness, Edge, End, Graph, Node, Paths};
use std::net::SocketAddr;

/// A search for all paths to a host, while it runs.
pub type Exploration = Running<engine::Exploration<Sockets>>;

/// The kind of [`Settings::paths`].
#[derive(Clone, Copy, Debug)]
pub struct PathSearch {
    thoroughness: Thoroughness,
}

impl Settings {
    /// All paths to a host that load balancers share traffic over, by varying the flow until the
    /// rule of the multipath detection algorithm is content. How many attempts to make is its own
    /// affair; all other settings hold.
    ///
    /// ```no_run
    /// # use hopshot_linux::Settings;
    /// let paths = Settings::new().paths("example.com").confidence(0.99).run()?;
    /// let nodes = paths.graph().nodes();
    /// for edge in paths.graph().edges() {
    ///     println!("{:?} -> {:?}", nodes[edge.from].address, nodes[edge.to].address);
    /// }
    /// # Ok::<(), hopshot_linux::Error>(())
    /// ```
    pub fn paths(&self, host: impl Into<String>) -> Plan<PathSearch> {
        let thoroughness = Thoroughness::default();
        Plan::new(self, host, PathSearch { thoroughness })
    }
}

impl Plan<PathSearch> {
    /// The confidence by default.
    pub const CONFIDENCE: f64 = Thoroughness::CONFIDENCE;

    /// Flows traced at most by default.
    pub const MOST_FLOWS: usize = Thoroughness::MOST_FLOWS;

    /// Sets how sure to be that no next hop of any router is missing in the graph, above 0 and
    /// below 1. What is beyond 0.5 to 0.999999 is taken for the nearest. The default is 0.95, also
    /// for what is no number.
    pub const fn confidence(mut self, confidence: f64) -> Self {
        self.kind.thoroughness.confidence = confidence;
        self
    }

    /// Probes a second, all flows together, 1 to 1,000,000 (what is beyond is taken for the
    /// nearest); 1,000 by default.
    pub const fn rate(mut self, rate: u32) -> Self {
        self.kind.thoroughness.rate = rate;
        self
    }

    /// The most flows to trace, 1 to 65,534 (what is beyond is taken for the nearest); 1,024 by
    /// default.
    pub const fn most_flows(mut self, flows: usize) -> Self {
        self.kind.thoroughness.most_flows = flows;
        self
    }
}

impl sealed::Kind for PathSearch {
    type Job = engine::Exploration<Sockets>;

    fn open(&self, settings: &Settings, family: Option<AddressFamily>) -> Result<Sockets, Error> {
        Sockets::open(family, settings.options_for_several())
    }

    fn start(
        &self,
        settings: &Settings,
        mut sockets: Sockets,
        host: &str,
        address: SocketAddr,
    ) -> Result<Self::Job, Error> {
        sockets.open_more();
        engine::Exploration::start(sockets, &settings.probes, self.thoroughness, host, address)
    }

    fn is_result(job: &Self::Job) -> bool {
        job.flows() > 0
    }
}
