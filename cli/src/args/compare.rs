//! Whatever doesn't go with a comparison.

use super::probing::{Probes, Socket};
use super::sides::{Sides, sides};
use hopshot_linux::needs_resolver;

/// Checks what goes with a comparison.
pub(super) fn check(sides: &Sides, probing: &Probes, hosts: &[String]) -> Result<(), String> {
    check_hosts(sides, hosts)?;
    let by_family = sides.are_families();
    let is_named = probing.protocol.is_named();
    let conflicts = [
        (
            is_named && !by_family,
            "--icmp, --tcp or --udp: the sides name their protocols, such as --compare=icmp,tcp",
        ),
        (
            !by_family && probing.protocol.port.is_some(),
            "--port: a side has its own, as in --compare=icmp,tcp:22",
        ),
        (
            by_family && probing.family().is_some(),
            "-4 or -6: the sides are both families; leave it out",
        ),
        (
            by_family && probing.has_source(),
            "--source: an address is of one family",
        ),
        (
            probing.protocol.source_port.is_some(),
            "--source-port: each side has a flow of its own",
        ),
        (
            probing.flow.is_some(),
            "--flow: each side has a flow of its own",
        ),
        (
            probing.ident.is_some(),
            "--ident: each side has an identity of its own",
        ),
        (
            probing.size.is_some(),
            "--size: the size of a SYN is fixed, and sizes would differ",
        ),
        (
            probing.paths && matches!(probing.socket, Socket::Udp | Socket::Tcp),
            "--socket udp or tcp and --paths: by UDP and TCP that takes raw sockets",
        ),
    ];
    match conflicts.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, why)) => Err(format!("--compare can't be used with {why}")),
        None => check_socket(sides, probing.socket),
    }
}

/// Checks whether a kind of socket can send the probes of all sides. Those of families are of one
/// protocol, which is checked as it is without a comparison.
fn check_socket(sides: &Sides, socket: Socket) -> Result<(), String> {
    let (kind, protocol) = match socket {
        Socket::Auto | Socket::Raw => return Ok(()),
        Socket::Ping => ("ping", "icmp"),
        Socket::Udp => ("udp", "udp"),
        Socket::Tcp => ("tcp", "tcp"),
    };
    match sides.other_than(protocol) {
        None => Ok(()),
        Some(other) => Err(format!(
            "--socket {kind} can't send probes of the side {other}: leave --socket out, and each \
             side takes the sockets that it may"
        )),
    }
}

/// Checks whether these hosts can be compared so.
fn check_hosts(compared: &Sides, hosts: &[String]) -> Result<(), String> {
    let is_list = |host: &&String| host.contains(',') && sides(host).is_ok();
    if let Some(list) = hosts.iter().find(is_list) {
        return Err(format!("the sides stand behind '=': --compare={list}"));
    }
    hosts.iter().try_for_each(|host| check_host(compared, host))
}

fn check_host(compared: &Sides, host: &str) -> Result<(), String> {
    match compared.are_families() && !needs_resolver(host) {
        true => Err(format!(
            "--compare=4,6 is for a name with addresses of both families, not '{host}'"
        )),
        false => Ok(()),
    }
}
