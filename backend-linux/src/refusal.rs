//! The errors that the kernel's refusals mean for a job.

use crate::advice::{Asked, Refusals, Standing, advise};
use crate::error::Error;
use crate::interface::has_zone;
use crate::socket::{OpenError, Options};
use crate::words::without_number;
use hopshot_core::wire::AddressFamily;
use rustix::io::Errno;
use rustix::net::{AddressFamily as Domain, SocketType};
use std::io;
use std::net::IpAddr;

/// Makes the error that a socket's refusal means for a trace.
pub(crate) fn refused(
    error: OpenError,
    family: AddressFamily,
    options: &Options,
    standing: Standing,
) -> Error {
    let source = |reason| match options.source {
        Some(source_address) => Error::Source {
            source_address,
            reason,
        },
        None => Error::system("can't open a socket")(Errno::ADDRNOTAVAIL),
    };
    match error {
        OpenError::Refused(refusals) => {
            let Refusals { raw, unprivileged } = refusals;
            let asked = Asked {
                family,
                protocol: options.protocol,
                lacks_one_flow: options.lacks_one_flow(),
            };
            let advice = advise(asked, refusals, standing);
            Error::Refused {
                raw: raw.map(Into::into),
                ping: unprivileged.map(Into::into),
                advice,
            }
        }
        OpenError::Necessary(necessity, errno) => Error::Option {
            option: necessity.option(family),
            reason: errno.into(),
            remedy: necessity.remedy(),
        },
        OpenError::OldKernel => Error::OldKernel,
        OpenError::MarkNotPermitted => Error::Mark(standing.permit_mark()),
        OpenError::PortNotPermitted => {
            Error::PortNotPermitted(options.source_port.unwrap_or_default())
        }
        OpenError::PortInUse => Error::PortInUse(options.source_port.unwrap_or_default()),
        OpenError::NoSuchInterface => {
            Error::NoSuchInterface(options.interface.clone().unwrap_or_default())
        }
        OpenError::SourceNotLocal => {
            source("it isn't an address of this machine; ip address lists them")
        }
        OpenError::SourceOfElsewhere => {
            source("the target can't be reached from it; another address of this machine may do")
        }
        OpenError::SourceOfOtherFamily => {
            source("it is of another family than the target's address")
        }
        OpenError::SourceNeedsInterface => {
            source("it is link-local, so the interface must be given too")
        }
        OpenError::Broadcast => Error::system("can't open a socket")(Errno::ACCESS),
        OpenError::OtherInterface => Error::system("can't open a socket")(Errno::INVAL),
        OpenError::Other(errno @ (Errno::MFILE | Errno::NFILE)) => Error::NoDescriptor {
            reason: errno.into(),
        },
        OpenError::Other(errno) => Error::system("can't open a socket")(errno),
    }
}

/// Explains that the kernel doesn't know where to send from. `scope_id` is the interface that
/// a link-local destination belongs to, else 0.
pub(crate) fn no_route(
    error: OpenError,
    destination: IpAddr,
    scope_id: u32,
    options: &Options,
) -> Error {
    let is_known = scope_id != 0 || options.interface.is_some();
    let error = match (error, destination) {
        (OpenError::Other(Errno::INVAL), IpAddr::V6(address)) if has_zone(address) && !is_known => {
            return Error::NoInterface(address);
        }
        // A route there is, but not from there: a loopback address reaches this machine only.
        (OpenError::Other(Errno::INVAL), _)
            if options.source.is_some_and(|source| source.is_loopback()) =>
        {
            OpenError::SourceOfElsewhere
        }
        (error, _) => error,
    };
    let reason = match error {
        OpenError::Other(errno) => dead_end(errno),
        OpenError::Broadcast => io::Error::other("it is a broadcast address"),
        OpenError::OtherInterface => {
            io::Error::other("it belongs to another interface than probes are to leave by")
        }
        other => {
            return refused(
                other,
                AddressFamily::of(destination),
                options,
                Standing::read(),
            );
        }
    };
    Error::NoRoute {
        destination,
        interface: interface(scope_id),
        protocol: options.protocol,
        reason,
    }
}

/// Says what a route is that leads nowhere, where the kernel's words are those for something else.
fn dead_end(errno: Errno) -> io::Error {
    let route = match errno {
        // An IPsec policy, a hook of a cgroup, or a filter of system calls.
        Errno::PERM => "a policy of this machine forbids it",
        Errno::ACCESS => "a 'prohibit' route forbids it",
        Errno::INVAL => "a 'blackhole' route leads there",
        Errno::HOSTUNREACH => "an 'unreachable' route leads there",
        errno => return errno.into(),
    };
    io::Error::other(format!("{route} ({})", without_number(&errno.into())))
}

/// Returns the name of an interface, or else its number; none is number 0.
fn interface(scope_id: u32) -> Option<String> {
    let socket = || rustix::net::socket(Domain::INET6, SocketType::DGRAM, None);
    let name = || rustix::net::netdevice::index_to_name(socket()?, scope_id);
    (scope_id != 0).then(|| name().unwrap_or_else(|_| scope_id.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopshot_engine::{ProbeProtocol, TcpOptions, UdpPayload};

    #[test]
    fn advice_for_a_missing_route_asks_for_the_route_of_the_probes() {
        let (v4, v6) = ("192.0.2.1", "2001:db8::1");
        let tcp = ProbeProtocol::Tcp {
            port: 443,
            options: TcpOptions::Mss,
        };
        let udp = ProbeProtocol::Udp {
            port: 53,
            payload: UdpPayload::Dns,
        };
        for (protocol, destination, expected) in [
            (ProbeProtocol::Icmp, v4, "ipproto icmp"),
            (ProbeProtocol::Icmp, v6, "ipproto ipv6-icmp"),
            (tcp, v4, "ipproto tcp dport 443"),
            (udp, v6, "ipproto udp dport 53"),
        ] {
            let options = Options {
                protocol,
                ..Options::default()
            };
            let error = OpenError::Other(Errno::NETUNREACH);
            let error = no_route(error, destination.parse().unwrap(), 0, &options).to_string();
            let expected = format!("(ip route get {destination} {expected})");
            assert!(error.ends_with(&expected), "{error}");
        }
    }

    #[test]
    fn a_lack_of_descriptors_names_the_limit() {
        for errno in [Errno::MFILE, Errno::NFILE] {
            let error = refused(
                OpenError::Other(errno),
                AddressFamily::V4,
                &Options::default(),
                Standing::read(),
            );
            assert!(
                error
                    .to_string()
                    .ends_with("raise the limit of open files (ulimit -n), or close some"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_dead_end_is_told_for_what_it_is_and_in_an_outage_in_few_words() {
        let dead_end = |errno| {
            no_route(
                OpenError::Other(errno),
                [192, 0, 2, 1].into(),
                0,
                &Options::default(),
            )
        };
        let error = dead_end(Errno::ACCESS);
        assert!(error.to_string().starts_with(
            "no route to 192.0.2.1: a 'prohibit' route forbids it (Permission denied); check the address"
        ));
        assert_eq!(
            (error.may_pass(), error.reason().as_str()),
            (true, "a 'prohibit' route forbids it")
        );
        assert_eq!(
            dead_end(Errno::PERM).reason(),
            "a policy of this machine forbids it"
        );
        assert_eq!(
            dead_end(Errno::NETUNREACH).reason(),
            "Network is unreachable"
        );
    }
}
