//! The sockets on a real kernel, inside a network namespace of their own: no packet leaves this
//! machine, none comes in, and where the kernel lets users make namespaces no privilege is needed.

mod ping;
mod raw;
mod spares;
mod tcp;

use super::filter::Identity;
use super::{AnswerKey, Arrival};
use crate::namespace::{PERMIT_PING, in_namespace};
use hopshot_core::Instant;
use hopshot_core::wire::icmp::{Echo, Message};
use hopshot_core::wire::{AddressFamily, Ends};
use hopshot_engine::Clock;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use std::net::IpAddr;
use std::os::fd::AsFd;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const LOOPBACKS: [&str; 2] = ["127.0.0.1", "::1"];

/// Gives up all capabilities of this thread.
fn renounce() {
    let none = CapabilitySet::empty();
    set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )
    .unwrap();
}

/// A trace with this ident, and a cookie that nothing here has.
fn identity(ident: u16) -> AnswerKey {
    AnswerKey::Echo(Identity {
        ident,
        cookie: *b"none",
        target: [0; 4],
    })
}

/// Both kinds of sockets, and whichever was opened.
trait Receive: AsFd {
    fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Result<Option<Arrival<'b>>, Errno>;
}

impl Receive for super::raw::Socket {
    fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Result<Option<Arrival<'b>>, Errno> {
        self.receive(buf)
    }
}

impl Receive for super::Socket {
    fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Result<Option<Arrival<'b>>, Errno> {
        self.receive(buf)
    }
}

fn request(destination: IpAddr, ident: u16, seq: u16) -> Vec<u8> {
    let ends = Ends {
        source: AddressFamily::of(destination).unspecified(),
        destination,
    };
    let mut octets = vec![0; 64];
    let echo = Echo {
        ident,
        seq,
        payload: b"a payload of hopshot's",
    };
    let len = Message::EchoRequest(echo).emit(ends, &mut octets).unwrap();
    octets.truncate(len);
    octets
}

/// What was heard: one arrival, without its buffer.
#[derive(Debug)]
struct Heard {
    from: IpAddr,
    hop_limit: Option<u8>,
    at: Instant,
    clock: Clock,
    message: Vec<u8>,
}

impl Heard {
    fn parse(&self) -> Message<'_> {
        let ends = Ends {
            source: self.from,
            destination: AddressFamily::of(self.from).unspecified(),
        };
        Message::parse(ends, &self.message).unwrap()
    }
}

fn hear(socket: &mut impl Receive) -> Option<Heard> {
    let mut buf = [0; 2048];
    let arrival = socket.receive(&mut buf).unwrap()?;
    Some(Heard {
        from: arrival.from,
        hop_limit: arrival.hop_limit,
        at: arrival.at,
        clock: arrival.clock,
        message: arrival.message.to_vec(),
    })
}

/// Waits up to a second for the next arrival.
fn wait(socket: &mut impl Receive) -> Option<Heard> {
    hear(socket).or_else(|| {
        let second = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        rustix::event::poll(&mut [PollFd::new(&*socket, PollFlags::IN)], Some(&second)).unwrap();
        hear(socket)
    })
}

/// A veth pair, `near` here and `far` at a router in a namespace of its own. The router sends
/// everything back but to one host, which it prohibits, and answers as often as it is asked.
const ROUTER: &str = r#"
    unshare --net sleep 30 >/dev/null 2>&1 </dev/null &
    router=$!
    trap 'kill $router' EXIT
    until [ "$(readlink /proc/$router/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.01; done
    ip link add near type veth peer name far address 02:00:00:00:00:02 netns $router
    ip link set near addrgenmode none
    ip address add 192.0.2.1/24 dev near
    ip address add 2001:db8::1/64 dev near nodad
    ip address add fe80::1/64 dev near nodad
    ip link set near up
    nsenter --target $router --net sh -e <<'END'
        echo 1 >/proc/sys/net/ipv4/ip_forward
        echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
        echo 0 >/proc/sys/net/ipv4/icmp_ratelimit
        echo 0 >/proc/sys/net/ipv6/icmp/ratelimit
        for limit in /proc/sys/net/ipv4/icmp_msgs_*; do
            if [ -e $limit ]; then echo 10000 >$limit; fi
        done
        ip link set far addrgenmode none
        ip address add 192.0.2.2/24 dev far
        ip address add 2001:db8::2/64 dev far nodad
        ip address add fe80::2/64 dev far nodad
        ip link set far up
        ip route add default via 192.0.2.1
        ip route add default via 2001:db8::1
        ip route add prohibit 198.51.100.9
        ip route add prohibit 2001:db8:1::9
END
    ip route add default via 192.0.2.2
    ip route add default via 2001:db8::2
    # A link that comes up carries nothing before the kernel's link watch has seen it, which may take a second.
    until ip link show near | grep -q 'state UP'; do sleep 0.01; done
    until nsenter --target $router --net ip link show far | grep -q 'state UP'; do sleep 0.01; done
"#;
