//! Knocks: where each probe past the end is a connection to somebody's server, one probe finds out
//! about how far away the target is, so that few of the others go past it.
//!
//! A knock is a trace of one probe, sent as far as its parent may go, from a port of its own: of
//! two SYNs on one flow the target answers only the first. The hop limit of the answer tells the
//! distance on the way back. A trace knocks when it begins, unless it knows how far away the target
//! is, and once more when everything is silent: a SYN may have been lost, or the target have moved.

use super::Driver;
use crate::link::Link;
use crate::running::{Endurance, Running};
use crate::schedule::Schedule;
use crate::trace_id::TraceId;
use hopshot_core::{Config, Evidence, Kind, Reply};
use std::collections::BTreeMap;

impl<L: Link> Driver<L> {
    /// Permits a trace that has just been added to knock: at once if nothing is known of its
    /// target, and once more if everything is silent then.
    pub(crate) fn permit_knocks(&mut self, id: TraceId, at_once: bool) {
        if let Some(trace) = self.traces.get_mut(&id) {
            trace.knocks.left = 1 + u8::from(at_once);
        }
        if at_once {
            self.knock(id);
        }
    }

    /// Knocks at the target of a trace. Without it the trace takes longer, or misses a target
    /// behind a few silent hops.
    pub(super) fn knock(&mut self, id: TraceId) {
        let Some(trace) = self.traces.get_mut(&id) else {
            return;
        };
        trace.knocks.left = trace.knocks.left.saturating_sub(1);
        let (config, scope_id, family) = (trace.tracer.config(), trace.scope_id, trace.family());
        let far = Config {
            first_hop: config.max_hops,
            attempts: 1,
            retries: 0,
            sweep: None,
            ..*config
        };
        let Ok(random) = self.link.random() else {
            return;
        };
        let probes = self.protocol.probes(random);
        if let Ok(Some((knock, _))) = self.add(far, probes, scope_id, None, Endurance::Queue, true)
        {
            self.knocks.insert(knock, id);
            *self.own.get_mut(family) -= 1;
            if let Some(trace) = self.traces.get_mut(&id) {
                trace.knocks.made.push(knock);
            }
        }
    }

    /// Waits no longer for answers to a trace's knocks.
    pub(super) fn end_knocks(&mut self, parent: TraceId) {
        let Some(trace) = self.traces.get_mut(&parent) else {
            return;
        };
        let made = std::mem::take(&mut trace.knocks.made);
        let mut left = 0;
        for knock in made {
            self.knocks.remove(&knock);
            let knock = self.forget(knock);
            left += usize::from(knock.is_some_and(|knock| knock.left.is_some()));
        }
        if let Some(trace) = self.traces.get_mut(&parent) {
            trace.reasons.knocks += left;
        }
    }
}

/// Hardly a path is longer.
const FARTHEST: u8 = 30;

/// Takes an answer to a knock: its trace goes as far at once as the target seems to be
/// away.
pub(super) fn take(
    knocks: &BTreeMap<TraceId, TraceId>,
    traces: &mut BTreeMap<TraceId, Running>,
    schedule: &mut Schedule,
    id: TraceId,
    reply: &Reply,
) {
    let Some(parent) = knocks.get(&id) else {
        return;
    };
    let is_targets = reply.kind == Kind::Reply && reply.evidence() == Evidence::Strong;
    if let Some(trace) = traces.get_mut(parent).filter(|_| is_targets) {
        trace.knocks.answer = Some(*reply);
        trace.note_answer(reply);
        // A hop limit that suggests more is that of a system which begins with another one.
        if let Some(hops) = reply.hops_back().filter(|hops| *hops <= FARTHEST) {
            trace.tracer.expect(hops);
        }
        schedule.hasten(*parent);
    }
    schedule.hasten(id);
}
