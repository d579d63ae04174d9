//! The command line.

mod about;
mod asn;
mod bounds;
mod compare;
mod config;
mod help;
mod line;
mod output;
mod probing;
mod protocol;
mod sides;
mod values;
mod watch;

pub(crate) use asn::Asn;
pub(crate) use line::Args;
pub(crate) use output::Format;
pub(crate) use probing::Probes;
pub(crate) use sides::Sides;

use about::Page;
use clap::error::ErrorKind;
use config::Config;
use help::help;
use hopshot_linux::privilege;
use line::{one_line, read};
use std::env;
use std::ffi::OsString;

/// The task of the command.
pub(crate) enum Wanted {
    Trace(Box<Args>),
    /// Help, the version and the like.
    Text(String),
    /// Nothing yet: help for somebody who has typed the name alone.
    Usage(String),
}

/// Reads the arguments of this process and its file of options.
pub(crate) fn parse() -> Result<Wanted, String> {
    let arguments: Vec<OsString> = env::args_os().collect();
    if arguments.len() < 2 {
        return Ok(Wanted::Usage(help(Page::Usual)));
    }
    let (args, dependent) = match read(&arguments) {
        Ok(read) => read,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => {
            return Ok(Wanted::Text(error.to_string()));
        }
        Err(error) => return Err(one_line(&error) + " (hopshot --help lists all options)"),
    };
    if let Some(page) = args.about.page() {
        return Ok(Wanted::Text(help(page)));
    }
    let config = if args.no_config {
        None
    } else {
        Config::read()?
    };
    if args.print_config {
        let none = "# no options: there is no file of them, or it is not read\n".to_owned();
        return Ok(Wanted::Text(
            config.map_or(none, |config| config.text(&arguments)),
        ));
    }
    let mut args = match config {
        Some(config) if !config.is_empty() => {
            read(&config.with(&arguments))
                .map_err(|error| one_line(&error))?
                .0
        }
        _ => args,
    };
    args.check().and_then(|()| args.check_beside(dependent))?;
    // Of both command line and file, so that neither is a way around.
    if privilege::came_with_the_program() {
        args.hold_to_bounds()?;
    }
    Ok(Wanted::Trace(Box::new(args)))
}
