//! Whether one family gets through: whether its packets leave this machine, and whether answers come in at all.

use crate::health::Health;
use crate::socket::OpenError;
use hopshot_core::Instant;
use rustix::io::Errno;
use std::net::IpAddr;
use std::time::Duration;

/// Many traces hear something more often than this, or nothing gets through.
const SILENCE: Duration = Duration::from_millis(300);

/// For how long it holds what a packet to others has shown.
const SHOWN: Duration = Duration::from_millis(50);

/// What is known of one family.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uplink {
    pub(crate) health: Health,
    /// Whether probes have left from an address that is valid beyond its link.
    had_global_source: bool,
    /// The target of the last packet that has left.
    reached: Option<(IpAddr, u32)>,
    /// When a packet could not be sent last that was no fault of its target's.
    outage: Option<Instant>,
    /// When a packet was sent to others last to see whether it leaves, and whether it did.
    shown: Option<(Instant, bool)>,
    /// When the last answer came.
    heard: Option<Instant>,
    /// Whether silence is taken for an outage: packets leave, and then count for nothing.
    is_cut_off: bool,
    /// When such an outage was over.
    restored: Option<Instant>,
    /// Whether silence was waited out, and is no outage until somebody is heard again.
    is_quiet: bool,
}

impl Uplink {
    /// Judges the address that the kernel would send from. Where the others have gone, IPv6 falls back on one that is valid on
    /// its link only, and whose packets no router may forward (RFC 4291, section 2.5.6): that is no way to the target.
    ///
    /// # Errors
    /// EADDRNOTAVAIL where the source is such a makeshift.
    pub(crate) fn admit(&mut self, source: IpAddr, target: IpAddr) -> Result<IpAddr, OpenError> {
        let is_local = |address| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        if is_local(source) && !is_local(target) && !target.is_multicast() && self.had_global_source {
            return Err(OpenError::Other(Errno::ADDRNOTAVAIL));
        }
        self.had_global_source |= !is_local(source);
        Ok(source)
    }

    /// Records that a packet has left. Returns whether none could before. One to this machine itself says nothing.
    pub(crate) fn sent(&mut self, source: IpAddr, target: IpAddr, scope_id: u32, at: Instant) -> bool {
        if self.is_cut_off || target.is_loopback() || target == source {
            return false;
        }
        self.reached = Some((target, scope_id));
        self.health.succeed(at)
    }

    /// Records that a packet could not be sent, and no other either, as far as is known.
    pub(crate) fn fail(&mut self, at: Instant) {
        self.health.fail(at);
        self.outage = Some(at);
    }

    /// Records whether a packet to others has left.
    pub(crate) const fn show(&mut self, leaves: bool, at: Instant) {
        self.shown = Some((at, leaves));
    }

    /// Returns whether a packet to others has left, if that was seen a moment ago.
    pub(crate) fn showed(&self, now: Instant) -> Option<bool> {
        self.shown.filter(|(at, _)| now.saturating_since(*at) < SHOWN).map(|(_, leaves)| leaves)
    }

    /// Returns whether packets could not be sent, to whomever, since an instant.
    pub(crate) fn had_outage_since(&self, start: Instant) -> bool {
        self.outage.is_some_and(|at| at >= start)
    }

    /// Returns the target of the last packet that has left, and the interface that it belongs to if it is link-local.
    pub(crate) const fn reached(&self) -> Option<(IpAddr, u32)> {
        self.reached
    }

    /// Returns when the last answer came.
    pub(crate) const fn heard(&self) -> Option<Instant> {
        self.heard
    }

    /// Records an answer.
    pub(crate) fn hear(&mut self, at: Instant) {
        self.heard = Some(at);
        self.is_quiet = false;
        if std::mem::take(&mut self.is_cut_off) {
            self.restored = Some(at);
            self.health.succeed(at);
        }
    }

    /// Takes silence for an outage, where it lasts although something was heard before.
    pub(crate) fn suspect(&mut self, now: Instant) {
        if !self.is_quiet && self.heard.is_some_and(|at| now.saturating_since(at) >= SILENCE) {
            self.is_cut_off = true;
            self.health.fail(now);
        }
    }

    /// Returns whether silence is taken for an outage.
    pub(crate) const fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    /// Returns whether there was, or is, such an outage after an instant.
    pub(crate) fn was_cut_off_since(&self, start: Instant) -> bool {
        self.is_cut_off || self.restored.is_some_and(|restored| start < restored)
    }

    /// Takes silence for what it is from now on: nobody answers.
    pub(crate) fn accept_silence(&mut self, now: Instant) {
        (self.is_cut_off, self.is_quiet) = (false, true);
        self.health.succeed(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn silence_is_an_outage_only_after_answers_and_until_the_next() {
        let mut uplink = Uplink::default();
        uplink.suspect(at(5_000));
        assert!(!uplink.is_cut_off(), "nobody was ever heard");
        uplink.hear(at(6_000));
        uplink.suspect(at(6_299));
        assert!(!uplink.is_cut_off());
        uplink.suspect(at(6_300));
        let [source, target] = [[192, 0, 2, 9].into(), [192, 0, 2, 1].into()];
        assert!(
            uplink.is_cut_off()
                && !uplink.sent(source, target, 0, at(6_400))
                && uplink.health.failing_for(at(6_400)).is_some()
        );
        uplink.hear(at(7_000));
        assert!(!uplink.is_cut_off() && uplink.health.failing_for(at(7_000)).is_none());
        assert!(uplink.was_cut_off_since(at(6_999)) && !uplink.was_cut_off_since(at(7_000)));
    }

    #[test]
    fn silence_that_was_waited_out_is_no_outage_until_somebody_is_heard_again() {
        let mut uplink = Uplink::default();
        uplink.hear(at(0));
        uplink.suspect(at(1_000));
        uplink.accept_silence(at(2_000));
        uplink.suspect(at(9_000));
        assert!(!uplink.is_cut_off());
        uplink.hear(at(10_000));
        uplink.suspect(at(11_000));
        assert!(uplink.is_cut_off());
    }

    #[test]
    fn a_packet_to_this_machine_itself_shows_nothing() {
        let [own, other]: [IpAddr; 2] = [[192, 0, 2, 9].into(), [192, 0, 2, 1].into()];
        let mut uplink = Uplink::default();
        uplink.fail(at(1_000));
        assert!(!uplink.sent(own, own, 0, at(2_000)) && !uplink.sent(own, [127, 0, 0, 1].into(), 0, at(2_000)));
        assert!(uplink.sent(own, other, 0, at(3_000)));
        assert!(uplink.had_outage_since(at(1_000)) && !uplink.had_outage_since(at(1_001)));
    }

    #[test]
    fn a_link_local_source_is_a_makeshift_where_there_was_a_better_one() {
        let [local, global]: [IpAddr; 2] = ["fe80::1", "2001:db8::1"].map(|address| address.parse().unwrap());
        let mut uplink = Uplink::default();
        assert_eq!(uplink.admit(local, global), Ok(local), "a neighbour may be reached from it");
        assert_eq!(uplink.admit(global, global), Ok(global));
        assert_eq!(uplink.admit(local, global), Err(OpenError::Other(Errno::ADDRNOTAVAIL)));
        assert_eq!(uplink.admit(local, local), Ok(local));
    }
}
