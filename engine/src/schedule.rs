//! The schedule of a driver's traces: which wants to be polled next, and which have ended, without
//! a look at all of them.

use crate::trace_id::TraceId;
use hopshot_core::Instant;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

/// When each trace wants to be polled.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// By trace; `None` once it has ended.
    due: HashMap<TraceId, Option<Instant>>,
    /// The same in order. What is due has the time [`Instant::EPOCH`], and so stands in front, the
    /// oldest trace first.
    waiting: BTreeSet<(Instant, TraceId)>,
    ended: BTreeSet<TraceId>,
}

impl Schedule {
    /// A trace wants to be polled at an instant, and at no other; never again if that is `None`.
    pub(crate) fn set(&mut self, trace: TraceId, due: Option<Instant>) {
        let before = self.due.insert(trace, due);
        if before == Some(due) {
            return;
        }
        self.forget(trace, before);
        match due {
            Some(due) => self.waiting.insert((due, trace)),
            None => self.ended.insert(trace),
        };
    }

    /// A trace that has not ended wants to be polled now.
    pub(crate) fn hasten(&mut self, trace: TraceId) {
        if let Some(Some(_)) = self.due.get(&trace) {
            self.set(trace, Some(Instant::EPOCH));
        }
    }

    /// Whether a trace has yet to end.
    pub(crate) fn has(&self, trace: TraceId) -> bool {
        self.due.get(&trace).is_some_and(Option::is_some)
    }

    /// A trace is no more.
    pub(crate) fn remove(&mut self, trace: TraceId) {
        let before = self.due.remove(&trace);
        self.forget(trace, before);
    }

    fn forget(&mut self, trace: TraceId, before: Option<Option<Instant>>) {
        match before {
            Some(Some(due)) => self.waiting.remove(&(due, trace)),
            Some(None) => self.ended.remove(&trace),
            None => false,
        };
    }

    /// The oldest trace that is due now, of this one and the younger ones.
    pub(crate) fn due(&mut self, now: Instant, from: TraceId) -> Option<TraceId> {
        let later = (Excluded((Instant::EPOCH, TraceId::LAST)), Unbounded);
        while let Some((due, trace)) = self.waiting.range(later).next().copied()
            && due <= now
        {
            self.set(trace, Some(Instant::EPOCH));
        }
        let next = self
            .waiting
            .range((Instant::EPOCH, from)..=(Instant::EPOCH, TraceId::LAST))
            .next();
        next.map(|(_, trace)| *trace)
    }

    /// When the next trace is due, which may be long ago; `None` if all have ended.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// The oldest trace that has ended.
    pub(crate) fn ended(&self) -> Option<TraceId> {
        self.ended.first().copied()
    }

    /// Ends all.
    pub(crate) fn end(&mut self) {
        self.ended
            .extend(self.waiting.iter().map(|(_, trace)| *trace));
        self.waiting.clear();
        self.due.values_mut().for_each(|due| *due = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(due: &[u64]) -> Schedule {
        let mut schedule = Schedule::default();
        for (trace, due) in (0..).zip(due) {
            schedule.set(TraceId::after(trace), Some(Instant::from_millis(*due)));
        }
        schedule
    }

    /// One round from the oldest to the newest.
    fn round(schedule: &mut Schedule, now: u64) -> Vec<u64> {
        let mut from = TraceId::FIRST;
        std::iter::from_fn(|| {
            let trace = schedule.due(Instant::from_millis(now), from)?;
            from = trace.next();
            Some(trace.age())
        })
        .collect()
    }

    #[test]
    fn what_is_due_comes_by_age_and_the_rest_waits_for_its_time() {
        let mut schedule = schedule(&[30, 20, 10, 40]);
        assert_eq!(schedule.next(), Some(Instant::from_millis(10)));
        assert_eq!(round(&mut schedule, 9), [0_u64; 0]);
        assert_eq!(round(&mut schedule, 30), [0, 1, 2]);
        for trace in [0, 1, 2] {
            schedule.set(TraceId::after(trace), Some(Instant::from_millis(50)));
        }
        assert_eq!(schedule.next(), Some(Instant::from_millis(40)));
    }

    #[test]
    fn an_answer_hastens_a_trace_unless_it_has_ended() {
        let mut schedule = schedule(&[30, 20]);
        schedule.set(TraceId::after(1), None);
        schedule.hasten(TraceId::after(0));
        schedule.hasten(TraceId::after(1));
        schedule.hasten(TraceId::after(7));
        assert_eq!(
            (round(&mut schedule, 1), schedule.ended()),
            (vec![0], Some(TraceId::after(1)))
        );
    }

    #[test]
    fn traces_that_have_ended_are_found_by_age_until_they_are_removed() {
        let mut schedule = schedule(&[30, 20, 10]);
        assert_eq!(schedule.ended(), None);
        schedule.set(TraceId::after(2), None);
        assert_eq!(schedule.ended(), Some(TraceId::after(2)));
        schedule.end();
        assert_eq!(
            (schedule.next(), schedule.ended()),
            (None, Some(TraceId::FIRST))
        );
        (0..3).for_each(|trace| schedule.remove(TraceId::after(trace)));
        assert_eq!((schedule.next(), schedule.ended()), (None, None));
    }
}
