//! A command on a chain of real Linux routers: a network namespace for each, joined by veth pairs.

use super::command::Conduct;
use super::command::{self, Addressee};
use super::failure::{Context, Failure};
use super::{namespace, netlink::Netlink, serve};
use core::time::Duration;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The prefixes that all links lie in.
const ALL: [(IpAddr, u8); 2] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0)),
        32,
    ),
];
/// A port where nobody listens.
const DISCARD_PORT: u16 = 9;
/// The prefix lengths of one link.
const LINK: [u8; 2] = [24, 64];

/// The far end of the link that leads to a hop: the address from which the hop answers.
const fn far(hop: u8) -> [IpAddr; 2] {
    end(hop, 1)
}

/// The near end of the link that leads to a hop.
const fn near(hop: u8) -> [IpAddr; 2] {
    end(hop, 254)
}

const fn end(hop: u8, host: u8) -> [IpAddr; 2] {
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, hop as u16, 0, 0, 0, 0, host as u16);
    [IpAddr::V4(Ipv4Addr::new(10, hop, 0, host)), IpAddr::V6(v6)]
}

/// How large packets may be on the link that leads to a hop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mtu {
    hop: u8,
    octets: u32,
}

impl Mtu {
    /// Reads `HOP=OCTETS`. On a link that carries less than 1,280 octets the kernel has no IPv6.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (hop, octets) = text
            .split_once('=')
            .ok_or("a hop and its MTU, such as 3=1400")?;
        let hop = hop.parse().map_err(|_| "no number of a hop before the =")?;
        let octets = octets
            .parse()
            .ok()
            .filter(|octets| (1280..=65_535).contains(octets));
        Ok(Self {
            hop,
            octets: octets.ok_or("an MTU must be 1280 to 65535")?,
        })
    }
}

/// A shell command for a hop.
#[derive(Clone, Debug)]
pub(crate) struct At {
    hop: u8,
    script: String,
}

impl At {
    /// Reads `HOP=SCRIPT`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (hop, script) = text
            .split_once('=')
            .ok_or("a hop and a command, such as 2='nft -f rules'")?;
        let hop = hop.parse().map_err(|_| "no number of a hop before the =")?;
        let script = script.to_owned();
        Ok(Self { hop, script })
    }
}

/// What is special about a chain.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) mtus: Vec<Mtu>,
    /// Whether the kernel's limits on ICMP errors stay as they are.
    pub(crate) ratelimit: bool,
    /// Whether every group may open ping sockets.
    pub(crate) ping: bool,
    /// Ports that the target serves.
    pub(crate) serve: Vec<u16>,
    pub(crate) at: Vec<At>,
}

/// Builds the chain, runs the command at its start, and gives the command's exit status.
pub(crate) fn run(routers: u8, setting: &Setting, command: &[String]) -> Result<u8, Failure> {
    let Setting {
        mtus,
        ratelimit,
        ping,
        serve,
        at,
    } = setting;
    let target = routers + 1;
    let hops = mtus
        .iter()
        .map(|mtu| mtu.hop.max(1) == mtu.hop && mtu.hop <= target);
    if !hops
        .chain(at.iter().map(|at| at.hop <= target))
        .all(|is_one| is_one)
    {
        return Err(Failure::Lab(format!("the hops are 1 to {target}")));
    }
    namespace::enter()?;
    let name = |hop: u8| {
        if hop == target {
            "target.example".to_owned()
        } else {
            format!("router{hop}.example")
        }
    };
    let names: Vec<_> = (1..=target).map(|hop| (name(hop), far(hop))).collect();
    namespace::set_names(
        names
            .iter()
            .map(|(name, addresses)| (name.as_str(), *addresses)),
    );
    namespace::set_common();
    let mut nodes = vec![File::open("/proc/self/ns/net").context("/proc/self/ns/net")?];
    for _ in 1..=target {
        nodes.push(new_namespace()?);
    }
    for hop in 0..=target {
        let here = usize::from(hop);
        setns(&nodes[here], CloneFlags::CLONE_NEWNET).context("setns")?;
        let netlink = Netlink::open().context("netlink")?;
        netlink.up("lo", true).context("lo")?;
        if hop > 0 && hop < target {
            for setting in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
                namespace::set(setting, "1").context(setting)?;
            }
        }
        if !*ratelimit {
            for setting in ["net/ipv4/icmp_ratelimit", "net/ipv6/icmp/ratelimit"] {
                namespace::set(setting, "0").context(setting)?;
            }
        }
        let mtu = |hop: u8| mtus.iter().find(|mtu| mtu.hop == hop).copied();
        if hop > 0 {
            join(&netlink, "back", far(hop), mtu(hop))?;
        }
        if let Some(next) = nodes.get(here + 1) {
            netlink
                .veth("ahead", "back", Some(next.as_raw_fd()))
                .context("veth pair")?;
            join(&netlink, "ahead", near(hop + 1), mtu(hop + 1))?;
        }
        // Everything farther on is ahead, everything nearer is back. A route needs its gateway's
        // link, not its gateway.
        for family in 0..2 {
            if hop < target {
                let (prefix, prefix_len) = ALL[family];
                netlink
                    .route(prefix, prefix_len, far(hop + 1)[family])
                    .context("route ahead")?;
            }
            for link in 1..hop {
                netlink
                    .route(network(link)[family], LINK[family], near(hop)[family])
                    .context("route back")?;
            }
        }
    }
    setns(&nodes[0], CloneFlags::CLONE_NEWNET).context("setns")?;
    if *ping {
        namespace::permit_ping()?;
    }
    let [v4, v6] = far(target);
    for address in [v4, v6] {
        wait_for(address)?;
    }
    setns(&nodes[usize::from(target)], CloneFlags::CLONE_NEWNET).context("setns")?;
    serve.iter().try_for_each(|port| serve::serve(*port))?;
    let mut scripts = Vec::new();
    for At { hop, script } in at {
        setns(&nodes[usize::from(*hop)], CloneFlags::CLONE_NEWNET).context("setns")?;
        scripts.push(Script::run(script)?);
    }
    setns(&nodes[0], CloneFlags::CLONE_NEWNET).context("setns")?;
    command::run(
        command,
        &Addressee {
            v4,
            v6,
            name: name(target),
        },
        Conduct::default(),
    )
    .map(|exit| exit.status)
}

/// A script that has ended. What it left behind ends when this is dropped.
struct Script(Pid);

impl Script {
    fn run(script: &str) -> Result<Self, Failure> {
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("sh")?;
        let group = Pid::from_raw(i32::try_from(shell.id()).unwrap_or(i32::MAX));
        let ended = Self(group);
        match shell.wait().context("sh")?.success() {
            true => Ok(ended),
            false => Err(Failure::Lab(format!("'{script}' has failed"))),
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

/// Waits until packets go there and back: interfaces take a moment to come up, and neighbours to be
/// found. The sign is the refusal of a datagram, which the target's kernel sends.
fn wait_for(target: IpAddr) -> Result<(), Failure> {
    let local = if target.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let probe = UdpSocket::bind(local).context("socket")?;
    probe.connect((target, DISCARD_PORT)).context("connect")?;
    probe
        .set_read_timeout(Some(Duration::from_millis(50)))
        .context("socket")?;
    for _ in 0..100 {
        let answer = probe.send(&[0]).and_then(|_| probe.recv(&mut [0]));
        if answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return Ok(());
        }
    }
    Err(Failure::Lab(format!(
        "the chain of routers doesn't carry packets to {target}"
    )))
}

fn network(hop: u8) -> [IpAddr; 2] {
    end(hop, 0)
}

fn join(
    netlink: &Netlink,
    interface: &str,
    addresses: [IpAddr; 2],
    mtu: Option<Mtu>,
) -> Result<(), Failure> {
    if let Some(Mtu { octets, .. }) = mtu {
        netlink.mtu(interface, octets).context(interface)?;
    }
    netlink.up(interface, true).context(interface)?;
    for (address, prefix_len) in addresses.into_iter().zip(LINK) {
        netlink
            .address(interface, address, prefix_len)
            .context(interface)?;
    }
    Ok(())
}

/// A fresh network namespace; it lives as long as the file is open, or something is in it.
fn new_namespace() -> Result<File, Failure> {
    let make = || {
        unshare(CloneFlags::CLONE_NEWNET).context("unshare")?;
        // Before the first interface, which inherits them.
        namespace::set_common();
        File::open("/proc/thread-self/ns/net").context("/proc/thread-self/ns/net")
    };
    std::thread::scope(|scope| scope.spawn(make).join())
        .unwrap_or_else(|_| Err(Failure::Lab("no thread for a network namespace".to_owned())))
}
