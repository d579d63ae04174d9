//! All paths to a host that load balancers share traffic over.

use crate::error::Error;
use crate::running::Running;
use crate::settings::Traceroute;
use crate::sockets::Sockets;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{self as engine, Paths, Step, Thoroughness};
use std::net::SocketAddr;

/// A search for all paths to a host, while it runs.
pub type Exploration = Running<engine::Exploration<Sockets>>;

impl Traceroute {
    /// All paths to the host that load balancers share traffic over, by varying the flow until the
    /// rule of the multipath detection algorithm is content. How many attempts to make is its
    /// own affair; all other settings hold.
    ///
    /// ```no_run
    /// # use hopshot_linux::Traceroute;
    /// let paths = Traceroute::new("example.com").paths().confidence(0.99).run()?;
    /// let nodes = paths.graph().nodes();
    /// for edge in paths.graph().edges() {
    ///     println!("{:?} -> {:?}", nodes[edge.from].address, nodes[edge.to].address);
    /// }
    /// # Ok::<(), hopshot_linux::Error>(())
    /// ```
    pub fn paths(self) -> AllPaths {
        AllPaths::new(self)
    }
}

/// A search for all paths to a host: what [`Traceroute::paths`] returns.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before run or start"]
pub struct AllPaths {
    settings: Traceroute,
    thoroughness: Thoroughness,
}

impl AllPaths {
    /// The confidence by default.
    pub const CONFIDENCE: f64 = Thoroughness::CONFIDENCE;

    /// Flows traced at most by default.
    pub const MOST_FLOWS: usize = Thoroughness::MOST_FLOWS;

    pub(crate) fn new(settings: Traceroute) -> Self {
        Self {
            settings,
            thoroughness: Thoroughness::default(),
        }
    }

    /// How sure to be that no next hop of any router is missing in the graph: above 0, below 1.
    /// What is beyond 0.5 to 0.999999 is taken for the nearest, and what is no number for 0.95,
    /// the default.
    pub const fn confidence(mut self, confidence: f64) -> Self {
        self.thoroughness.confidence = confidence;
        self
    }

    /// Probes a second, all flows together, 1 to 1,000,000 (what is beyond is taken for the
    /// nearest); 1,000 by default.
    pub const fn rate(mut self, rate: u32) -> Self {
        self.thoroughness.rate = rate;
        self
    }

    /// The most flows to trace, 1 to 65,534 (what is beyond is taken for the nearest); 1,024 by
    /// default.
    pub const fn most_flows(mut self, flows: usize) -> Self {
        self.thoroughness.most_flows = flows;
        self
    }

    /// Runs the search to its end. What goes wrong when flows have been traced is one, too:
    /// [`Completeness::Interrupted`](crate::Completeness::Interrupted).
    ///
    /// # Errors
    /// As [`Traceroute::run`].
    pub fn run(&self) -> Result<Paths, Error> {
        let mut exploration = self.start()?;
        loop {
            match exploration.advance(None) {
                Ok(Step::Done) => break,
                Err(error) if exploration.flows() == 0 => return Err(error),
                Err(_) => break,
                Ok(_) => {}
            }
        }
        Ok(exploration.finish())
    }

    /// Resolves the name and opens the sockets; the first probes leave with [`Running::advance`].
    ///
    /// # Errors
    /// As [`Traceroute::start`].
    pub fn start(&self) -> Result<Exploration, Error> {
        self.settings.check()?;
        let address = self.settings.resolve()?;
        let sockets = Sockets::open(
            Some(AddressFamily::of(address.ip())),
            self.settings.socket_options(),
        )?;
        self.start_at(sockets, address)
    }

    /// Opens the sockets: see [`Traceroute::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(&self) -> Result<Sockets, Error> {
        self.settings.open()
    }

    /// As [`start`](Self::start), with sockets that were [opened](Self::open) before, and at an
    /// address that is known. The port has no meaning.
    ///
    /// # Errors
    /// As [`Traceroute::start`].
    pub fn start_at(
        &self,
        mut sockets: Sockets,
        address: SocketAddr,
    ) -> Result<Exploration, Error> {
        let Traceroute { settings, host, .. } = &self.settings;
        sockets.open_more_pings();
        engine::Exploration::start(sockets, settings, self.thoroughness, host, address)
            .map(Running::of)
    }
}
