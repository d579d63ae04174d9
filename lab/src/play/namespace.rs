//! A private place: user, network and mount namespaces, settings, and files for names.

use super::failure::{Context, Failure};
use super::netlink::Netlink;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::{fs, io};

/// A name server that isn't there.
const NOBODY: &str = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

/// Moves this process, which must have one thread only, into network and mount namespaces of its
/// own; into a user namespace too if it needs one for that, where it is root.
pub(super) fn enter() -> Result<(), Failure> {
    let private = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    if unshare(private).is_err() {
        let (user, group) = (geteuid(), getegid());
        // Refused, used up (ENOSPC) or not built in (EINVAL): it all means that it isn't possible
        // here.
        unshare(private | CloneFlags::CLONE_NEWUSER)
            .map_err(|error| Failure::NotPermitted(format!("unshare: {error}")))?;
        // A user without privileges may map groups only after giving setgroups up.
        fs::write("/proc/self/setgroups", "deny").context("/proc/self/setgroups")?;
        fs::write("/proc/self/uid_map", format!("0 {user} 1")).context("/proc/self/uid_map")?;
        fs::write("/proc/self/gid_map", format!("0 {group} 1")).context("/proc/self/gid_map")?;
    }
    // What is mounted here must not show outside.
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .context("mount /")?;
    Netlink::open()
        .and_then(|netlink| netlink.up("lo", true))
        .context("bring the loopback interface up")
}

/// Writes a setting of this network namespace, such as `net/ipv4/ip_forward`.
pub(super) fn set(name: &str, value: &str) -> io::Result<()> {
    fs::write(format!("/proc/sys/{name}"), value)
}

/// The settings that every namespace here needs. None is fatal: each is the default of many
/// kernels.
pub(super) fn set_common() {
    for scope in ["all", "default"] {
        // IPv6 addresses work at once, and answers may come from any address.
        let _ = set(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "0");
        let _ = set(&format!("net/ipv6/conf/{scope}/accept_dad"), "0");
        let _ = set(&format!("net/ipv6/conf/{scope}/accept_ra"), "0");
        let _ = set(&format!("net/ipv4/conf/{scope}/rp_filter"), "0");
    }
}

/// Interfaces made from here on have no addresses but those they are given, and so nothing to say
/// before they are used.
pub(super) fn set_quiet() {
    let _ = set("net/ipv6/conf/default/addr_gen_mode", "1");
}

/// Lets every group that this namespace knows open ping sockets.
pub(super) fn permit_ping() -> Result<(), Failure> {
    // With a user namespace only the mapped group is known.
    set("net/ipv4/ping_group_range", "0 2147483647")
        .or_else(|_| set("net/ipv4/ping_group_range", "0 0"))
        .context("net.ipv4.ping_group_range")
}

/// Makes names resolve here, and nowhere else: a hosts file with them, and a name server that isn't
/// there, because some programs don't start without one. Where mounts aren't permitted the command
/// goes without names.
pub(super) fn set_names<'a>(names: impl Iterator<Item = (&'a str, [IpAddr; 2])>) {
    let mut hosts = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
    for (name, addresses) in names {
        for address in addresses {
            let _ = writeln!(hosts, "{address} {name}");
        }
    }
    let nsswitch = fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    let nsswitch: String = nsswitch
        .lines()
        .map(|line| {
            if line.starts_with("hosts:") {
                "hosts: files dns\n".to_owned()
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    for (path, content) in [
        ("/etc/hosts", hosts),
        ("/etc/resolv.conf", NOBODY.to_owned()),
        ("/etc/nsswitch.conf", nsswitch),
    ] {
        let _ = cover(path, &content);
    }
}

/// Shows other content at a path, in this mount namespace only.
fn cover(path: &str, content: &str) -> io::Result<()> {
    let name = path.replace('/', "-");
    let source = std::env::temp_dir().join(format!("hopshot-lab-{}{name}", std::process::id()));
    fs::write(&source, content)?;
    let covered = mount(
        Some(&source),
        path,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    );
    // The mount keeps the file; nothing stays behind.
    fs::remove_file(&source)?;
    Ok(covered?)
}
