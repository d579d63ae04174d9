//! The same host by several protocols, or over both families, at the same time, and what differs.

use crate::error::Error;
use crate::plan::{Opened, Plan, sealed};
use crate::running::Running;
use crate::settings::Settings;
use crate::sockets::Sockets;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{self as engine, SidePlan};
pub use hopshot_engine::{
    Compared, Comparison, Lossier, Parting, Refusal, Side, SideEnd, Slower, Verdict, Way,
};
use std::net::SocketAddr;

/// A comparison, while it runs.
pub type Compare = Running<engine::Compare<Sockets>>;

/// The kind of [`Settings::compare`].
#[derive(Clone, Debug)]
pub struct Comparing {
    sides: Vec<Side>,
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

    fn start_at(
        &self,
        settings: &Settings,
        sockets: Sockets,
        host: &str,
        mut address: impl FnMut(Side) -> Result<SocketAddr, Error>,
    ) -> Result<engine::Compare<Sockets>, Error> {
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
        let plans = self.sides.iter().map(plan).collect();
        engine::Compare::start(sockets, host, plans, settings.checks_targets(true))
    }
}

impl sealed::Kind for Comparing {
    type Job = engine::Compare<Sockets>;

    fn open(&self, settings: &Settings, family: Option<AddressFamily>) -> Result<Sockets, Error> {
        let sides = self.sides.iter().map(|side| settings.of_side(*side));
        let sides: Vec<Settings> = sides.collect();
        sides.iter().try_for_each(Settings::check)?;
        let options = sides.iter().map(|side| {
            // Those of families are for their own.
            let family = match self.is_by_family() {
                true => side.family,
                false => family,
            };
            (family, side.socket_options())
        });
        let mut sockets = Sockets::open_sides(options)?;
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
        self.start_at(settings, sockets, host, |side| match side {
            Side::Family(family) if family != AddressFamily::of(address.ip()) => {
                settings.of_side(side).resolve(host)
            }
            _ => Ok(address),
        })
    }

    fn is_result(_: &Self::Job) -> bool {
        false
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
        let (mut v4, mut v6) = (Some(v4), Some(v6));
        let again = |side: Side| plan.settings().of_side(side).resolve(plan.host());
        let job = plan
            .kind
            .start_at(plan.settings(), sockets, plan.host(), |side| {
                let given = match side {
                    Side::Family(AddressFamily::V4) => v4.take(),
                    Side::Family(AddressFamily::V6) => v6.take(),
                    _ => None,
                };
                given.unwrap_or_else(|| again(side))
            });
        job.and_then(Running::of)
    }
}
