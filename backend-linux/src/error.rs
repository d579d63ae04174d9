//! The error of every job, and what the user can do about it.

use crate::words::{family_name, send_error, without_number};
use hopshot_core::wire::AddressFamily;
use hopshot_core::{ConfigError, Failure};
use hopshot_engine::{Fault, LinkError, ProbeProtocol, SocketKind};
use rustix::io::Errno;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// The reason why a trace could not be started or could not go on. Each text says what to do about
/// it.
///
/// Only what concerns the whole trace is here: a probe that could not be sent is part of the route.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// A size that no probe of this family can have.
    #[error("a probe in {} is a packet of {least} to 65535 octets, not {given}", family_name(*.family))]
    Size {
        /// The family.
        family: AddressFamily,
        /// The size that was asked for.
        given: u16,
        /// The least that there is: the headers, and what an answer is known by.
        least: u16,
    },

    /// A host that can be neither an address nor a name, so that no resolver was asked.
    #[error("'{}' is no host: {why}; give one address or name", host.escape_debug())]
    NoHost {
        /// The host as it was given.
        host: String,
        /// The reason why it can't be a host.
        why: &'static str,
    },

    /// The name has no address.
    #[error(
        "can't find the address of '{host}': {}; check the spelling, and that DNS answers, or give an address",
        of_resolver(reason)
    )]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's reason.
        reason: io::Error,
        /// Whether it may be found later: the resolver failed, and didn't say that there is no
        /// such name.
        may_pass: bool,
    },

    /// A look-up made elsewhere has failed, in the words of whoever made it.
    #[error("{0}")]
    LookUp(String),

    /// There is nobody who looks up names any more.
    #[error("{0}")]
    NoResolver(
        /// The host that can't be looked up, and why.
        String,
    ),

    /// A host of a list was given up, while others could be traced.
    #[error("{reason}; given up after {tries} tries in {} s", waited.as_secs())]
    GivenUp {
        /// The failure of the last try.
        reason: Box<Error>,
        /// The number of tries.
        tries: u32,
        /// The time between the first try and the last.
        waited: Duration,
    },

    /// A host of a list waited to be tried again when the list was interrupted.
    #[error("not traced: interrupted while it waited to be tried again ({reason})")]
    Interrupted {
        /// The reason why it had to wait.
        reason: String,
    },

    /// The rest of a list was not traced: this machine was cut off for longer than an outage may
    /// last.
    #[error("not traced, since {what} for {} s ({reason}); trace the rest when the network is back", waited.as_secs())]
    Away {
        /// The service that failed, such as `nothing gets through over IPv4`.
        what: &'static str,
        /// For how long.
        waited: Duration,
        /// The last reason.
        reason: String,
    },

    /// The rest of a list was not traced: the sockets failed.
    #[error("not traced, since the list ended early: {reason}")]
    Ended {
        /// The failure, and the remedy.
        reason: String,
    },

    /// The host has addresses, but none of the family that was asked for.
    #[error("'{host}' has no {} address; ask for the other family, or for either", family_name(*.family))]
    NoSuchFamily {
        /// The name or address.
        host: String,
        /// The family.
        family: AddressFamily,
    },

    /// There is no socket of the kind that was asked for, or of either kind if none was, or this
    /// process may not open it.
    #[error("{advice}")]
    Refused {
        /// The kernel's reason against a raw socket, if one was tried.
        raw: Option<io::Error>,
        /// Its reason against a ping socket; by UDP, against a UDP socket.
        ping: Option<io::Error>,
        /// Advice: what the refusals mean, and how to get a socket.
        advice: String,
    },

    /// Another program of this machine has the source port.
    #[error("another program has source port {0}: give another one, or none, for one that is free")]
    PortInUse(
        /// The port.
        u16,
    ),

    /// Only the privileged may have the source port.
    #[error("source port {0} takes a privilege: give one from 1024 on, or run it as root (sudo)")]
    PortNotPermitted(
        /// The port.
        u16,
    ),

    /// A kind of sockets was asked for that sends no probes of this protocol.
    #[error(
        "{} sockets send no probes of {}: ask for raw sockets, or for any that is permitted",
        kind.as_str(),
        protocol.as_str().to_uppercase()
    )]
    WrongSocket {
        /// The kind of sockets.
        kind: SocketKind,
        /// The protocol of the probes.
        protocol: ProbeProtocol,
    },

    /// A source port was asked for, and sockets that have one each.
    #[error(
        "tcp sockets have a source port each: ask for one flow or no source port, or for raw sockets"
    )]
    ManyPorts,

    /// This kernel doesn't tell TCP sockets which router has answered.
    #[error(
        "tcp sockets hear of routers from Linux 5.8 on, and this kernel is older: take raw \
         sockets, as root (sudo) or with CAP_NET_RAW; or probe by ICMP"
    )]
    OldKernel,

    /// The kernel refuses an option of sockets that can't be done without.
    #[error("can't set the socket option {option}: {reason}; {remedy}")]
    Option {
        /// The name of the option.
        option: &'static str,
        /// The kernel's reason.
        reason: io::Error,
        /// Advice on how to trace without the option.
        remedy: &'static str,
    },

    /// There is no way to the target from here.
    #[error(
        "no route to {destination}{}: {reason}; check the address, and this machine's network and routes (ip route get {destination}{} ipproto {})",
        prefixed("%", .interface),
        prefixed(" dev ", .interface),
        protocol_of_rule(*.protocol, *.destination)
    )]
    NoRoute {
        /// The target.
        destination: IpAddr,
        /// The interface that it was given with, as link-local addresses are.
        interface: Option<String>,
        /// The protocol of the probes: routes may differ by it.
        protocol: ProbeProtocol,
        /// The kernel's reason.
        reason: io::Error,
    },

    /// This process may not mark its packets.
    #[error("marks aren't permitted to this user: {0}")]
    Mark(
        /// Advice on how to permit marks.
        String,
    ),

    /// A link-local address without the interface that it is to be found at.
    #[error("{0} is link-local, so its interface must follow, as in {0}%eth0; ip link lists them")]
    NoInterface(Ipv6Addr),

    /// An address of the whole network with an interface behind it.
    #[error(
        "{0} has no zone: only link-local addresses (fe80::/10) have one; leave out what follows %"
    )]
    Zone(Ipv6Addr),

    /// There is no interface of this name.
    #[error("{}; ip link lists them", no_interface(.0))]
    NoSuchInterface(String),

    /// The source address can't be used.
    #[error("can't send from {source_address}: {reason}")]
    Source {
        /// The address.
        source_address: IpAddr,
        /// The reason, and an address that would do.
        reason: &'static str,
    },

    /// No socket of this family was opened.
    #[error("no {} socket was opened for this; open those of both families, or of this one", family_name(*.0))]
    NoSocket(AddressFamily),

    /// Privileges that can't be given up.
    #[error(
        "can't give up {what}: {reason}; start this as an ordinary user, or without the set-user-ID bit and file capabilities"
    )]
    Privileges {
        /// The privileges.
        what: &'static str,
        /// The kernel's reason, or its failure to do what it said.
        reason: io::Error,
    },

    /// A [`Survey`](crate::survey::Survey) has no room for one more trace.
    #[error("no room for one more trace now; take one that has ended first")]
    Full,

    /// This process, or the whole system, has no descriptor left for a socket.
    #[error(
        "can't open a socket: {reason}; raise the limit of open files (ulimit -n), or close some"
    )]
    NoDescriptor {
        /// The kernel's reason.
        reason: io::Error,
    },

    /// The kernel refused something that should work.
    #[error("{what}: {reason}")]
    System {
        /// The operation that failed.
        what: &'static str,
        /// The kernel's reason.
        reason: io::Error,
    },
}

/// As `Display`: it is what a program shows that returns an error from `main`.
impl From<Fault<Self>> for Error {
    fn from(fault: Fault<Self>) -> Self {
        match fault {
            Fault::Config(error) => Self::Config(error),
            Fault::Size {
                family,
                given,
                least,
            } => Self::Size {
                family,
                given,
                least,
            },
            Fault::Full => Self::Full,
            Fault::GivenUp {
                reason,
                tries,
                waited,
            } => Self::GivenUp {
                reason,
                tries,
                waited,
            },
            Fault::Interrupted { reason } => Self::Interrupted { reason },
            Fault::Away {
                what,
                waited,
                reason,
            } => Self::Away {
                what,
                waited,
                reason,
            },
        }
    }
}

impl LinkError for Error {
    fn may_pass(&self) -> bool {
        self.may_pass()
    }

    fn is_change(&self) -> bool {
        matches!(
            self,
            Self::Source { .. } | Self::NoSuchInterface(_) | Self::System { .. }
        )
    }

    fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Resolve { .. } | Self::LookUp(_) | Self::NoSuchFamily { .. }
        )
    }

    fn reason(&self) -> String {
        self.reason()
    }
}

impl Error {
    pub(crate) fn system(what: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::System {
            what,
            reason: errno.into(),
        }
    }

    /// Whether another try may succeed: this machine's network failed, or its name servers did. So
    /// it is with every host that a list gave up for such a failure.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::NoRoute { .. }
            | Self::GivenUp { .. }
            | Self::Away { .. }
            | Self::Ended { .. }
            | Self::Interrupted { .. } => true,
            Self::Resolve { may_pass, .. } => *may_pass,
            _ => false,
        }
    }

    /// The cause alone, without what it happened to and what to do.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            // What the kernel said of a dead end stands behind what that means.
            Self::NoRoute { reason, .. } => reason
                .to_string()
                .split(" (")
                .next()
                .unwrap_or_default()
                .to_owned(),
            Self::Resolve { reason, .. } => of_resolver(reason),
            other => other.to_string(),
        }
    }
}

/// The words of the resolver alone, which the standard library puts some in front of.
fn of_resolver(reason: &io::Error) -> String {
    let text = without_number(reason);
    text.strip_prefix("failed to lookup address information: ")
        .unwrap_or(&text)
        .to_owned()
}

/// Returns why a probe failed on this machine, in the kernel's words where they are the kernel's
/// ("Operation not permitted").
#[must_use]
pub fn failure_text(failure: Failure) -> String {
    hopshot_engine::failure_text(failure, send_error)
}

fn prefixed(prefix: &str, text: &Option<String>) -> String {
    text.as_ref()
        .map_or_else(String::new, |text| format!("{prefix}{text}"))
}

/// The protocol of the probes to a target, and their port, as `ip route get` takes them: a rule may
/// be for these alone.
fn protocol_of_rule(protocol: ProbeProtocol, target: IpAddr) -> String {
    match (protocol.port(), target) {
        (Some(port), _) => format!("{} dport {port}", protocol.as_str()),
        (None, IpAddr::V4(_)) => "icmp".to_owned(),
        (None, IpAddr::V6(_)) => "ipv6-icmp".to_owned(),
    }
}

/// The error where there is no such interface, by its name or its number.
fn no_interface(name: &str) -> String {
    match name.parse::<u32>() {
        Ok(number) => format!("no interface has the number {number}"),
        Err(_) => format!("no interface is named '{name}'"),
    }
}
