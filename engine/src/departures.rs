//! Departures of probes, by the kernel's word: it gives a number back that goes with each.

use crate::link::{Clock, Link};
use crate::running::Running;
use crate::trace_id::TraceId;
use hopshot_core::ProbeId;
use std::collections::BTreeMap;

/// Corrects when probes left by what the kernel says, if it was asked to say so. `next` is the
/// handle of the next trace.
pub(crate) fn correct_departures<L: Link>(
    link: &mut L,
    port: usize,
    traces: &mut BTreeMap<TraceId, Running>,
    next: TraceId,
) {
    while let Some((tag, at)) = link.departed(port) {
        let (id, probe) = tagged(tag, next);
        if let Some(trace) = traces.get_mut(&id) {
            trace.tracer.sent(probe, at);
            trace.clocks.entry(probe).or_default().sent = Clock::Kernel;
        }
    }
}

/// A probe as a number: half for the trace, modulo 2¹⁶, a quarter each for hop and attempt.
pub(crate) fn tag(id: TraceId, probe: ProbeId) -> u32 {
    let [.., high, low] = id.age().to_be_bytes();
    u32::from_be_bytes([high, low, probe.hop, probe.attempt])
}

/// Whether a tag is that of a probe of this trace, or of one that was added 2¹⁶ traces before.
pub(crate) fn is_of(tag: u32, id: TraceId) -> bool {
    u64::from(tag >> 16) == id.age() & 0xffff
}

/// Reads what [`tag`] writes: the trace is the youngest before `next` that it can stand for.
fn tagged(tag: u32, next: TraceId) -> (TraceId, ProbeId) {
    let [high, low, hop, attempt] = tag.to_be_bytes();
    let last = next.age().wrapping_sub(1);
    let back = last.wrapping_sub(u16::from_be_bytes([high, low]).into()) & 0xffff;
    let id = TraceId::after(last.wrapping_sub(back));
    (id, ProbeId { hop, attempt })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_stands_for_the_latest_trace_that_it_can() {
        let probe = ProbeId {
            hop: 12,
            attempt: 3,
        };
        for number in [0, 1, 65_535, 65_536, 70_000, 1_000_000] {
            for younger in [0, 1, 65_535] {
                let (id, next) = (TraceId::after(number), TraceId::after(number + younger + 1));
                assert_eq!(tagged(tag(id, probe), next), (id, probe));
                assert!(is_of(tag(id, probe), id) && !is_of(tag(id, probe), id.next()));
            }
        }
    }
}
