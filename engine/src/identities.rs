//! Identities of the traces of a driver: an answer says which ident and seq it is about.
//!
//! Where the ident is ours to choose, every trace has one of its own. A ping socket has one for
//! all; there each trace has a stretch of seqs of its own, at a random place: the host of one trace
//! knows where that is, and of the others nothing.

use crate::protocol::Key;
use crate::storage::CAPACITY;
use crate::trace_id::TraceId;
use hopshot_core::Config;
use std::collections::{HashMap, VecDeque};

/// With more idents than this no answer is looked for among the traces of others: the core would
/// have to judge it for each.
const MOST_SEARCHED: usize = 32;

/// Identities of one trace each whose seqs are remembered when they were given back: more than
/// there are places for the rounds of a watch, so that these use all seqs before one comes again.
const MOST_RESTED: usize = 256;

/// The identities that are in use.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    /// Those of one trace each.
    own: HashMap<u16, Stretch>,
    /// Those that were given back last, the oldest first. The next trace with the same ident, as
    /// in a watch, takes other seqs: a late answer to the last one's probes would look like
    /// one to its own.
    rested: VecDeque<(u16, Stretch)>,
    shared: HashMap<u16, Seqs>,
    /// The bits by which the source ports of one trace differ.
    ports: u16,
}

/// The seqs of an ident that traces share.
#[derive(Debug, Default)]
struct Seqs {
    taken: Vec<Stretch>,
    /// Those that were given back, the oldest first. They aren't taken again while there are
    /// others: errors about their probes may still come.
    rested: VecDeque<Stretch>,
}

/// The seqs that a trace may use.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    trace: TraceId,
    first: u16,
    len: u16,
}

impl Stretch {
    fn has(&self, seq: Option<u16>) -> bool {
        seq.is_none_or(|seq| self.contains(seq))
    }

    const fn contains(&self, seq: u16) -> bool {
        seq.wrapping_sub(self.first) < self.len
    }

    const fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }
}

impl Seqs {
    /// Takes a stretch for a trace: where it wants to begin, or else elsewhere. `None` if it
    /// doesn't fit.
    fn take(&mut self, trace: TraceId, wanted: u16, len: u16) -> Option<u16> {
        /// From one place that is tried to the next: the golden ratio, so that they spread, and
        /// odd, so that all get their turn.
        const STRIDE: u16 = 0x9e37;
        loop {
            let mut firsts =
                (0..=u16::MAX).map(|more| wanted.wrapping_add(more.wrapping_mul(STRIDE)));
            // With fewer than that there is always a place; with more, looking for one could take
            // long.
            let is_roomy = self.taken.len() + self.rested.len() < places(len);
            if is_roomy
                && let Some(first) = firsts.find(|first| {
                    self.is_free(&Stretch {
                        trace,
                        first: *first,
                        len,
                    })
                })
            {
                self.taken.push(Stretch { trace, first, len });
                return Some(first);
            }
            self.rested.pop_front()?;
        }
    }

    fn is_free(&self, wanted: &Stretch) -> bool {
        !self
            .taken
            .iter()
            .chain(&self.rested)
            .any(|stretch| stretch.overlaps(wanted))
    }

    fn give_back(&mut self, trace: TraceId) {
        if let Some(place) = self.taken.iter().position(|stretch| stretch.trace == trace) {
            self.rested.push_back(self.taken.swap_remove(place));
        }
    }
}

impl Identities {
    /// The identities of traces that have so many source ports each: a power of two, in a row.
    pub(crate) fn new(ports: u16) -> Self {
        Self {
            ports: ports.saturating_sub(1),
            ..Self::default()
        }
    }

    /// How many traces with these parameters can be told apart, where `ident` is given or not.
    pub(crate) fn capacity(&self, config: &Config, ident: Option<u16>) -> usize {
        match (ident, self.ports) {
            (None, 0) => usize::from(u16::MAX) + 1,
            // Of the upper half of all source ports, with a knock for each trace.
            (None, ports) => (usize::from(u16::MAX / 2) + 1) / usize::from(ports + 1) / 2,
            (Some(_), _) => places(span(config)),
        }
    }

    /// The source port that stands for all of a trace's.
    const fn first_port(&self, port: u16) -> u16 {
        port & !self.ports
    }

    /// The key of the first probe of a trace: the one that it wants, or another if that is in use.
    /// `ident` is given where it can't be chosen. `None` if all are in use.
    pub(crate) fn take(
        &mut self,
        trace: TraceId,
        config: &Config,
        wanted: Key,
        ident: Option<u16>,
    ) -> Option<Key> {
        let len = span(config);
        if let (Some(ident), None) = (ident, wanted.seq) {
            let first = 0;
            let is_free = !self.own.contains_key(&ident);
            return is_free.then(|| {
                self.own.insert(ident, Stretch { trace, first, len });
                Key { ident, seq: None }
            });
        }
        if let Some(ident) = ident {
            return self
                .shared
                .entry(ident)
                .or_default()
                .take(trace, wanted.seq?, len)
                .map(|seq| Key {
                    ident,
                    seq: Some(seq),
                });
        }
        let is_free = |ident: &u16| {
            !self.own.contains_key(&self.first_port(*ident)) && !self.shared.contains_key(ident)
        };
        let ident = (0..=u16::MAX / (self.ports + 1))
            .map(|more| more * (self.ports + 1))
            .map(|more| match wanted.seq {
                Some(_) => wanted.ident.wrapping_add(more),
                // Source ports stay in the half that they begin in.
                None => wanted.ident & 0x8000 | wanted.ident.wrapping_add(more) & 0x7fff,
            })
            .filter(|ident| *ident != 0 || wanted.seq.is_some())
            .find(is_free)?;
        let Some(seq) = wanted.seq else {
            let (first, port) = (0, self.first_port(ident));
            self.own.insert(port, Stretch { trace, first, len });
            return Some(Key { ident, seq: None });
        };
        let rested = self
            .rested
            .iter()
            .filter(|(rested, _)| *rested == ident)
            .map(|(_, stretch)| *stretch)
            .collect();
        let first = Seqs {
            taken: Vec::new(),
            rested,
        }
        .take(trace, seq, len)?;
        self.own.insert(ident, Stretch { trace, first, len });
        Some(Key {
            ident,
            seq: Some(first),
        })
    }

    /// Whether a trace has this ident.
    pub(crate) fn has(&self, ident: u16) -> bool {
        self.own.contains_key(&self.first_port(ident))
    }

    /// A trace needs its identity no more.
    pub(crate) fn give_back(&mut self, trace: TraceId, ident: u16) {
        let ident = self.first_port(ident);
        match self.shared.get_mut(&ident) {
            Some(seqs) => seqs.give_back(trace),
            None => {
                self.rested
                    .extend(self.own.remove(&ident).map(|stretch| (ident, stretch)));
                let old = self.rested.len().saturating_sub(MOST_RESTED);
                self.rested.drain(..old);
            }
        }
    }

    /// The traces that an answer with this key may belong to.
    pub(crate) fn whose(&self, Key { ident, seq }: Key) -> impl Iterator<Item = TraceId> + use<'_> {
        let owner = self.own.get(&self.first_port(ident));
        let sharing = self.shared.get(&ident);
        // A translator may have changed the ident; the cookie tells. The kernel gives a ping socket
        // no such answer.
        let is_searched = owner.is_none() && sharing.is_none() && self.own.len() <= MOST_SEARCHED;
        let all = is_searched.then(|| self.own.values());
        let sharing = sharing.into_iter().flat_map(|seqs| &seqs.taken);
        let stretches = owner
            .into_iter()
            .chain(sharing)
            .chain(all.into_iter().flatten());
        stretches
            .filter(move |stretch| stretch.has(seq))
            .map(|stretch| stretch.trace)
    }
}

/// How many stretches of this length find a place among the seqs of an ident wherever the others
/// are: between two that are too close for one more there are `len - 1` seqs at most.
fn places(len: u16) -> usize {
    (usize::from(u16::MAX) + 1) / (2 * usize::from(len) - 1)
}

/// The seqs that a trace with these parameters may come to use: each hop's attempts and retries,
/// and two more where the target may hide.
fn span(config: &Config) -> u16 {
    let each = u16::from(config.attempts) + u16::from(config.retries) + 2;
    let most = u16::try_from(CAPACITY).unwrap_or(u16::MAX);
    let hops = config.max_hops.saturating_sub(config.first_hop) + 1;
    (u16::from(hops) * each).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ProbeProtocol;
    use hopshot_core::Instant;
    use std::net::{IpAddr, Ipv4Addr};

    const CONFIG: Config = Config::new(IpAddr::V4(Ipv4Addr::LOCALHOST));

    const fn key(ident: u16, seq: u16) -> Key {
        Key {
            ident,
            seq: Some(seq),
        }
    }

    /// In the order of age.
    fn whose(identities: &Identities, ident: u16, seq: u16) -> Vec<usize> {
        let ids = identities.whose(key(ident, seq));
        let mut traces: Vec<usize> = ids.map(|id| id.age() as usize).collect();
        traces.sort_unstable();
        traces
    }

    fn id(trace: usize) -> TraceId {
        TraceId::after(trace as u64)
    }

    #[test]
    fn traces_that_may_choose_get_idents_of_their_own_and_an_answer_finds_its_trace() {
        let mut identities = Identities::default();
        assert_eq!(
            identities.take(id(0), &CONFIG, key(65_535, 7), None),
            Some(key(65_535, 7))
        );
        assert_eq!(
            identities.take(id(1), &CONFIG, key(65_535, 9), None),
            Some(key(0, 9))
        );
        assert_eq!(whose(&identities, 65_535, 8), [0]);
        assert_eq!(whose(&identities, 0, 9), [1]);
        assert_eq!(whose(&identities, 0, 8), [0_usize; 0]);
        // An ident that nobody has may have been another one on its way.
        assert_eq!(whose(&identities, 5, 9), [0, 1]);
        identities.give_back(id(0), 65_535);
        assert_eq!(
            identities
                .take(id(2), &CONFIG, key(65_535, 7), None)
                .map(|first| first.ident),
            Some(65_535)
        );
    }

    #[test]
    fn all_source_ports_of_a_trace_are_its_own() {
        let port = |ident| Key { ident, seq: None };
        let mut identities = Identities::new(32);
        let capacity = identities.capacity(&CONFIG, None);
        assert_eq!(capacity, 512);
        let mut firsts = Vec::new();
        // Each with one beside it, which asks how far its target is.
        for trace in 0..2 * capacity {
            let taken = identities.take(id(trace), &CONFIG, port(0xc0de), None);
            firsts.push(taken.unwrap().ident);
        }
        assert_eq!(firsts[0], 0xc0de, "as it was wanted");
        let more = identities.take(id(2 * capacity), &CONFIG, port(0xc0de), None);
        assert_eq!(more, None);
        for (trace, first) in firsts.iter().enumerate() {
            assert!(first & 0x8000 != 0);
            for ident in (0..32).map(|other| first ^ other) {
                let owners: Vec<_> = identities.whose(port(ident)).collect();
                assert_eq!(owners, [id(trace)]);
                assert!(identities.has(ident));
            }
        }
        identities.give_back(id(0), firsts[0]);
        assert!(!identities.has(0xc0df));
    }

    fn parts(key: Option<Key>) -> (u16, u16) {
        let Key { ident, seq } = key.unwrap();
        (ident, seq.unwrap())
    }

    /// As of a source of randomness, but the same each time: a linear congruential generator (D. E.
    /// Knuth, MMIX).
    fn random_seqs(seed: u64) -> impl Iterator<Item = u16> {
        let next = |state: &u64| {
            Some(
                state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407),
            )
        };
        std::iter::successors(Some(seed), next).map(|state| (state >> 48) as u16)
    }

    #[test]
    fn traces_that_share_an_ident_never_overlap_and_as_many_fit_as_is_said_wherever_they_want_to_be()
     {
        let wishes: [Box<dyn Iterator<Item = u16>>; 3] = [
            Box::new(random_seqs(1)),
            Box::new(std::iter::repeat(60_000)),
            Box::new((0..).step_by(319)),
        ];
        for wishes in wishes {
            let mut identities = Identities::default();
            let capacity = identities.capacity(&CONFIG, Some(77));
            assert!(capacity > 200, "{capacity}");
            let mut firsts = Vec::new();
            for (trace, wish) in (0..capacity).zip(wishes) {
                let taken = identities.take(id(trace), &CONFIG, key(1, wish), Some(77));
                let (ident, first) = parts(taken);
                assert_eq!(ident, 77);
                firsts.push(first);
            }
            assert_eq!(
                identities.take(id(capacity), &CONFIG, key(1, 0), Some(77)),
                None
            );
            for (trace, first) in firsts.into_iter().enumerate() {
                for seq in [first, first.wrapping_add(span(&CONFIG) - 1)] {
                    assert_eq!(whose(&identities, 77, seq), [trace]);
                }
            }
            for freed in [0, capacity / 2, capacity - 1] {
                identities.give_back(id(freed), 77);
                assert!(
                    identities
                        .take(id(capacity + freed), &CONFIG, key(1, 0), Some(77))
                        .is_some()
                );
            }
        }
    }

    #[test]
    fn a_stretch_begins_where_it_is_wanted_and_is_not_used_again_soon() {
        let mut identities = Identities::default();
        let (seqs, others) = (
            random_seqs(2),
            Identities::default().capacity(&CONFIG, Some(77)) - 1,
        );
        assert_eq!(
            identities.take(id(0), &CONFIG, key(1, 60_000), Some(77)),
            Some(key(77, 60_000))
        );
        identities.give_back(id(0), 77);
        assert_eq!(whose(&identities, 77, 60_000), [0_usize; 0]);
        // One trace after the other, each of which wants to be there too.
        for (trace, seq) in (1..=others).zip(seqs) {
            let wanted = if trace % 2 == 0 { seq } else { 60_000 };
            let taken = identities.take(id(trace), &CONFIG, key(1, wanted), Some(77));
            let (_, first) = parts(taken);
            let distance = first
                .wrapping_sub(60_000)
                .min(60_000_u16.wrapping_sub(first));
            assert!(distance >= span(&CONFIG), "trace {trace} at {first}");
            identities.give_back(id(trace), 77);
        }
        assert_eq!(
            identities.take(id(others + 1), &CONFIG, key(1, 60_000), Some(77)),
            Some(key(77, 60_000))
        );
    }

    #[test]
    fn traces_with_one_ident_one_after_the_other_have_no_seq_in_common_whether_they_may_choose_it_or_not()
     {
        // As the rounds of a watch, all with one checksum: late answers to one round are none to
        // the next.
        for given in [None, Some(77)] {
            for wishes in [
                vec![100; 40],
                vec![100, 130, 65_530, 5],
                (0..300).map(|round| round * 7).collect(),
            ] {
                let mut identities = Identities::default();
                let mut before: VecDeque<Stretch> = VecDeque::new();
                for (trace, wish) in wishes.into_iter().enumerate() {
                    let taken = identities.take(id(trace), &CONFIG, key(77, wish), given);
                    let (ident, first) = parts(taken);
                    assert_eq!(ident, 77);
                    let stretch = Stretch {
                        trace: id(trace),
                        first,
                        len: span(&CONFIG),
                    };
                    assert!(
                        !before.iter().any(|other| other.overlaps(&stretch)),
                        "{given:?}: {stretch:?} {before:?}"
                    );
                    assert_eq!(whose(&identities, 77, first), [trace]);
                    identities.give_back(id(trace), 77);
                    before.push_back(stretch);
                    before.drain(..before.len().saturating_sub(128));
                }
                assert!(identities.rested.len() <= MOST_RESTED);
            }
        }
    }

    #[test]
    fn an_ident_that_traces_share_is_no_choice_for_others() {
        let mut identities = Identities::default();
        identities
            .take(id(0), &CONFIG, key(1, 5), Some(77))
            .unwrap();
        assert_eq!(
            identities.take(id(1), &CONFIG, key(77, 5), None),
            Some(key(78, 5))
        );
        assert_eq!(
            (whose(&identities, 77, 5), whose(&identities, 78, 5)),
            (vec![0], vec![1])
        );
    }

    #[test]
    fn no_trace_sends_more_probes_than_it_has_seqs() {
        // A path on which every hop below the last is silent gets all the retries that there are.
        let config = Config {
            attempts: 3,
            max_hops: 20,
            ..CONFIG
        };
        let mut tracer =
            hopshot_core::Tracer::<CAPACITY, _>::new(config, ProbeProtocol::Icmp.probes(0))
                .unwrap();
        let (mut now, mut buf, mut sent) = (Instant::EPOCH, [0; 64], 0);
        loop {
            match tracer.poll(now, &mut buf).unwrap() {
                hopshot_core::Action::Transmit(_) => sent += 1,
                hopshot_core::Action::Wait(until) => now = until,
                hopshot_core::Action::Done => break,
            }
        }
        assert!(sent <= span(&config), "{sent} of {}", span(&config));
    }
}
