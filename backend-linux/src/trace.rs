//! One trace, or a search for the MTU of a path.

use crate::error::Error;
use crate::running::Running;
use crate::settings::Traceroute;
use crate::sockets::Sockets;
use hopshot_core::Reply;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{self as engine, MtuRoute, Route, Step};
use std::net::{IpAddr, SocketAddr};

/// One trace: also an iterator of the replies as they come.
pub type Trace = Running<engine::Trace<Sockets>>;

/// A search for the MTU of a path.
pub type PathMtu = Running<engine::PathMtu<Sockets>>;

impl Traceroute {
    /// Runs the trace to its end.
    ///
    /// # Errors
    /// [`Error`] if it can't be started. A target that doesn't answer is no error: see
    /// [`Route::reached`].
    pub fn run(&self) -> Result<Route, Error> {
        let mut trace = self.start()?;
        while trace.advance(None)? != Step::Done {}
        Ok(trace.finish())
    }

    /// Resolves the name and opens the sockets. The first probes leave with [`Trace::launch`] or
    /// [`Trace::advance`], or when the first reply is asked for.
    ///
    /// # Errors
    /// [`Error`] if a parameter is out of its range, the name has no address, no route leads to it,
    /// or a socket can't be opened.
    pub fn start(&self) -> Result<Trace, Error> {
        // The ranges first: whoever mistyped a number should not wait for a name server to be told.
        self.check()?;
        let address = self.resolve()?;
        self.start_at(
            Sockets::open(Some(AddressFamily::of(address.ip())), self.socket_options())?,
            address,
        )
    }

    /// Opens the sockets before the name is resolved: those of the family of the host if it is an
    /// address, or of the family that was asked for, else of both. Where this machine has only
    /// one of both, the other is an error when a trace starts at one of its addresses.
    ///
    /// # Errors
    /// As [`start`](Self::start), but for what concerns the name and the route.
    pub fn open(&self) -> Result<Sockets, Error> {
        Sockets::open(self.family_to_open()?, self.socket_options())
    }

    /// As [`start`](Self::start), with sockets that these settings have [opened](Self::open), and
    /// at an address that is known. The port has no meaning.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_at(&self, sockets: Sockets, address: SocketAddr) -> Result<Trace, Error> {
        engine::Trace::start(sockets, &self.settings, &self.host, address).map(Running::of)
    }

    /// Finds the path and the largest packets that it carries: see [`PathMtu`]. The size that was
    /// set, if one was, is the largest that is tried.
    ///
    /// What goes wrong when a part of the path is known is an end, too:
    /// [`StopReason::Interrupted`](crate::StopReason::Interrupted).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn path_mtu(&self) -> Result<MtuRoute, Error> {
        let mut search = self.start_path_mtu()?;
        loop {
            match search.advance(None) {
                Ok(Step::Done) => break,
                Err(error) if search.stretches().is_empty() => return Err(error),
                Err(_) => break,
                Ok(_) => {}
            }
        }
        Ok(search.finish())
    }

    /// The same, for a loop of one's own: resolves the name and opens the sockets.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_path_mtu(&self) -> Result<PathMtu, Error> {
        self.check()?;
        let address = self.resolve()?;
        let options = self.clone().dont_fragment(true).socket_options();
        self.start_path_mtu_at(
            Sockets::open_for_mtu(Some(AddressFamily::of(address.ip())), options)?,
            address,
        )
    }

    /// As [`open`](Self::open), for [`start_path_mtu_at`](Self::start_path_mtu_at).
    ///
    /// # Errors
    /// As there.
    pub fn open_path_mtu(&self) -> Result<Sockets, Error> {
        let options = self.clone().dont_fragment(true).socket_options();
        Sockets::open_for_mtu(self.family_to_open()?, options)
    }

    /// As [`start_path_mtu`](Self::start_path_mtu), with sockets from
    /// [`open_path_mtu`](Self::open_path_mtu), and at an address that is known. The port has no
    /// meaning.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_path_mtu_at(
        &self,
        sockets: Sockets,
        address: SocketAddr,
    ) -> Result<PathMtu, Error> {
        let ask = |sockets: &mut Sockets, target: IpAddr, scope_id| {
            sockets.first_link_mtu(target, scope_id)
        };
        engine::PathMtu::start(sockets, &self.settings, &self.host, address, ask).map(Running::of)
    }
}

impl Iterator for Trace {
    type Item = Result<Reply, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.job.next()
    }
}
