//! One host, traced again and again: the view of `--watch`, and the report at its end.
//!
//! Rounds begin on a fixed grid of time, never two at once; a round that takes longer than the grid
//! is wide leaves out the next. All are of one flow, so that load balancers keep to one path, and
//! what changes is the path itself. Silence is hardly asked again before the next round, and what a
//! round has learnt of the target's distance spares the next ones probes.

mod history;
pub(crate) mod keys;
mod layout;
mod report;
mod screen;
mod terminal;

use crate::args::{Args, Format};
use crate::console::is_unicode;
use crate::console::{print, say, terminal_size};
use crate::failure::Failure;
use crate::format::json::print_line;
use crate::session::Session;
use history::{History, Round};
use hopshot_linux::survey::Survey;
use hopshot_linux::{AddressFamily, Reasons, Route, Settings, SocketKind, Step, needs_resolver};
use keys::Key;
use report::Report;
use rustix::rand::{GetRandomFlags, getrandom};
use screen::{Look, View};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};
use terminal::Screen;

/// Watches the host. Returns whether it answered in the last round.
pub(crate) fn run(args: &Args, host: &str) -> Result<bool, Failure> {
    let settings = terminal::Settings::read();
    if settings.is_none() && args.watch.count.is_none() {
        return Err(Failure::NoTerminal);
    }
    let flow = args.flow_of(random_word()?);
    let mut survey = args.survey_of(Some(flow))?;
    // A round that can't be sent shows an outage, however short; the next one tries again.
    survey.outage_limit(Duration::ZERO);
    let mut session = Session::new(args, needs_resolver(host))?;
    let address = address(args, host, &mut session)?;
    if settings.is_some() {
        session.events = session.events.and_terminal().map_err(Failure::events)?;
    }
    let family = AddressFamily::of(address.ip());
    let (socket, lacks) = (survey.socket(family), survey.lacks(family));
    let confine = || {
        if settings.is_some() {
            survey.confine_on_terminal()
        } else {
            survey.confine()
        }
    };
    session.confine(socket, &lacks, confine)?;
    let look = Look {
        is_paused: false,
        is_named: !args.output.numeric,
        is_help: false,
        scrolled: 0,
        colours: args.output.colours(),
        unicode: is_unicode(),
    };
    let mut watch = Watch {
        args,
        host,
        address,
        settings: args.round(flow, random_word()?),
        flow: Some(flow)
            .filter(|_| socket != Some(SocketKind::Tcp) || args.probing.protocol.one_flow),
        survey,
        session,
        source: None,
        started: (SystemTime::now(), Instant::now()),
        begun: 0,
        forged: 0,
        reasons: Reasons::default(),
        history: History::default(),
        has_view: settings.is_some(),
        look,
    };
    watch.run(settings.map(Screen::enter).transpose().map_err(no_screen)?)?;
    watch.report()?;
    let rejected = watch.survey.rejected(AddressFamily::of(address.ip()));
    watch.session.explain(watch.reasons, watch.forged, rejected);
    Ok(watch.history.reached)
}

/// The address of the host. Where it can't be looked up because the network is down, that is tried
/// again.
fn address(args: &Args, host: &str, session: &mut Session) -> Result<SocketAddr, Failure> {
    let mut is_told = false;
    loop {
        match session.address(args, host) {
            Err(Failure::Trace(error)) if error.may_pass() => {
                if !std::mem::replace(&mut is_told, true) {
                    say(&format!("{error}; waiting for the network"));
                }
            }
            found => return found,
        }
        let next = Instant::now() + args.watch.every;
        while !session.events.interrupted() && Instant::now() < next {
            session
                .events
                .wait(false, Some(next - Instant::now()))
                .map_err(Failure::events)?;
        }
        if session.events.interrupted() {
            return Err(Failure::Interrupted);
        }
    }
}

fn random_word() -> Result<u16, Failure> {
    let mut octets = [0; 2];
    let drawn = getrandom(&mut octets, GetRandomFlags::empty());
    drawn.map_err(|errno| {
        Failure::System(
            "can't draw random numbers",
            errno.into(),
            "permit it the call getrandom",
        )
    })?;
    Ok(u16::from_ne_bytes(octets))
}

fn no_screen(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::TimedOut {
        // A terminal that takes nothing more, and the user wants an end.
        return Failure::Output(error);
    }
    Failure::System(
        "can't show the view",
        error,
        "with TERM=dumb and --count N there is only the report",
    )
}

struct Watch<'a> {
    args: &'a Args,
    host: &'a str,
    address: SocketAddr,
    /// Of one round.
    settings: Settings,
    /// Of all rounds.
    flow: Option<u16>,
    survey: Survey,
    session: Session,
    /// The source of the last round's probes.
    source: Option<IpAddr>,
    started: (SystemTime, Instant),
    /// Rounds that have begun.
    begun: u32,
    forged: u32,
    reasons: Reasons,
    history: History,
    /// Whether it is shown on a terminal while it runs.
    has_view: bool,
    look: Look,
}

impl Watch<'_> {
    /// Round after round, until there were enough or the user has had enough.
    fn run(&mut self, mut screen: Option<Screen>) -> Result<(), Failure> {
        let mut next = Instant::now();
        let mut is_new = true;
        loop {
            let is_idle = self.survey.is_empty();
            if self.session.events.interrupted()
                || is_idle && self.args.watch.count == Some(self.begun)
            {
                return Ok(());
            }
            let now = Instant::now();
            if is_idle && !self.look.is_paused && now >= next {
                self.begin()?;
                next = on_grid(next, now, self.args.watch.every);
                is_new = true;
                continue;
            }
            if let Some(screen) = &mut screen
                && is_new
            {
                let mut scrolled = 0;
                screen
                    .draw(|frame| scrolled = self.view().draw(frame))
                    .map_err(no_screen)?;
                self.look.scrolled = scrolled;
            }
            let goes_on = !self.look.is_paused && self.args.watch.count != Some(self.begun);
            is_new = self.wait(if goes_on && is_idle {
                Some(next - now)
            } else {
                None
            })?;
            self.session.names.receive();
            while let Some(route) = self.survey.take() {
                self.record(&route);
                is_new = true;
            }
            if let Some(screen) = &mut screen {
                if self.session.events.is_to_stop() {
                    screen
                        .suspend(|| self.session.events.interrupted())
                        .map_err(no_screen)?;
                    if self.session.events.interrupted() {
                        return Ok(());
                    }
                    is_new = true;
                }
                let Some(typed) = screen.typed() else {
                    return Ok(());
                };
                for key in keys::keys(&typed) {
                    is_new = true;
                    if !self.press(key, screen).map_err(no_screen)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Begins a round. What can't be sent is told, and tried again with the next one, also where
    /// there is no route yet: a watch may have been started because the network is down.
    /// Another failure of the first round is all there is to say.
    fn begin(&mut self) -> Result<(), Failure> {
        let horizon = self
            .history
            .horizon(self.args.probing.max)
            .max(self.args.probing.first);
        match self.survey.add_as(
            &self.settings.clone().max_hops(horizon),
            self.host,
            self.address,
        ) {
            Ok(source) => self.source = Some(source),
            Err(error) if self.begun == 0 && !error.may_pass() => return Err(error.into()),
            Err(error) => {
                if self.begun == 0 && !self.has_view {
                    say(&format!("{error}; waiting for the network"));
                }
                self.history.add(&Round::not_begun(
                    error.to_string(),
                    error.reason(),
                    SystemTime::now(),
                ));
            }
        }
        self.begun += 1;
        Ok(())
    }

    /// Waits for something to happen, between two rounds at most so long. Returns whether something
    /// other than an answer has.
    fn wait(&mut self, span: Option<Duration>) -> Result<bool, Failure> {
        if self.survey.is_empty() {
            return self
                .session
                .events
                .wait(true, span)
                .map_err(Failure::events);
        }
        let step = self
            .survey
            .advance(Some(self.session.events.fd_with_input()))?;
        if step == Step::Woken {
            self.session.events.clear().map_err(Failure::events)?;
        }
        Ok(step == Step::Woken)
    }

    fn record(&mut self, route: &Route) {
        self.forged = self.forged.saturating_add(route.tally().forged.into());
        self.reasons += route.summary().reasons;
        self.history.add(&Round::from(route));
        self.history
            .addresses()
            .for_each(|address| self.session.names.ask(address));
    }

    /// Does what a key is for. Returns whether the watch goes on.
    fn press(&mut self, key: Key, screen: &mut Screen) -> io::Result<bool> {
        let look = &mut self.look;
        match key {
            Key::Pause => look.is_paused = !look.is_paused,
            Key::Reset => {
                (self.history, self.started) =
                    (History::default(), (SystemTime::now(), Instant::now()));
            }
            Key::Names => look.is_named = !look.is_named && !self.args.output.numeric,
            Key::Help => look.is_help = !look.is_help,
            Key::Close => look.is_help = false,
            Key::Up => look.scrolled = look.scrolled.saturating_sub(1),
            Key::Down => look.scrolled += 1,
            Key::Redraw => screen.redraw()?,
            Key::Quit => return Ok(false),
        }
        Ok(true)
    }

    fn view(&self) -> View<'_> {
        View {
            host: self.host,
            target: self.address.ip(),
            protocol: self.args.probing.protocol.chosen(),
            history: &self.history,
            names: &self.session.names,
            every: self.args.watch.every,
            look: self.look,
        }
    }

    /// Prints what was counted, when the names that are still asked for have come in or are not
    /// worth waiting for.
    fn report(&mut self) -> Result<(), Failure> {
        let duration = self.started.1.elapsed();
        self.session
            .wait_for_names(|| self.history.addresses(), |_| Ok(()))?;
        let report = Report {
            host: self.host,
            target: self.address.ip(),
            source: self.source,
            started: self.started.0,
            duration,
            every: self.args.watch.every,
            protocol: self.args.probing.protocol.chosen(),
            flow: self.flow,
            history: &self.history,
            names: &self.session.names,
        };
        let printed = match self.args.output.format() {
            Format::Json => print_line(&report.json()),
            _ => {
                let width = terminal_size().map(|(width, _)| width.into());
                print(report.text(width).as_bytes())
            }
        };
        printed.map_err(Failure::Output)
    }
}

/// The next moment of the grid that isn't over yet.
fn on_grid(last: Instant, now: Instant, every: Duration) -> Instant {
    let missed = now.saturating_duration_since(last).as_nanos() / every.as_nanos().max(1);
    last + every * u32::try_from(missed).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_stay_on_the_grid_however_long_one_takes() {
        let (start, every) = (Instant::now(), Duration::from_secs(1));
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        assert_eq!(on_grid(start, at(0.2), every), at(1.0));
        assert_eq!(on_grid(start, at(1.0), every), at(2.0));
        assert_eq!(on_grid(start, at(3.5), every), at(4.0));
    }
}
