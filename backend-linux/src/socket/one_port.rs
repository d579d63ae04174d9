//! The one port of all probes of a trace by TCP sockets: they leave from it one after the other.

use super::options::{OpenError, Options, port_refused};
use super::unprivileged;
use crate::interface::Interface;
use hopshot_core::wire::AddressFamily;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long a probe keeps the next from leaving if nothing answers it, at least: to a hop that is
/// nearer than others that have answered, and to one behind them, which may be much farther away.
const TURN: Duration = Duration::from_millis(150);
const TURN_BEHIND: Duration = Duration::from_millis(480);

/// RTTs after which the next hop may still be an ocean or a satellite away.
const NEARBY: Duration = Duration::from_millis(20);

/// Ports that are tried for one that is free.
const TRIES: usize = 64;

/// The port, and what is known of the target of the last probe.
#[derive(Debug)]
pub(super) struct OnePort {
    pub(super) number: u16,
    target: Option<IpAddr>,
    /// The greatest RTT, and the farthest hop that has answered.
    slowest: Duration,
    farthest: u8,
}

impl OnePort {
    /// Binds a socket to the port of the options, or to one that is free. A port that the kernel
    /// had chosen would be gone after the first probe. Returns the interface that the socket is
    /// bound to, too.
    pub(super) fn bind(
        fd: &OwnedFd,
        family: AddressFamily,
        options: &Options,
    ) -> Result<(Self, Option<Interface>), OpenError> {
        let bind = |number| {
            let interface = unprivileged::bind(fd, family, options, number)?;
            let port = Self {
                number,
                target: None,
                slowest: Duration::ZERO,
                farthest: 0,
            };
            Ok((port, interface))
        };
        if let Some(port) = options.source_port {
            return bind(port).map_err(port_refused);
        }
        for _ in 0..TRIES {
            let mut random = [0; 2];
            getrandom(&mut random, GetRandomFlags::empty())?;
            match bind(0x8000 | u16::from_ne_bytes(random)) {
                Err(OpenError::Other(Errno::ADDRINUSE)) => {}
                bound => return bound,
            }
        }
        Err(OpenError::PortInUse)
    }

    /// Begins with a target, unless the last probe had the same.
    pub(super) fn turn_to(&mut self, target: IpAddr) {
        if self.target != Some(target) {
            *self = Self {
                target: Some(target),
                slowest: Duration::ZERO,
                farthest: 0,
                ..*self
            };
        }
    }

    /// Returns how long a probe to a hop may keep the next from leaving, `longest` at most.
    pub(super) fn turn(&self, hop_limit: u8, longest: Duration) -> Duration {
        let slowest = self.slowest;
        let turn = match hop_limit <= self.farthest {
            true => slowest.saturating_mul(2).max(TURN),
            false if slowest < NEARBY => longest,
            false => slowest.saturating_mul(4).max(TURN_BEHIND),
        };
        turn.min(longest)
    }

    /// Records an answer from a hop.
    pub(super) fn note(&mut self, hop_limit: u8, rtt: Duration) {
        self.slowest = self.slowest.max(rtt);
        self.farthest = self.farthest.max(hop_limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_behind_the_last_answer_may_take_as_long_as_an_ocean_does() {
        let ms = Duration::from_millis;
        let mut port = OnePort {
            number: 1,
            target: None,
            slowest: Duration::ZERO,
            farthest: 0,
        };
        let [target, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
        port.turn_to(target);
        assert_eq!(port.turn(1, ms(950)), ms(950));
        port.note(2, ms(10));
        assert_eq!(
            [1, 2, 3].map(|hop| port.turn(hop, ms(950))),
            [150, 150, 950].map(ms)
        );
        port.note(3, ms(100));
        port.turn_to(target);
        assert_eq!(
            [3, 4].map(|hop| port.turn(hop, ms(950))),
            [200, 480].map(ms)
        );
        port.note(4, ms(200));
        assert_eq!(
            [4, 5].map(|hop| port.turn(hop, ms(950))),
            [400, 800].map(ms)
        );
        port.turn_to(other);
        assert_eq!(port.turn(4, ms(950)), ms(950));
    }
}
