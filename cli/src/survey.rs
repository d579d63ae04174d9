//! Many hosts at once: each route is shown when it is there.

use crate::args::{self, Args};
use crate::console::{can_draw, draw, say, size_of};
use crate::failure::Failure;
use crate::format::{self, Format};
use crate::names::on_route;
use crate::session::Session;
use crate::targets::{self, Next, Targets};
use hopshot_linux::survey::{Outage, Sample, Started, Survey};
use hopshot_linux::{AddressFamily, Error, Reasons, Route, Step, needs_resolver, resolve};
use std::collections::{HashMap, VecDeque};
use std::io::{self, IsTerminal};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Names that are looked up at a time.
const LOOKUPS: usize = 64;

/// The longest wait while hosts of the list are to be taken in for which there was no room a moment
/// ago.
const TURN: Duration = Duration::from_millis(10);

/// The longest sleep while addresses are looked up.
const LOOK: Duration = Duration::from_secs(1);

/// A sleep of this length then shows that this process was stopped.
const STOPPED: Duration = Duration::from_secs(3);

/// Between two drawings of the progress.
const REDRAW: Duration = Duration::from_millis(100);

/// Runs the survey. Returns whether every host answered.
pub(crate) fn run(args: &Args) -> Result<bool, Failure> {
    let mut survey = args.survey()?;
    let targets = || {
        Targets::new(&args.hosts, args.list())
            .map_err(|error| Failure::Input(targets::called(args.list()), error))
    };
    let (mut session, targets) = Session::with_files(args, true, targets)?;
    if let Some(input) = targets.input() {
        session.events = session.events.and_input(input);
    }
    let families = [AddressFamily::V4, AddressFamily::V6];
    let sockets: Vec<_> = families
        .into_iter()
        .filter_map(|family| survey.socket(family))
        .collect();
    let lacks = families.map(|family| survey.lacks(family)).concat();
    session.confine(sockets, &lacks, || survey.confine())?;
    let progress = Progress::new(args);
    let (format, found, finished) = (format::of(args), VecDeque::new(), VecDeque::new());
    let mut pipeline = Pipeline {
        args,
        targets,
        survey,
        session,
        format,
        progress,
        samples: HashMap::new(),
        found,
        finished,
        forged: 0,
        reasons: Reasons::default(),
        interrupted: false,
        unread: None,
        told_limit: None,
        looked: Instant::now(),
    };
    pipeline.run()?;
    if !pipeline.progress.any() && !pipeline.interrupted {
        return Err(pipeline.unread.unwrap_or(Failure::NoHosts));
    }
    pipeline.format.end().map_err(Failure::Output)?;
    let [v4, v6] =
        [AddressFamily::V4, AddressFamily::V6].map(|family| pipeline.survey.rejected(family));
    pipeline
        .session
        .explain(pipeline.reasons, pipeline.forged, v4 + v6);
    match pipeline.unread {
        Some(failure) => Err(failure),
        None => Ok(pipeline.progress.all_well() && !pipeline.interrupted),
    }
}

/// Everything on its way: hosts whose addresses are looked up or wait for room, traces that run,
/// routes that wait for names.
struct Pipeline<'a> {
    args: &'a Args,
    targets: Targets,
    survey: Survey,
    session: Session,
    format: Box<dyn Format + 'a>,
    progress: Progress,
    /// The votes of drawn hosts whose addresses are looked up.
    samples: HashMap<String, Sample>,
    found: VecDeque<(String, Result<SocketAddr, Error>)>,
    finished: VecDeque<Route>,
    forged: u32,
    reasons: Reasons,
    interrupted: bool,
    /// Why the list could not be read to its end.
    unread: Option<Failure>,
    /// The limit that was told when nothing got on.
    told_limit: Option<Duration>,
    /// When it was looked for something to do last.
    looked: Instant,
}

impl Pipeline<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        let mut more = true;
        loop {
            if self.session.events.interrupted() && !self.interrupted {
                self.interrupted = true;
                if std::mem::take(&mut more) {
                    self.progress
                        .say("interrupted: the rest of the hosts are not traced");
                }
                self.interrupt()?;
            }
            self.session.names.receive();
            let names_late = self.session.names.give_up_late();
            self.collect_found();
            self.take_started()?;
            self.take_replies()?;
            self.take_routes();
            self.show()?;
            // Last, so that what ends the sleep below is what room there is depends on.
            self.take_found()?;
            more = more && self.take_in()?;
            self.take_started()?;
            self.say_outage();
            let idle = self.survey.is_idle();
            if !more && idle && self.on_their_way() == 0 {
                self.progress.clear();
                return Ok(());
            }
            self.progress.draw(self.on_their_way());
            let input = more && self.has_room() && self.targets.input().is_some();
            // What has just run out is a wait of no time, not one without end.
            let front = self.finished.front();
            let patience = front.map(|route| {
                self.session
                    .names
                    .patience(on_route(route))
                    .unwrap_or_default()
            });
            let turn = (more && !input).then_some(TURN);
            let look = (self.session.names.wanted() > 0).then_some(LOOK);
            let patience = patience
                .into_iter()
                .chain(names_late)
                .chain(look)
                .chain(turn)
                .min();
            if idle {
                self.session
                    .events
                    .wait(input, patience)
                    .map_err(Failure::events)?;
            } else {
                let wake = if input {
                    self.session.events.fd_with_input()
                } else {
                    self.session.events.fd()
                };
                let step = self
                    .survey
                    .advance_within(Some(wake), patience.unwrap_or(Duration::MAX))?;
                if step == Step::Woken {
                    self.session.events.clear().map_err(Failure::events)?;
                }
            }
        }
    }

    /// Ends all traces with what is known; each host that has none is told.
    fn interrupt(&mut self) -> Result<(), Failure> {
        self.found.extend(self.session.names.found());
        let found = self.found.drain(..).map(|(host, _)| host);
        let mut looked_up: Vec<String> = self
            .session
            .names
            .give_up()
            .into_iter()
            .chain(found)
            .collect();
        let mut forget = |host: &str| {
            looked_up
                .iter()
                .position(|other| other == host)
                .map(|at| looked_up.swap_remove(at))
        };
        self.survey.witness().and_then(&mut forget);
        self.survey.interrupt();
        while let Some((host, error)) = self.survey.take_lost() {
            // It may have been looked up again.
            forget(&host);
            self.lose(&host, &error.to_string())?;
        }
        looked_up.iter().try_for_each(|host| {
            self.lose(
                host,
                "not traced: interrupted while its address was looked up",
            )
        })
    }

    fn on_their_way(&self) -> usize {
        self.waiting() + self.survey.len() + self.finished.len()
    }

    /// Hosts that are named and not yet traced.
    fn waiting(&self) -> usize {
        self.session.names.wanted() + self.found.len()
    }

    fn has_room(&self) -> bool {
        self.finished.len() < self.survey.at_once()
            && self.survey.has_room()
            && self.waiting() < LOOKUPS
    }

    /// Takes hosts as long as there is room. Returns whether there may be more.
    fn take_in(&mut self) -> Result<bool, Failure> {
        while self.has_room() {
            let list = || targets::called(self.args.list());
            let (next, is_drawn) = match self.next_host() {
                Ok(next) => next,
                // What is on its way has its results all the same.
                Err(error) => {
                    self.unread = Some(Failure::Input(list(), error));
                    return Ok(false);
                }
            };
            match next {
                Next::Later => return Ok(true),
                Next::End => return Ok(false),
                Next::Bad(line, why) => {
                    self.progress.fail();
                    match line {
                        Some(line) => self
                            .progress
                            .say(&format!("{}, line {line}: {why}", list())),
                        None => self.progress.say(&why),
                    }
                }
                Next::Host(host) => match host.as_str() {
                    // No resolver is asked for an address; but a zone takes a socket to look up.
                    host if !needs_resolver(host) && !host.contains('%') => {
                        self.draw(host, is_drawn);
                        self.add(host, resolve(host, self.args.probing.family()))?;
                    }
                    _ if self.session.names.find(&host, self.args.probing.wanted()) => {
                        self.draw(&host, is_drawn);
                    }
                    _ if self.session.names.can_find() => {
                        // The helper has enough to do. A name that was drawn keeps its place: else
                        // the votes would be those of hosts that are given
                        // by their addresses, of which more may be hostile.
                        self.draw(&host, is_drawn);
                        self.targets.put_back(host);
                        return Ok(true);
                    }
                    _ => {
                        self.samples.remove(&host);
                        let why = self
                            .session
                            .names
                            .obstacle()
                            .map_or(String::new(), |why| format!(": {why}"));
                        self.lose(&host, &format!("its address can't be looked up{why}"))?;
                    }
                },
            }
        }
        Ok(true)
    }

    /// The next host, and whether it was drawn at random.
    fn next_host(&mut self) -> io::Result<(Next, bool)> {
        let drawn = if self.survey.wants_sample() {
            self.targets.draw()?
        } else {
            None
        };
        match drawn {
            Some(next) => Ok((next, true)),
            None => Ok((self.targets.next()?, false)),
        }
    }

    /// Takes a host's place among the votes if it was drawn: now, since how long its address takes
    /// is for others to choose.
    fn draw(&mut self, host: &str, is_drawn: bool) {
        if is_drawn {
            self.samples.insert(host.to_owned(), self.survey.sample());
        }
    }

    fn add(&mut self, host: &str, found: Result<SocketAddr, Error>) -> Result<(), Failure> {
        match self
            .survey
            .add_found(host, found, self.samples.remove(host))
        {
            Ok(()) => Ok(()),
            Err(error) => self.lose(host, &error.to_string()),
        }
    }

    /// Traces that have begun, and hosts that were given up.
    fn take_started(&mut self) -> Result<(), Failure> {
        while let Some(Started {
            host,
            target,
            source,
            flow,
            ..
        }) = self.survey.take_started()
        {
            self.format
                .begin(&host, target, source, flow)
                .map_err(Failure::Output)?;
        }
        while let Some((host, error)) = self.survey.take_lost() {
            // The end of the wait is no end of the outage.
            self.told_limit
                .take_if(|_| matches!(error, Error::Away { .. }));
            self.lose(&host, &error.to_string())?;
        }
        Ok(())
    }

    /// Says once that this machine is cut off, again if that may last longer than was said, and
    /// once that it no longer is.
    fn say_outage(&mut self) {
        match self.survey.outage() {
            Some(Outage {
                what,
                reason,
                limit,
                ..
            }) if self.told_limit.is_none_or(|told| told < limit) => {
                self.told_limit = Some(limit);
                let text = format!(
                    "{what} ({reason}); waiting for up to {} s (--outage)",
                    limit.as_secs()
                );
                self.progress.say(&text);
            }
            None if self.told_limit.take().is_some() => self.progress.say("going on"),
            _ => {}
        }
    }

    /// A host that isn't traced: its reason is a result like others.
    fn lose(&mut self, host: &str, why: &str) -> Result<(), Failure> {
        self.progress.fail();
        self.progress.make_room();
        if !self.format.lose(host, why).map_err(Failure::Output)? {
            // An address may be told in another way than it was given.
            let is_address = host
                .split('%')
                .next()
                .is_some_and(|host| host.parse::<IpAddr>().is_ok());
            let is_named = why.contains(&format!("'{host}'")) || is_address && why.contains(host);
            let named = if is_named {
                why.to_owned()
            } else {
                format!("{host}: {why}")
            };
            self.progress.say(&named);
        }
        Ok(())
    }

    /// Takes the hosts that have been found. A look-up that failed while this process was stopped
    /// says nothing of name servers now.
    fn collect_found(&mut self) {
        let was_stopped = std::mem::replace(&mut self.looked, Instant::now()).elapsed() >= STOPPED;
        for (host, found) in self.session.names.found() {
            let is_stale =
                was_stopped && !self.interrupted && found.as_ref().is_err_and(Error::may_pass);
            if !is_stale || !self.session.names.find(&host, self.args.probing.wanted()) {
                self.found.push_back((host, found));
            }
        }
    }

    /// Hosts that have been found begin when there is room, before others are taken in.
    fn take_found(&mut self) -> Result<(), Failure> {
        while self.survey.has_room_for_found()
            && let Some((host, found)) = self.found.pop_front()
        {
            self.add(&host, found)?;
        }
        while self.waiting() < LOOKUPS
            && let Some(host) = self.survey.take_name()
        {
            if self.session.names.find(&host, self.args.probing.wanted()) {
                continue;
            }
            // The helper has enough to do, or has gone.
            if self.session.names.can_find() {
                self.survey.put_back_name(host);
                break;
            }
            let why = format!("the address of '{host}' can't be looked up any more");
            self.add(&host, Err(Error::NoResolver(why)))?;
        }
        Ok(())
    }

    fn take_replies(&mut self) -> Result<(), Failure> {
        while let Some(heard) = self.survey.take_reply() {
            self.format
                .reply(&heard, &self.session.names)
                .map_err(Failure::Output)?;
        }
        Ok(())
    }

    fn take_routes(&mut self) {
        while let Some(route) = self.survey.take() {
            self.forged = self.forged.saturating_add(route.tally().forged.into());
            self.reasons += route.summary().reasons;
            on_route(&route).for_each(|address| self.session.names.ask(address));
            self.finished.push_back(route);
        }
    }

    /// Prints the routes whose names have come in, or are not worth waiting for any longer.
    fn show(&mut self) -> Result<(), Failure> {
        while let Some(route) = self.finished.front() {
            if !self.session.events.interrupted()
                && self.session.names.patience(on_route(route)).is_some()
            {
                return Ok(());
            }
            self.progress.make_room();
            self.format
                .finish(route, &self.session.names)
                .map_err(Failure::Output)?;
            self.progress.finish(route.reached());
            self.finished.pop_front();
        }
        Ok(())
    }
}

/// How far it is, on standard error if that is a terminal.
struct Progress {
    done: usize,
    reached: usize,
    failed: usize,
    /// Whether there is a line for it, and whether results come on the same terminal.
    is_shown: bool,
    is_shared: bool,
    drawn: Option<Instant>,
}

impl Progress {
    fn new(args: &Args) -> Self {
        // Events that go by are progress enough.
        let is_shown = can_draw(&io::stderr()) && args.output.format() != args::Format::JsonStream;
        Self {
            done: 0,
            reached: 0,
            failed: 0,
            is_shown,
            is_shared: io::stdout().is_terminal(),
            drawn: None,
        }
    }

    const fn finish(&mut self, reached: bool) {
        self.done += 1;
        self.reached += if reached { 1 } else { 0 };
    }

    const fn fail(&mut self) {
        self.failed += 1;
    }

    const fn any(&self) -> bool {
        self.done + self.failed > 0
    }

    const fn all_well(&self) -> bool {
        self.reached == self.done && self.failed == 0
    }

    /// A message above the progress.
    fn say(&mut self, text: &str) {
        self.clear();
        say(text);
    }

    /// Not more often than anybody can read, but at once where it had to make room.
    fn draw(&mut self, on_their_way: usize) {
        if !self.is_shown || self.drawn.is_some_and(|last| last.elapsed() < REDRAW) {
            return;
        }
        self.drawn = Some(Instant::now());
        // The last column is left free: there some break the line.
        let width = size_of(io::stderr()).map_or(80, |(width, _)| usize::from(width));
        let text: String = self
            .text(on_their_way)
            .chars()
            .take(width.saturating_sub(1))
            .collect();
        draw(&format!("\r\x1b[K{text}"));
    }

    fn text(&self, on_their_way: usize) -> String {
        let Self {
            done,
            reached,
            failed,
            ..
        } = self;
        let failed = if *failed > 0 {
            format!(", {failed} not traced")
        } else {
            String::new()
        };
        format!("{done} traced, {reached} reached{failed}, {on_their_way} on their way")
    }

    /// Makes room for a line of output, if that comes here.
    fn make_room(&mut self) {
        if self.is_shared {
            self.clear();
        }
    }

    fn clear(&mut self) {
        if self.drawn.take().is_some() {
            draw("\r\x1b[K");
        }
    }
}
