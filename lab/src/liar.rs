//! Targets that seem farther away than they are.

use crate::answer::Request;
use crate::host::Target;
use crate::scenario::Liar;

impl Liar {
    /// Whether a host is one of them.
    fn is_at(self, place: u32) -> bool {
        place % self.of < self.hosts
    }

    /// Whether a host keeps silent for a probe, since it wants to seem farther away.
    pub(crate) fn is_mute(self, request: &Request<'_>, target: &Target) -> bool {
        let header = request.header;
        target
            .place(header.ends.destination)
            .is_some_and(|place| self.is_at(place))
            && header.hop_limit < self.says
    }
}
