//! How results are written: a module for each way, and what they have in common.

mod atlas;
mod blocks;
mod csv;
pub(crate) mod dot;
pub(crate) mod json;
mod markdown;
mod results;
pub(crate) mod settings;
mod stages;
mod stream;
mod svg;

pub(crate) use results::Format;

use crate::args::{self, Args};

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
