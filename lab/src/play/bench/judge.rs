//! What a tool found and what it cost, held against the truth.

use super::formats::{Found, State};
use core::time::Duration;
use hopshot_core::wire::AddressFamily;
use hopshot_lab::log::{Event, Exit, Probe};
use hopshot_lab::{End, Internet, Protocol, Scenario, Truth};
use std::net::IpAddr;

/// A path to trace, with all that is true of it.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// What it is called in the report.
    pub(super) name: String,
    /// What `hopshot-lab run` is told.
    pub(super) argument: String,
    /// What is special here.
    pub(super) about: String,
    scenario: Scenario,
    truth: Truth,
}

/// One trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trace {
    /// From the start of the command to its end.
    pub(super) wall: Duration,
    /// From the start of the command to its first probe.
    pub(super) start_up: Duration,
    /// From the arrival of the target's answer at its own distance to the end of the command, if
    /// there is such an answer.
    pub(super) after: Option<Duration>,
    /// The RTT of the slowest answer on the path: no tool can know the whole path sooner.
    pub(super) limit: Duration,
    /// Probes sent.
    pub(super) sent: usize,
    /// Probes sent farther than the path's end.
    pub(super) past: usize,
    /// The path's length, as these probes took it.
    pub(super) hops: usize,
    /// Hops told as they are, silent ones included.
    pub(super) right: usize,
    /// Hops with an address that isn't there, the end told too far away among them.
    pub(super) wrong: usize,
    /// Whether anybody stands where the target answers.
    pub(super) reached: bool,
    /// The state of the target's port, if it is told.
    pub(super) state: Option<State>,
    /// Rows past the path's end.
    pub(super) rows_past_end: usize,
    /// Links between neighbours that no packet can take.
    pub(super) false_links: usize,
    /// Processor time.
    pub(super) cpu: Duration,
    /// Greatest resident memory, in octets.
    pub(super) memory: u64,
    /// The exit status.
    pub(super) status: u8,
}

impl Trace {
    /// Whether every hop is told as it is, and nothing else.
    pub(super) const fn is_right(&self) -> bool {
        self.right == self.hops && self.wrong == 0
    }

    /// The time over the limit.
    pub(super) fn ratio(&self) -> f64 {
        self.wall.as_secs_f64() / self.limit.as_secs_f64()
    }
}

impl Path {
    /// The path of a scenario.
    pub(super) fn new(
        name: &str,
        argument: String,
        scenario: Scenario,
        family: AddressFamily,
    ) -> Self {
        let truth = Internet::new(&scenario, 0).truth(family);
        Self {
            name: name.to_owned(),
            argument,
            about: scenario.about.clone(),
            scenario,
            truth,
        }
    }

    /// The same, as probes of a protocol to a port find it.
    pub(super) fn by(mut self, family: AddressFamily, protocol: Protocol, port: u16) -> Self {
        self.truth = Internet::new(&self.scenario, 0).truth_to(family, protocol, port);
        self
    }

    /// How far one of its ways goes before it ends, or before it is seen to go round.
    fn len(&self, way: usize) -> usize {
        self.scenario
            .cycle
            .map_or(self.truth.paths[way].hops.len(), |cycle| {
                usize::from(cycle.to) + 1
            })
    }

    /// The RTT of the slowest answer on one of its ways, without jitter.
    pub(super) fn limit(&self, way: usize) -> Duration {
        let answering = self.truth.paths[way]
            .hops
            .iter()
            .take(self.len(way))
            .zip(1_u8..)
            .filter(|(from, _)| from.is_some());
        let slowest = answering
            .map(|(_, hop)| self.rtt_ms(hop))
            .fold(0.0, f64::max);
        Duration::from_secs_f64(slowest / 1e3)
    }

    /// Who answers at each hop of one of its ways.
    pub(super) fn hops(&self, way: usize) -> Vec<Option<IpAddr>> {
        self.truth.paths[way].hops[..self.len(way)].to_vec()
    }

    fn rtt_ms(&self, hop: u8) -> f64 {
        let plain = self.scenario.rtt_ms * f64::from(hop) / f64::from(self.scenario.hops);
        let entry = self
            .scenario
            .hop
            .iter()
            .find(|entry| entry.at.as_slice().contains(&hop));
        entry.map_or(plain, |entry| entry.rtt_ms.unwrap_or(plain) + entry.slow_ms)
    }

    /// Holds what a tool printed and what the simulated internet saw against the truth.
    pub(super) fn judge(&self, events: &[Event], found: &Found) -> Option<Trace> {
        // Of TCP the SYNs: what a kernel sends on a connection that it has is no probe.
        let probes: Vec<&Probe> = events
            .iter()
            .filter_map(probe)
            .filter(|probe| probe.protocol != Protocol::Tcp || probe.is_syn())
            .collect();
        let exit = events.iter().find_map(exit)?;
        let way = self.main_way(&probes);
        let (hops, limit) = (self.len(way), self.limit(way));
        let end = if self.truth.paths[way].end == End::Target {
            probes.iter().find(|probe| is_own(probe, hops))
        } else {
            None
        };
        let answered = end.and_then(|probe| probe.answers.first()?.delivered_ns);
        let mut trace = Trace {
            wall: Duration::from_nanos(exit.ended_ns - exit.started_ns),
            start_up: Duration::from_nanos(
                probes
                    .first()
                    .map_or(0, |first| first.at_ns.saturating_sub(exit.started_ns)),
            ),
            after: answered
                .map(|answered| Duration::from_nanos(exit.ended_ns.saturating_sub(answered))),
            limit,
            sent: probes.len(),
            past: probes
                .iter()
                .filter(|probe| usize::from(probe.hop_limit) > self.len(probe.path))
                .count(),
            hops,
            right: 0,
            wrong: 0,
            reached: self.truth.paths[way].end == End::Target && !found.at(hops).is_empty(),
            state: found.state,
            rows_past_end: 0,
            false_links: self.false_links(found),
            cpu: Duration::from_nanos(exit.cpu_ns),
            memory: exit.peak_memory,
            status: exit.status,
        };
        for hop in 1..=found.len().max(hops) {
            let (given, past) = (found.at(hop), hop > hops);
            if given.is_empty() {
                trace.right += usize::from(!past && self.answers(hop).contains(&None));
            } else if given
                .iter()
                .any(|address| !self.answers(hop).contains(&Some(*address)))
            {
                trace.wrong += 1;
            } else if past && found.at(hops).is_empty() {
                // The end, but farther away than it is.
                trace.wrong += 1;
            } else if past {
                trace.rows_past_end += 1;
            } else {
                trace.right += 1;
            }
        }
        Some(trace)
    }

    /// Which way most probes went, where load is balanced.
    fn main_way(&self, probes: &[&Probe]) -> usize {
        let count = |way: usize| probes.iter().filter(|probe| probe.path == way).count();
        (0..self.truth.paths.len())
            .rev()
            .max_by_key(|way| count(*way))
            .unwrap_or(0)
    }

    /// Who may answer at a hop, on any way; past the end, who ends the path.
    fn answers(&self, hop: usize) -> Vec<Option<IpAddr>> {
        let at = |hops: &Vec<Option<IpAddr>>| hops.get(hop - 1).or(hops.last()).copied().flatten();
        self.truth.paths.iter().map(|path| at(&path.hops)).collect()
    }

    /// Neighbours in a tool's output that are on no way, one behind the other.
    fn false_links(&self, found: &Found) -> usize {
        let mut false_links = 0;
        for hop in 1..found.len() {
            for near in found.at(hop) {
                for far in found.at(hop + 1) {
                    let is_link = |hops: &Vec<Option<IpAddr>>| {
                        let at = |hop: usize| hops.get(hop - 1).or(hops.last()).copied().flatten();
                        at(hop) == Some(*near) && at(hop + 1) == Some(*far)
                    };
                    false_links +=
                        usize::from(!self.truth.paths.iter().any(|path| is_link(&path.hops)));
                }
            }
        }
        false_links
    }
}

/// Whether a probe got the target's answer with no hop to spare.
fn is_own(probe: &Probe, hops: usize) -> bool {
    usize::from(probe.hop_limit) == hops
        && usize::from(probe.hop) == hops
        && !probe.answers.is_empty()
}

const fn probe(event: &Event) -> Option<&Probe> {
    match event {
        Event::Probe(probe) => Some(probe),
        Event::Exit(_) => None,
    }
}

const fn exit(event: &Event) -> Option<Exit> {
    match event {
        Event::Probe(_) => None,
        Event::Exit(exit) => Some(*exit),
    }
}

#[cfg(test)]
mod tests {
    use super::super::formats::Format;
    use super::*;
    use hopshot_lab::log::{Answer, Fate, Sent};

    fn path(name: &str) -> Path {
        Path::new(
            name,
            name.to_owned(),
            Scenario::named(name).unwrap(),
            AddressFamily::V4,
        )
    }

    fn lines(lines: impl IntoIterator<Item = (usize, &'static str)>) -> Found {
        let text: String = lines
            .into_iter()
            .map(|(hop, address)| format!("{hop} {address}\n"))
            .collect();
        Found::parse(Format::Lines, &text)
    }

    fn sent(hop_limit: u8, hop: u8, delivered_ns: u64) -> Event {
        let from = "10.0.0.9".parse().unwrap();
        let answer = Answer {
            from,
            protocol: Protocol::Icmp,
            icmp_type: 0,
            icmp_code: 0,
            flags: None,
            rtt_ns: 1,
            delivered_ns: Some(delivered_ns),
        };
        Event::Probe(Probe {
            at_ns: 1_500_000,
            destination: from,
            hop_limit,
            traffic_class: 0,
            protocol: Protocol::Icmp,
            ports: None,
            tcp: None,
            ident: 1,
            seq: 1,
            checksum: 1,
            length: 60,
            path: 0,
            hop,
            past_target: hop_limit > hop,
            fate: Fate::Answered,
            answers: vec![answer],
        })
    }

    const EXIT: Event = Event::Exit(Exit {
        started_ns: 500_000,
        ended_ns: 9_000_000,
        status: 0,
        cpu_ns: 7,
        sleeps: 9,
        peak_memory: 8,
    });

    #[test]
    fn time_is_measured_from_the_targets_own_answer() {
        let events = [sent(7, 5, 5_900_000), sent(5, 5, 6_000_000), EXIT];
        let trace = path("short").judge(&events, &Found::default()).unwrap();
        assert_eq!(trace.limit, Duration::from_millis(5));
        assert_eq!(trace.wall, Duration::from_micros(8500));
        assert_eq!(trace.start_up, Duration::from_millis(1));
        assert_eq!(trace.after, Some(Duration::from_millis(3)));
        assert!((trace.ratio() - 1.7).abs() < 1e-9);
        assert_eq!((trace.sent, trace.past, trace.hops), (2, 1, 5));
    }

    #[test]
    fn of_tcp_only_syns_are_probes() {
        let tcp = |flags| match sent(7, 5, 6_000_000) {
            Event::Probe(probe) => Event::Probe(Probe {
                protocol: Protocol::Tcp,
                tcp: Some(Sent { seq: 1, flags }),
                ..probe
            }),
            exit => exit,
        };
        let trace = path("short").judge(&[tcp(2), tcp(16), tcp(17), EXIT], &Found::default());
        assert_eq!(trace.map(|trace| (trace.sent, trace.past)), Some((1, 1)));
    }

    #[test]
    fn a_target_behind_a_firewall_is_reached_by_tcp() {
        let found = lines([(1, "10.1.0.1"), (12, "10.255.0.80")]);
        let by = |protocol| {
            let path = path("no-icmp").by(AddressFamily::V4, protocol, 443);
            path.judge(&[EXIT], &found).unwrap().reached
        };
        assert!(by(Protocol::Tcp) && !by(Protocol::Icmp));
    }

    #[test]
    fn each_hop_is_right_missing_or_wrong() {
        let found = lines([
            (1, "10.1.0.1"),
            (2, "10.9.9.9"),
            (5, "10.5.0.1"),
            (6, "10.5.0.1"),
        ]);
        let trace = path("short").judge(&[EXIT], &found).unwrap();
        // Hop 5 is the target: neither of the last two rows is true.
        assert_eq!((trace.right, trace.wrong, trace.rows_past_end), (1, 3, 0));
        assert!(!trace.is_right());
    }

    #[test]
    fn silence_is_right_where_nobody_answers() {
        let all = (1..=12).filter(|hop| ![3, 4, 7].contains(hop));
        let text: String = all
            .map(|hop| {
                if hop == 12 {
                    "12 10.255.0.80\n".into()
                } else {
                    format!("{hop} 10.{hop}.0.1\n")
                }
            })
            .collect();
        let trace = path("silent")
            .judge(&[EXIT], &Found::parse(Format::Lines, &text))
            .unwrap();
        assert!(trace.is_right(), "{trace:?}");
    }

    #[test]
    fn the_end_may_be_told_again_but_counts() {
        let mut rows: Vec<(usize, &str)> = vec![
            (1, "10.1.0.1"),
            (2, "10.2.0.1"),
            (3, "10.3.0.1"),
            (4, "10.4.0.1"),
        ];
        rows.extend([
            (5, "10.5.0.1"),
            (6, "10.6.0.1"),
            (7, "10.6.0.1"),
            (8, "10.6.0.1"),
        ]);
        let trace = path("unreach").judge(&[EXIT], &lines(rows)).unwrap();
        assert_eq!((trace.right, trace.wrong, trace.rows_past_end), (6, 0, 2));
    }

    #[test]
    fn an_end_that_is_told_too_far_away_is_wrong() {
        let trace = path("short")
            .judge(&[EXIT], &lines([(1, "10.1.0.1"), (7, "10.255.0.80")]))
            .unwrap();
        assert_eq!((trace.right, trace.wrong, trace.rows_past_end), (1, 1, 0));
    }

    #[test]
    fn the_limit_is_the_slowest_answer() {
        let millis = |name: &str| path(name).limit(0).as_secs_f64() * 1e3;
        assert_eq!(millis("wan"), 80.0);
        assert!((millis("slowhop") - (80.0 * 5.0 / 12.0 + 150.0)).abs() < 1e-6);
        assert!((millis("deadtarget") - 80.0 * 11.0 / 12.0).abs() < 1e-6);
        assert!((millis("unreach") - 40.0).abs() < 1e-6);
    }

    #[test]
    fn a_link_between_two_branches_is_false() {
        let ecmp = path("ecmp");
        let links = |fourth, fifth| {
            ecmp.judge(&[EXIT], &lines([(4, fourth), (5, fifth)]))
                .unwrap()
                .false_links
        };
        assert_eq!(links("10.4.0.1", "10.5.0.1"), 0);
        assert_eq!(links("10.4.1.1", "10.5.1.1"), 0);
        assert_eq!(links("10.4.0.1", "10.5.1.1"), 1);
    }
}
