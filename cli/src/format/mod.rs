//! How results are written: a module for each way, and what they have in common.

mod atlas;
mod blocks;
mod csv;
pub(crate) mod dot;
mod figures;
pub(crate) mod json;
mod markdown;
pub(crate) mod settings;
mod stages;
mod stream;
mod svg;

pub(crate) use figures::Figures;

use crate::args::{self, Args};
use crate::console::print;
use crate::names::Names;
use hopshot_linux::{Heard, Route, Trace};
use std::io;
use std::net::IpAddr;

/// A way of writing results on standard output. What happens to one host or to several is told as it happens; most only want
/// to know how it ended.
pub(crate) trait Format {
    /// A trace has begun.
    fn begin(&mut self, _host: &str, _target: IpAddr, _source: IpAddr, _flow: u16) -> io::Result<()> {
        Ok(())
    }

    /// An answer has come.
    fn hear(&mut self, _heard: &Heard<'_>, _names: &Names) -> io::Result<()> {
        Ok(())
    }

    /// More may be known of addresses.
    fn learn(&mut self, _names: &Names) -> io::Result<()> {
        Ok(())
    }

    /// More may be known of the trace, which is the only one: those of many are not followed.
    fn update(&mut self, _trace: &Trace, _names: &Names) -> io::Result<()> {
        Ok(())
    }

    /// A trace has ended, and nothing more will become known.
    fn finish(&mut self, route: &Route, names: &Names) -> io::Result<()>;

    /// One of several hosts can't be traced. Returns whether the output says so; else standard error has to.
    fn lose(&mut self, _host: &str, _why: &str) -> io::Result<bool> {
        Ok(false)
    }

    /// That was all.
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The way that was asked for.
pub(crate) fn of(args: &Args) -> Box<dyn Format + '_> {
    match args.output.format() {
        args::Format::Text => Box::new(blocks::Blocks::new(args)),
        args::Format::Json => Box::new(json::Json::new(args)),
        args::Format::JsonStream => Box::new(stream::Stream::new(args)),
        args::Format::Atlas => Box::new(atlas::Atlas),
        args::Format::Csv => Box::new(csv::Csv::new(args)),
        args::Format::Dot => Box::new(dot::Dot::default()),
        args::Format::Svg => Box::new(svg::Svg),
        args::Format::Markdown => Box::new(markdown::Markdown::new(args)),
    }
}
