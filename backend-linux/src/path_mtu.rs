//! The largest packets that a path carries, and where they get smaller.

use crate::error::Error;
use crate::plan::{Plan, sealed};
use crate::running::Running;
use crate::settings::Settings;
use crate::socket::Options;
use crate::sockets::Sockets;
use hopshot_core::wire::AddressFamily;
use hopshot_engine as engine;
pub use hopshot_engine::{Limit, MtuRoute, Stretch, Trial};
use std::net::{IpAddr, SocketAddr};

/// A search for the MTU of a path, while it runs.
pub type PathMtu = Running<engine::PathMtu<Sockets>>;

/// The kind of [`Settings::path_mtu`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MtuSearch;

impl Settings {
    /// The path to a host and the largest packets that it carries: see [`PathMtu`]. The
    /// [size](Self::size) that was set, if one was, is the largest that is tried.
    pub fn path_mtu(&self, host: impl Into<String>) -> Plan<MtuSearch> {
        Plan::new(self, host, MtuSearch)
    }
}

impl sealed::Kind for MtuSearch {
    type Job = engine::PathMtu<Sockets>;

    fn open(&self, settings: &Settings, family: Option<AddressFamily>) -> Result<Sockets, Error> {
        let options = Options {
            // The question about the first link tells it.
            must_stay_whole: false,
            ..settings.clone().dont_fragment(true).options_for_several()
        };
        Sockets::open_for_mtu(family, options)
    }

    fn start(
        &self,
        settings: &Settings,
        sockets: Sockets,
        host: &str,
        address: SocketAddr,
    ) -> Result<Self::Job, Error> {
        let ask = |sockets: &mut Sockets, target: IpAddr, scope_id| {
            sockets.first_link_mtu(target, scope_id)
        };
        engine::PathMtu::start(sockets, &settings.probes, host, address, ask)
    }

    fn is_result(job: &Self::Job) -> bool {
        !job.stretches().is_empty()
    }
}
