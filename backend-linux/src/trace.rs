//! One trace.

use crate::error::Error;
use crate::plan::{Plan, sealed};
use crate::running::Running;
use crate::settings::Settings;
use crate::sockets::Sockets;
use hopshot_core::Reply;
use hopshot_core::wire::AddressFamily;
use hopshot_engine as engine;
use std::net::SocketAddr;

/// One trace, while it runs: also an iterator of the replies as they come.
pub type Trace = Running<engine::Trace<Sockets>>;

/// The kind of [`Settings::trace`]: the path to a host.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SingleTrace;

impl Settings {
    /// The path to a host: a name, or an address of either family.
    ///
    /// ```no_run
    /// # use hopshot_linux::Settings;
    /// let route = Settings::new().attempts(3).trace("example.com").run()?;
    /// # Ok::<(), hopshot_linux::Error>(())
    /// ```
    pub fn trace(&self, host: impl Into<String>) -> Plan<SingleTrace> {
        Plan::new(self, host, SingleTrace)
    }
}

impl sealed::Kind for SingleTrace {
    type Job = engine::Trace<Sockets>;

    fn open(&self, settings: &Settings, family: Option<AddressFamily>) -> Result<Sockets, Error> {
        let mut sockets = Sockets::open(family, settings.socket_options())?;
        sockets.open_spares();
        if settings.checks_targets(true) {
            sockets.open_checks();
        }
        Ok(sockets)
    }

    fn start(
        &self,
        settings: &Settings,
        sockets: Sockets,
        host: &str,
        address: SocketAddr,
    ) -> Result<Self::Job, Error> {
        engine::Trace::start(sockets, &settings.probes, host, address)
    }

    fn is_result(_: &Self::Job) -> bool {
        false
    }
}

impl Iterator for Trace {
    type Item = Result<Reply, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.job.next()
    }
}
