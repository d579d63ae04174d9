//! Knocks: where each probe past the end is a connection to somebody's server, one probe finds out
//! about how far away the target is, so that few of the others go past it.
//!
//! A knock is a trace of one probe, sent as far as its parent may go, from a port of its own: of two
//! SYNs on one flow the target answers only the first. The hop limit of the answer tells the
//! distance on the way back.

use super::Driver;
use crate::link::Link;
use crate::running::{Endurance, Running};
use crate::schedule::Schedule;
use crate::trace_id::TraceId;
use hopshot_core::{Config, Evidence, Kind, Reply};
use std::collections::BTreeMap;

impl<L: Link> Driver<L> {
    /// Knocks at the target of a trace that has just been added. Without it the trace takes longer.
    pub(crate) fn knock(&mut self, id: TraceId) {
        let Some(trace) = self.traces.get(&id) else {
            return;
        };
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
        }
    }

    /// Waits no longer for the answer to a trace's knock.
    pub(super) fn end_knock(&mut self, parent: TraceId) {
        let knock = self.knocks.iter().find(|(_, of)| **of == parent);
        let Some(knock) = knock.map(|(knock, _)| *knock) else {
            return;
        };
        self.knocks.remove(&knock);
        let has_left = self.forget(knock).is_some_and(|knock| knock.left.is_some());
        if let Some(trace) = self.traces.get_mut(&parent) {
            trace.reasons.knocks += usize::from(has_left);
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
        trace.knock = Some(*reply);
        // A hop limit that suggests more is that of a system which begins with another one.
        if let Some(hops) = reply.hops_back().filter(|hops| *hops <= FARTHEST) {
            trace.tracer.expect(hops);
        }
        schedule.hasten(*parent);
    }
    schedule.hasten(id);
}
