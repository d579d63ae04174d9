//! When probes left, by the kernel's word: it gives a number back that goes with each.

use crate::link::{Clock, Link};
use crate::running::Running;
use hopshot_core::ProbeId;
use std::collections::BTreeMap;

/// Corrects when probes left by what the kernel says, if it was asked to say so. `added` traces
/// were ever added.
pub(crate) fn settle<L: Link>(
    link: &mut L,
    port: usize,
    traces: &mut BTreeMap<usize, Running>,
    added: usize,
) {
    while let Some((tag, at)) = link.departed(port) {
        let (number, probe) = tagged(tag, added);
        if let Some(trace) = traces.get_mut(&number) {
            trace.tracer.sent(probe, at);
            trace.clocks.entry(probe).or_default().sent = Clock::Kernel;
        }
    }
}

/// A probe as a number: half for the trace, modulo 2¹⁶, a quarter each for hop and attempt.
pub(crate) fn tag(number: usize, probe: ProbeId) -> u32 {
    let [.., high, low] = number.to_be_bytes();
    u32::from_be_bytes([high, low, probe.hop, probe.attempt])
}

/// Reads what [`tag`] writes: the number is the highest below `added` that it can stand for.
fn tagged(tag: u32, added: usize) -> (usize, ProbeId) {
    let [high, low, hop, attempt] = tag.to_be_bytes();
    let last = added.wrapping_sub(1);
    let back = last.wrapping_sub(u16::from_be_bytes([high, low]).into()) & 0xffff;
    (last.wrapping_sub(back), ProbeId { hop, attempt })
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
                assert_eq!(
                    tagged(tag(number, probe), number + younger + 1),
                    (number, probe)
                );
            }
        }
    }
}
