//! Many traces at once as an iterator: hosts go in, results come out.

use crate::error::Error;
use crate::list::Survey;
use crate::settings::Settings;
use hopshot_engine::{Order, Route, Step};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

impl Settings {
    /// Traces of many hosts at once, on a few sockets: see [`Many`].
    ///
    /// ```no_run
    /// # use hopshot_linux::Settings;
    /// let hosts = ["192.0.2.1", "example.com"];
    /// for (host, route) in Settings::new().attempts(3).many(hosts).rate(500).start()? {
    ///     println!("{host}: {:?}", route.map(|route| route.distance()));
    /// }
    /// # Ok::<(), hopshot_linux::Error>(())
    /// ```
    pub fn many<H: IntoIterator<Item: Into<String>>>(&self, hosts: H) -> Many<H::IntoIter> {
        Many {
            hosts: hosts.into_iter(),
            settings: self.clone(),
            rate: Survey::DEFAULT_RATE,
            at_once: Survey::AT_ONCE,
            outage_limit: None,
        }
    }
}

/// Traces of many hosts, all with the same settings: what [`Settings::many`] returns.
#[derive(Debug)]
#[must_use = "nothing is sent before start"]
pub struct Many<I> {
    hosts: I,
    settings: Settings,
    rate: u32,
    at_once: usize,
    outage_limit: Option<Duration>,
}

impl<I: Iterator<Item: Into<String>>> Many<I> {
    /// Sets how long everything may fail before the list ends: see
    /// [`outage_limit`](crate::survey::HostSurvey::outage_limit).
    pub const fn outage_limit(mut self, limit: Duration) -> Self {
        self.outage_limit = Some(limit);
        self
    }

    /// Probes a second, all traces together, 1 to 1,000,000 (what is beyond is taken for the
    /// nearest); 1,000 by default.
    pub const fn rate(mut self, rate: u32) -> Self {
        self.rate = rate;
        self
    }

    /// Traces in flight, 1 to 10,000 (what is beyond is taken for the nearest); 256 by default.
    /// Memory is bounded by this, not by the number of hosts: each takes
    /// 3 to 6 KiB with one attempt, up to 8 KiB with three.
    pub const fn at_once(mut self, traces: usize) -> Self {
        self.at_once = traces;
        self
    }

    /// Opens the sockets. The iterator that it returns traces the hosts and gives each result when
    /// it is there. Names are looked up side by side, on threads, while others are traced.
    ///
    /// The hosts begin in their order, but for some that are drawn at random, from which the others
    /// learn what they [share](hopshot_engine::Survey#what-traces-share). They are drawn from all
    /// hosts if the iterator's [`size_hint`](Iterator::size_hint) says exactly how many there are,
    /// else from the hosts that it says are there; from 65,536 at a time, and at last up to twice
    /// as many. From fewer, which may be the hostile ones that stand together in a list, none is
    /// drawn. An iterator that doesn't say, such as the lines of a pipe, is not read ahead, and
    /// nothing is learnt from its hosts; collect them first if they are all there.
    ///
    /// # Errors
    /// [`Error`] if a parameter of the settings is out of its range, or no socket can be opened.
    /// What concerns one host is in its result: see [`Routes`].
    pub fn start(self) -> Result<Routes<I>, Error> {
        let mut survey = Survey::new(&self.settings, self.rate, self.at_once)?;
        self.outage_limit
            .into_iter()
            .for_each(|limit| survey.outage_limit(limit));
        let (hosts, ahead, order) = (Some(self.hosts), Vec::new(), Order::new(0));
        Ok(Routes {
            hosts,
            ahead,
            order,
            is_first: true,
            survey,
            failed: VecDeque::new(),
            failure: None,
        })
    }
}

/// Hosts that are read ahead, so that some can be drawn from them.
const AHEAD: usize = 65_536;

/// Returns how many hosts to draw from next, of an iterator with this size hint; the rest of a list
/// joins those before it.
fn to_draw_from((least, most): (usize, Option<usize>), is_first: bool) -> usize {
    match least {
        0..AHEAD if is_first && most == Some(least) => least,
        0..AHEAD => 0,
        _ if least < 2 * AHEAD => least,
        _ => AHEAD,
    }
}

/// Results as they come: the host as it was given, and the route to it, or why there is none.
///
/// A host whose error [may pass](Error::may_pass) can be traced later: [`Error::GivenUp`] where it
/// failed again and again while others didn't, [`Error::Away`] where everything had failed for as
/// long as [`Many::outage_limit`] allows. Where the sockets themselves fail, the hosts that are
/// left have [`Error::Ended`].
pub struct Routes<I: Iterator> {
    hosts: Option<I>,
    /// Hosts that were read ahead, and the order in which they are traced.
    ahead: Vec<Option<I::Item>>,
    order: Order,
    /// Whether no host has been taken yet.
    is_first: bool,
    survey: Survey,
    failed: VecDeque<(String, Error)>,
    /// Why the sockets failed.
    failure: Option<String>,
}

impl<I: Iterator> fmt::Debug for Routes<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("survey", &self.survey)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl<I: Iterator<Item: Into<String>>> Routes<I> {
    /// Takes as many hosts as there is room for.
    fn take_in(&mut self) {
        if self.failure.is_some() {
            return;
        }
        while self.survey.has_room() {
            let drawn = if self.survey.wants_sample() {
                self.order.draw()
            } else {
                None
            };
            let sample = drawn.map(|_| self.survey.sample());
            let Some(host) = drawn
                .and_then(|place| self.ahead[place].take())
                .or_else(|| self.next_host())
            else {
                return;
            };
            let host = host.into();
            if let Err(error) = self.survey.add_drawn(&host, sample) {
                self.failed.push_back((host, error));
                return;
            }
        }
    }

    fn next_host(&mut self) -> Option<I::Item> {
        let next = self.order.next().or_else(|| {
            self.read_ahead();
            self.order.next()
        });
        if let Some(place) = next {
            return self.ahead[place].take();
        }
        let host = self.hosts.as_mut()?.next();
        if host.is_none() {
            self.hosts = None;
        }
        host
    }

    /// Ends what runs, since the sockets failed.
    fn fail(&mut self, error: &Error) {
        self.failure = Some(error.to_string());
        self.survey.interrupt();
    }

    /// Reads only what is there for sure: to wait for a host that may come late would keep the
    /// others from being traced.
    fn read_ahead(&mut self) {
        let Some(hosts) = &mut self.hosts else { return };
        let count = to_draw_from(hosts.size_hint(), std::mem::take(&mut self.is_first));
        self.ahead = hosts.take(count).map(Some).collect();
        self.order = Order::new(self.ahead.len());
    }
}

impl<I: Iterator<Item: Into<String>>> Iterator for Routes<I> {
    type Item = (String, Result<Route, Error>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.take_in();
            if let Some((host, error)) = self.failed.pop_front().or_else(|| self.survey.take_lost())
            {
                return Some((host, Err(error)));
            }
            if let Some(route) = self.survey.take() {
                return Some((route.summary().host.clone(), Ok(route)));
            }
            if let Some(reason) = self.failure.clone() {
                let host = self.next_host()?.into();
                return Some((host, Err(Error::Ended { reason })));
            }
            match self.survey.advance(None) {
                Ok(Step::Done) if self.hosts.is_none() && self.survey.is_empty() => return None,
                Ok(_) => {}
                Err(error) => self.fail(&error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::in_namespace;

    #[test]
    fn where_the_sockets_fail_every_host_has_a_result() {
        let test = "many::tests::where_the_sockets_fail_every_host_has_a_result";
        in_namespace(test, "", || {
            let hosts = (1..=40).map(|host| format!("127.0.1.{host}"));
            let mut routes = Settings::new().many(hosts).at_once(5).start().unwrap();
            let first = routes.next().unwrap();
            routes.fail(&Error::Full);
            let mut names: Vec<String> = vec![first.0];
            let mut ended = 0;
            for (host, route) in routes {
                names.push(host);
                ended += usize::from(matches!(route, Err(Error::Ended { .. })));
            }
            assert_eq!(names.len(), 40);
            names.sort();
            names.dedup();
            assert_eq!(names.len(), 40, "each once");
            assert!(ended >= 30, "{ended}");
        });
    }

    /// How many hosts are read ahead each time, until none is.
    fn stretches(hosts: impl Iterator<Item = u32>) -> Vec<usize> {
        let (mut hosts, mut stretches) = (hosts, Vec::new());
        loop {
            let count = to_draw_from(hosts.size_hint(), stretches.is_empty());
            if count == 0 {
                return stretches;
            }
            stretches.push(hosts.by_ref().take(count).count());
        }
    }

    #[test]
    fn hosts_are_drawn_from_all_of_a_list_or_from_long_stretches_of_it() {
        for (len, expected) in [
            (0, &[][..]),
            (1, &[1]),
            (65_535, &[65_535]),
            (67_335, &[67_335]),
            (131_071, &[131_071]),
            (131_072, &[65_536, 65_536]),
            (200_000, &[65_536, 65_536, 68_928]),
        ] {
            assert_eq!(stretches(0..len), expected, "{len}");
        }
        // The hosts of networks, one network after the other, and hosts before an unknown number.
        assert_eq!(
            stretches((0..9).flat_map(|network| network * 50..(network + 1) * 50)),
            &[] as &[usize]
        );
        assert_eq!(
            stretches((0..1000).chain((0..9).filter(|number| *number != 3))),
            &[] as &[usize]
        );
        assert_eq!(
            stretches((0..70_000).chain((0..9).filter(|number| *number != 3))),
            &[70_000]
        );
    }
}
