//! Jobs that have not been started yet: settings, a host, and what is to be found out about it.

use crate::error::Error;
use crate::running::Running;
use crate::settings::Settings;
use crate::sockets::Sockets;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{Job, SocketKind, Step};
use std::net::SocketAddr;

/// A job that has not been started yet: settings, a host, and what is to be found out about it.
///
/// [`run`](Self::run) does all of it. [`start`](Self::start) is for loops of one's own. A program
/// that has privileges to give up in between calls [`open`](Self::open), and then
/// [`Opened::start_at`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before run or start"]
pub struct Plan<K> {
    settings: Settings,
    host: String,
    pub(crate) kind: K,
}

/// The kinds of jobs about one host: [`SingleTrace`](crate::SingleTrace),
/// [`PathSearch`](crate::paths::PathSearch), [`MtuSearch`](crate::path_mtu::MtuSearch),
/// [`Comparing`](crate::compare::Comparing), [`ComparingPaths`](crate::compare::ComparingPaths).
pub trait PlanKind: sealed::Kind {}

impl<K: sealed::Kind> PlanKind for K {}

/// The running job of a kind.
pub(crate) type JobOf<K> = <K as sealed::Kind>::Job;

pub(crate) mod sealed {
    use crate::error::Error;
    use crate::settings::Settings;
    use crate::sockets::Sockets;
    use hopshot_core::wire::AddressFamily;
    use hopshot_engine::Job;
    use std::net::SocketAddr;

    pub trait Kind: Clone {
        type Job: Job<Link = Sockets>;

        /// Checks what can be checked while the target isn't known.
        fn check(&self, settings: &Settings) -> Result<(), Error> {
            settings.check()
        }

        /// Opens the sockets of a family, or of both.
        fn open(
            &self,
            settings: &Settings,
            family: Option<AddressFamily>,
        ) -> Result<Sockets, Error>;

        /// Starts it at the address of a host.
        fn start(
            &self,
            settings: &Settings,
            sockets: Sockets,
            host: &str,
            address: SocketAddr,
        ) -> Result<Self::Job, Error>;

        /// Whether what a job knows is a result, though it failed before its end.
        fn is_result(job: &Self::Job) -> bool;
    }
}

impl<K: PlanKind> Plan<K> {
    pub(crate) fn new(settings: &Settings, host: impl Into<String>, kind: K) -> Self {
        let (settings, host) = (settings.clone(), host.into());
        Self {
            settings,
            host,
            kind,
        }
    }

    /// Runs the job to its end. A search that fails when something is known by then ends with that,
    /// as interrupted.
    ///
    /// # Errors
    /// [`Error`] if it can't be started, or the kernel fails before anything is known. A target that
    /// doesn't answer is no error.
    pub fn run(&self) -> Result<<JobOf<K> as Job>::Output, Error> {
        let mut running = self.start()?;
        loop {
            match running.advance(None) {
                Ok(Step::Done) => break,
                Err(error) if !K::is_result(&running) => return Err(error),
                Err(_) => break,
                Ok(_) => {}
            }
        }
        Ok(running.finish())
    }

    /// Resolves the name and opens the sockets. The first probes leave with [`Running::launch`] or
    /// [`Running::advance`].
    ///
    /// # Errors
    /// [`Error`] if a parameter is out of its range, the name has no address, no route leads to it,
    /// or a socket can't be opened.
    pub fn start(&self) -> Result<Running<JobOf<K>>, Error> {
        // The ranges first: whoever mistyped a number should not wait for a name server to be told.
        self.kind.check(&self.settings)?;
        let address = self.resolve()?;
        let family = AddressFamily::of(address.ip());
        self.open_for(Some(family))?.start_at(address)
    }

    /// Opens the sockets before the name is resolved: those of the family of the host if it is an
    /// address, or of the family that was asked for, else of both. Where this machine has only one
    /// of both, the other is an error when the job starts at one of its addresses.
    ///
    /// # Errors
    /// As [`start`](Self::start), but for what concerns the name and the route.
    pub fn open(&self) -> Result<Opened<K>, Error> {
        self.kind.check(&self.settings)?;
        self.open_for(self.settings.family_to_open(&self.host)?)
    }

    fn open_for(&self, family: Option<AddressFamily>) -> Result<Opened<K>, Error> {
        Ok(Opened {
            sockets: self.kind.open(&self.settings, family)?,
            plan: self.clone(),
        })
    }

    /// Returns the address of the host: see [`Settings::resolve`].
    ///
    /// # Errors
    /// As there.
    pub fn resolve(&self) -> Result<SocketAddr, Error> {
        self.settings.resolve(&self.host)
    }
}

/// A job whose sockets are open, and that has no target yet: what [`Plan::open`] returns.
///
/// Opening sockets takes privileges, and finding the address of a name means to read what
/// strangers' servers say. A program that opens first can [give its privileges
/// up](crate::privilege::renounce) before it asks for the address:
///
/// ```no_run
/// use hopshot_linux::{Settings, privilege};
///
/// let plan = Settings::new().trace("example.com");
/// let opened = plan.open()?;
/// privilege::renounce()?;
/// let mut trace = opened.start_at(plan.resolve()?)?;
/// # Ok::<(), hopshot_linux::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is sent before start_at"]
pub struct Opened<K> {
    plan: Plan<K>,
    sockets: Sockets,
}

impl<K> Plan<K> {
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

impl<K> Opened<K> {
    pub(crate) fn into_parts(self) -> (Plan<K>, Sockets) {
        (self.plan, self.sockets)
    }
}

impl<K: PlanKind> Opened<K> {
    /// Starts the job at an address of its host. The port has no meaning; of a link-local address
    /// the scope has.
    ///
    /// # Errors
    /// As [`Plan::start`].
    pub fn start_at(self, address: SocketAddr) -> Result<Running<JobOf<K>>, Error> {
        let Plan {
            settings,
            host,
            kind,
        } = &self.plan;
        let job = kind.start(settings, self.sockets, host, address);
        job.and_then(Running::of)
    }

    /// Returns the kind of socket that is open for a family, if one is.
    #[must_use]
    pub fn socket(&self, family: AddressFamily) -> Option<SocketKind> {
        self.sockets.of(family).map(|pair| pair.socket.kind())
    }
}
