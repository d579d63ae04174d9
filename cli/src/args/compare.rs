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
            matches!(probing.socket, Socket::Ping | Socket::Udp),
            "--socket ping or udp, which send one protocol only",
        ),
    ];
    match conflicts.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, why)) => Err(format!("--compare can't be used with {why}")),
        None => Ok(()),
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
