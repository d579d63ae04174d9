//! A command in a simulated internet.

use super::command::Conduct;
use super::command::{self, Addressee};
use super::failure::{Context, Failure};
use super::link::{Link, LinkKind};
use super::{namespace, player};
use hopshot_core::wire::AddressFamily;
use hopshot_lab::log::{Event, Exit, line};
use hopshot_lab::{Internet, Scenario};
use nix::sys::eventfd::EventFd;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// How to play.
#[derive(Default)]
pub(crate) struct Options {
    /// Where the log goes.
    pub(crate) log: Option<PathBuf>,
    /// What randomness is drawn from.
    pub(crate) seed: u64,
    /// The device, if a certain one is wanted.
    pub(crate) link: Option<LinkKind>,
    /// Whether ping sockets are permitted.
    pub(crate) ping: bool,
    /// How to treat the command.
    pub(crate) conduct: Conduct,
}

/// Plays a scenario while a command runs in it, and gives the command's exit status.
pub(crate) fn run(
    scenario: &Scenario,
    options: &Options,
    command: &[String],
) -> Result<u8, Failure> {
    let internet = Internet::new(scenario, options.seed);
    // Before the namespace: the file is the user's, and a wrong name must not cost a run.
    let log = options.log.as_ref().map(|path| {
        File::create(path).map_err(|error| Failure::Lab(format!("{}: {error}", path.display())))
    });
    let log = log.transpose()?;
    namespace::enter()?;
    namespace::set_common();
    namespace::set_quiet();
    if options.ping {
        namespace::permit_ping()?;
    }
    namespace::set_names(
        internet
            .names()
            .map(|(name, addresses)| (name, [addresses.v4.into(), addresses.v6.into()])),
    );
    let link = Link::open(options.link)?;
    let target = Addressee {
        v4: internet.target(AddressFamily::V4),
        v6: internet.target(AddressFamily::V6),
        name: scenario.target.name.clone(),
    };
    let stop = EventFd::new().context("eventfd")?;
    let (exit, internet) = std::thread::scope(|scope| {
        let player = scope.spawn(|| player::play(internet, &link, &stop));
        let exit = command::run(command, &target, options.conduct);
        let _ = stop.write(1);
        let internet = player
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the player stopped")));
        (exit, internet)
    });
    let (exit, internet) = (exit?, internet.context("player")?);
    if let Some(log) = log {
        write(log, internet, exit).context("log")?;
    }
    Ok(exit.status)
}

fn write(log: File, mut internet: Internet, exit: Exit) -> io::Result<()> {
    let mut log = BufWriter::new(log);
    for event in internet
        .take_log()
        .into_iter()
        .map(Event::Probe)
        .chain([Event::Exit(exit)])
    {
        writeln!(log, "{}", line(&event))?;
    }
    log.flush()
}
