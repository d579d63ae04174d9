//! The same host by several protocols, or over both families, at the same time, and what differs.

use crate::error::Error;
use crate::plan::{Opened, Plan, sealed};
use crate::running::Running;
use crate::settings::Settings;
use crate::socket::Options;
use crate::sockets::Sockets;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{self as engine, SidePlan, Thoroughness};
pub use hopshot_engine::{
    Compared, Comparison, Difference, ExploredSide, Lossier, Parting, PathsComparison, Refusal,
    RouterSet, Side, SideEnd, Slower, Unheard, Unproven, Verdict, Way,
};
use std::net::SocketAddr;

/// A comparison, while it runs.
pub type Compare = Running<engine::Compare<Sockets>>;

/// A comparison of all paths, while it runs.
pub type ComparePaths = Running<engine::ComparePaths<Sockets>>;

/// The kind of [`Settings::compare`].
#[derive(Clone, Debug)]
pub struct Comparing {
    sides: Vec<Side>,
}

/// The kind of [`Settings::compare_paths`].
#[derive(Clone, Debug)]
pub struct ComparingPaths {
    of: Comparing,
    thoroughness: Thoroughness,
}

impl Settings {
    /// The path to a host on several sides at the same time: by several protocols, or over both
    /// families by the [protocol](Self::protocol) of these settings. Each side is a trace as it is
    /// alone, with a flow of its own. A side that can't be traced, such as by TCP without the
    /// privilege, has the error in place of a route.
    ///
    /// ```no_run
    /// # use hopshot_linux::compare::Side;
    /// # use hopshot_linux::{ProbeProtocol, Settings, TcpOptions};
    /// let https = ProbeProtocol::Tcp { port: 443, options: TcpOptions::Mss };
    /// let sides = [ProbeProtocol::Icmp, https].map(Side::Protocol);
    /// let comparison = Settings::new().attempts(3).compare("example.com", sides).run()?;
    /// for sentence in comparison.verdict().sentences() {
    ///     println!("{sentence}");
    /// }
    /// # Ok::<(), hopshot_linux::Error>(())
    /// ```
    pub fn compare(
        &self,
        host: impl Into<String>,
        sides: impl IntoIterator<Item = Side>,
    ) -> Plan<Comparing> {
        let sides = sides.into_iter().collect();
        Plan::new(self, host, Comparing { sides })
    }

    /// All paths to a host on several sides at the same time, as [`paths`](Self::paths) finds those
    /// of one: a graph for each, and the hops at which their routers differ. By UDP and TCP that
    /// takes raw sockets.
    pub fn compare_paths(
        &self,
        host: impl Into<String>,
        sides: impl IntoIterator<Item = Side>,
    ) -> Plan<ComparingPaths> {
        let of = Comparing {
            sides: sides.into_iter().collect(),
        };
        let thoroughness = Thoroughness::default();
        Plan::new(self, host, ComparingPaths { of, thoroughness })
    }

    /// The settings of one side.
    fn of_side(&self, side: Side) -> Self {
        match side {
            Side::Protocol(protocol) => self.clone().protocol(protocol),
            Side::Family(family) => self.clone().family(family),
            _ => self.clone(),
        }
    }
}

impl Comparing {
    fn is_by_family(&self) -> bool {
        let is_family = |side: &Side| matches!(side, Side::Family(_));
        self.sides.iter().any(is_family)
    }

    /// Checks the settings of each side: only its own protocol must fit the kind of socket.
    fn check(&self, settings: &Settings) -> Result<(), Error> {
        let mut sides = self.sides.iter();
        sides.try_for_each(|side| settings.of_side(*side).check())
    }

    /// Opens the sockets of all sides, with the options that the settings of each give.
    fn open_with(
        &self,
        settings: &Settings,
        family: Option<AddressFamily>,
        options: fn(&Settings) -> Options,
    ) -> Result<Sockets, Error> {
        let options = self.sides.iter().map(|side| {
            let side = settings.of_side(*side);
            // Those of families are for their own.
            let family = match self.is_by_family() {
                true => side.family,
                false => family,
            };
            (family, options(&side))
        });
        Sockets::open_sides(options)
    }

    /// The plans of all sides, each with its address, or with the reason why there is no socket.
    fn plans(
        &self,
        settings: &Settings,
        sockets: &Sockets,
        mut address: impl FnMut(Side) -> Result<SocketAddr, Error>,
    ) -> Vec<SidePlan<Error>> {
        let plan = |side: &Side| {
            let settings = settings.of_side(*side);
            let has_socket = |address: SocketAddr| {
                let family = AddressFamily::of(address.ip());
                sockets.check(family, settings.probes.protocol)?;
                Ok(address)
            };
            SidePlan {
                side: *side,
                address: address(*side).and_then(has_socket),
                settings: settings.probes,
            }
        };
        self.sides.iter().map(plan).collect()
    }

    fn start_at(
        &self,
        settings: &Settings,
        sockets: Sockets,
        host: &str,
        address: impl FnMut(Side) -> Result<SocketAddr, Error>,
    ) -> Result<engine::Compare<Sockets>, Error> {
        let plans = self.plans(settings, &sockets, address);
        engine::Compare::start(sockets, host, plans, settings.checks_targets(true))
    }
}

impl ComparingPaths {
    fn start_at(
        &self,
        settings: &Settings,
        sockets: Sockets,
        host: &str,
        address: impl FnMut(Side) -> Result<SocketAddr, Error>,
    ) -> Result<engine::ComparePaths<Sockets>, Error> {
        let plans = self.of.plans(settings, &sockets, address);
        engine::ComparePaths::start(sockets, host, plans, self.thoroughness)
    }
}

/// The address of each side where one of the host is known: a side of the other family has its own.
fn by_one(
    settings: &Settings,
    host: &str,
    address: SocketAddr,
) -> impl FnMut(Side) -> Result<SocketAddr, Error> {
    move |side| match side {
        Side::Family(family) if family != AddressFamily::of(address.ip()) => {
            settings.of_side(side).resolve(host)
        }
        _ => Ok(address),
    }
}

/// The address of each side where one of each family was looked for.
fn by_both(
    plan: &Plan<impl Sized>,
    v4: Result<SocketAddr, Error>,
    v6: Result<SocketAddr, Error>,
) -> impl FnMut(Side) -> Result<SocketAddr, Error> {
    let (mut v4, mut v6) = (Some(v4), Some(v6));
    move |side| {
        let given = match side {
            Side::Family(AddressFamily::V4) => v4.take(),
            Side::Family(AddressFamily::V6) => v6.take(),
            _ => None,
        };
        given.unwrap_or_else(|| plan.settings().of_side(side).resolve(plan.host()))
    }
}

impl sealed::Kind for Comparing {
    type Job = engine::Compare<Sockets>;

    fn check(&self, settings: &Settings) -> Result<(), Error> {
        Self::check(self, settings)
    }

    fn open(&self, settings: &Settings, family: Option<AddressFamily>) -> Result<Sockets, Error> {
        let mut sockets = self.open_with(settings, family, Settings::socket_options)?;
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
        self.start_at(settings, sockets, host, by_one(settings, host, address))
    }

    fn is_result(_: &Self::Job) -> bool {
        false
    }
}

impl sealed::Kind for ComparingPaths {
    type Job = engine::ComparePaths<Sockets>;

    fn check(&self, settings: &Settings) -> Result<(), Error> {
        self.of.check(settings)
    }

    fn open(&self, settings: &Settings, family: Option<AddressFamily>) -> Result<Sockets, Error> {
        self.of
            .open_with(settings, family, Settings::options_for_several)
    }

    fn start(
        &self,
        settings: &Settings,
        sockets: Sockets,
        host: &str,
        address: SocketAddr,
    ) -> Result<Self::Job, Error> {
        self.start_at(settings, sockets, host, by_one(settings, host, address))
    }

    fn is_result(job: &Self::Job) -> bool {
        job.flows() > 0
    }
}

impl Plan<ComparingPaths> {
    /// Sets how sure to be that no next hop of any router is missing in a graph: see
    /// [`confidence`](Plan::<crate::paths::PathSearch>::confidence).
    pub const fn confidence(mut self, confidence: f64) -> Self {
        self.kind.thoroughness.confidence = confidence;
        self
    }

    /// Probes a second, of all sides together: see
    /// [`rate`](Plan::<crate::paths::PathSearch>::rate).
    pub const fn rate(mut self, rate: u32) -> Self {
        self.kind.thoroughness.rate = rate;
        self
    }
}

impl Opened<Comparing> {
    /// Starts the comparison of two families at the addresses of the host, or with the reason why
    /// it has none of a family: that is an error of this side alone.
    ///
    /// # Errors
    /// As [`start_at`](Self::start_at), where no side can begin.
    pub fn start_at_both(
        self,
        v4: Result<SocketAddr, Error>,
        v6: Result<SocketAddr, Error>,
    ) -> Result<Compare, Error> {
        let (plan, sockets) = self.into_parts();
        let (settings, host) = (plan.settings(), plan.host());
        let job = plan
            .kind
            .start_at(settings, sockets, host, by_both(&plan, v4, v6));
        job.and_then(Running::of)
    }
}

impl Opened<ComparingPaths> {
    /// The same for all paths.
    ///
    /// # Errors
    /// As [`start_at`](Self::start_at), where no side can begin.
    pub fn start_at_both(
        self,
        v4: Result<SocketAddr, Error>,
        v6: Result<SocketAddr, Error>,
    ) -> Result<ComparePaths, Error> {
        let (plan, sockets) = self.into_parts();
        let (settings, host) = (plan.settings(), plan.host());
        let job = plan
            .kind
            .start_at(settings, sockets, host, by_both(&plan, v4, v6));
        job.and_then(Running::of)
    }
}
