//! Who is who among the traces of a driver: an answer says which ident and seq it is about.
//!
//! Where the ident is ours to choose, every trace has one of its own. A ping socket has one for all; there each trace has a
//! stretch of seqs of its own.

use crate::running::CAPACITY;
use hopshot_core::{Answer, Config};
use std::collections::HashMap;

/// With more idents than this no answer is looked for among the traces of others: the core would have to judge it for each.
const MOST_SEARCHED: usize = 32;

/// The identities that are in use.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    by_ident: HashMap<u16, Vec<Stretch>>,
    /// Where the stretches of a shared ident are counted from: random, as the first trace's seqs were.
    base: Option<u16>,
}

/// The seqs that a trace may use.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    trace: usize,
    first: u16,
    len: u16,
}

impl Stretch {
    const fn contains(&self, seq: u16) -> bool {
        seq.wrapping_sub(self.first) < self.len
    }

    const fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }
}

impl Identities {
    /// An ident and a first seq for a trace: those that it wants, or others if those are in use. `ident` is given where it
    /// can't be chosen. `None` if all are in use.
    pub(crate) fn take(&mut self, trace: usize, config: &Config, ident: Option<u16>) -> Option<(u16, u16)> {
        let len = span(config);
        let (ident, first) = match ident {
            None => {
                let free = |ident: &u16| !self.by_ident.contains_key(ident);
                let wanted = (0..=u16::MAX).map(|more| config.ident.wrapping_add(more)).find(free)?;
                (wanted, config.first_seq)
            }
            Some(ident) => {
                let taken = self.by_ident.get(&ident).map_or(&[][..], Vec::as_slice);
                // Side by side, so that none is left too small; the search begins where the chance is best.
                let base = *self.base.get_or_insert(config.first_seq);
                let places = places(config);
                let begin = u16::try_from(trace % usize::from(places)).unwrap_or(0);
                let mut firsts = (0..places).map(|more| {
                    let place = (u32::from(begin) + u32::from(more)) % u32::from(places);
                    base.wrapping_add(u16::try_from(place).unwrap_or(0).wrapping_mul(len))
                });
                let free = |first: &u16| {
                    let wanted = Stretch { trace, first: *first, len };
                    !taken.iter().any(|stretch| stretch.overlaps(&wanted))
                };
                (ident, firsts.find(free)?)
            }
        };
        self.by_ident.entry(ident).or_default().push(Stretch { trace, first, len });
        Some((ident, first))
    }

    /// A trace needs its identity no more.
    pub(crate) fn give_back(&mut self, trace: usize, ident: u16) {
        if let Some(stretches) = self.by_ident.get_mut(&ident) {
            stretches.retain(|stretch| stretch.trace != trace);
            if stretches.is_empty() {
                self.by_ident.remove(&ident);
            }
        }
    }

    /// The traces that an answer may belong to.
    pub(crate) fn whose(&self, answer: &Answer<'_>) -> impl Iterator<Item = usize> + use<'_> {
        let seq = answer.echo.seq;
        let owners = self.by_ident.get(&answer.echo.ident);
        // A translator may have changed the ident; the cookie tells.
        let is_searched = owners.is_none() && self.by_ident.len() <= MOST_SEARCHED;
        let all = is_searched.then(|| self.by_ident.values());
        let stretches = owners.into_iter().chain(all.into_iter().flatten()).flatten();
        stretches.filter(move |stretch| stretch.contains(seq)).map(|stretch| stretch.trace)
    }
}

/// How many traces with these parameters can be told apart, where `ident` is given or not.
pub(crate) fn capacity(config: &Config, ident: Option<u16>) -> usize {
    match ident {
        None => usize::from(u16::MAX) + 1,
        Some(_) => places(config).into(),
    }
}

fn places(config: &Config) -> u16 {
    u16::MAX / span(config)
}

/// The seqs that a trace with these parameters may come to use: each hop's attempts and retries, and two more where the target
/// may hide.
fn span(config: &Config) -> u16 {
    let each = u16::from(config.attempts) + u16::from(config.retries) + 2;
    let most = u16::try_from(CAPACITY).unwrap_or(u16::MAX);
    (u16::from(config.max_hops) * each).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopshot_core::wire::icmp::Echo;
    use hopshot_core::{Instant, Kind};

    fn config(ident: u16, first_seq: u16) -> Config {
        Config { ident, first_seq, ..Config::new([192, 0, 2, 1].into(), 0) }
    }

    fn answer(ident: u16, seq: u16) -> Answer<'static> {
        Answer {
            from: [192, 0, 2, 1].into(),
            hop_limit: None,
            kind: Kind::EchoReply,
            icmp_type: 0,
            icmp_code: 0,
            mtu: None,
            echo: Echo { ident, seq, payload: &[] },
            quoted: None,
            extensions: hopshot_core::wire::extensions::Extensions::default(),
        }
    }

    /// In the order of age.
    fn whose(identities: &Identities, ident: u16, seq: u16) -> Vec<usize> {
        let mut traces: Vec<usize> = identities.whose(&answer(ident, seq)).collect();
        traces.sort_unstable();
        traces
    }

    #[test]
    fn traces_that_may_choose_get_idents_of_their_own_and_an_answer_finds_its_trace() {
        let mut identities = Identities::default();
        assert_eq!(identities.take(0, &config(65_535, 7), None), Some((65_535, 7)));
        assert_eq!(identities.take(1, &config(65_535, 9), None), Some((0, 9)));
        assert_eq!(whose(&identities, 65_535, 8), [0]);
        assert_eq!(whose(&identities, 0, 9), [1]);
        assert_eq!(whose(&identities, 0, 8), [0_usize; 0]);
        // An ident that nobody has may have been another one on its way.
        assert_eq!(whose(&identities, 5, 9), [0, 1]);
        identities.give_back(0, 65_535);
        assert_eq!(identities.take(2, &config(65_535, 7), None), Some((65_535, 7)));
    }

    #[test]
    fn traces_that_share_an_ident_fill_its_seqs_without_overlapping_and_each_place_can_be_used_again() {
        let mut identities = Identities::default();
        let wanted = config(1, 60_000);
        let capacity = capacity(&wanted, Some(77));
        assert!(capacity > 300, "{capacity}");
        let mut firsts = Vec::new();
        for trace in 0..capacity {
            let (ident, first) = identities.take(trace, &wanted, Some(77)).unwrap();
            assert_eq!(ident, 77);
            for seq in [first, first.wrapping_add(span(&wanted) - 1)] {
                assert_eq!(whose(&identities, 77, seq), [trace]);
            }
            firsts.push(first);
        }
        assert_eq!(identities.take(capacity, &wanted, Some(77)), None);
        for freed in [0, capacity / 2, capacity - 1] {
            identities.give_back(freed, 77);
            assert_eq!(identities.take(capacity + freed, &wanted, Some(77)), Some((77, firsts[freed])));
        }
    }

    #[test]
    fn no_trace_sends_more_probes_than_it_has_seqs() {
        // A path on which every hop below the last is silent gets all the retries that there are.
        let config = Config { attempts: 3, max_hops: 20, ..config(1, 0) };
        let mut tracer = hopshot_core::Tracer::<CAPACITY>::new(config).unwrap();
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
