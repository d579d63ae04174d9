//! The JSON document. A field is never renamed or removed; new ones may come:
//! `cli/schema/hopshot.schema.json` has them all. The engine makes it; what is added here is what
//! only the command knows.

use super::results::Format;
use super::settings::{Settings, VERSION};
use crate::args::Args;
use crate::console::print;
use crate::inside::Inside;
use crate::names::{Names, Origin};
use hopshot_linux::Route;
use hopshot_linux::document::{Annotate, MtuBounds, MtuDocument, Target, TraceDocument};
use hopshot_linux::path_mtu::MtuRoute;
use serde::Serialize;
use std::io;
use std::net::IpAddr;

/// A document for each host, on a line.
pub(super) struct Json {
    settings: Settings,
}

impl Json {
    pub(super) fn new(args: &Args) -> Self {
        Self {
            settings: Settings::from(&args.probing),
        }
    }
}

impl Format for Json {
    fn finish(&mut self, route: &Route, names: &Names) -> io::Result<()> {
        print_line(&Document::with(
            TraceDocument::new(route, names),
            self.settings,
        ))
    }

    fn lose(&mut self, host: &str, why: &str) -> io::Result<bool> {
        print_line(&Lost::new(host, why)).map(|()| true)
    }
}

/// A document of a search for the path MTU.
pub(crate) fn path_mtu(args: &Args, route: &MtuRoute, names: &Names) -> io::Result<()> {
    print_line(&Bounded {
        document: Document::with(
            MtuDocument::new(route, names),
            Settings::from(&args.probing),
        ),
        bounds: MtuBounds::from(route),
    })
}

/// The octets of a document of some 30 hops with three attempts each.
const ROOM: usize = 32 << 10;

pub(crate) fn print_line(document: &impl Serialize) -> io::Result<()> {
    // Room for most documents: to grow step by step takes longer than all the rest.
    let mut line = Vec::with_capacity(ROOM);
    serde_json::to_writer(&mut line, document)?;
    line.push(b'\n');
    print(&line)
}

/// A result, what was asked for, and by whom it was made.
#[derive(Serialize)]
pub(crate) struct Document<R> {
    #[serde(flatten)]
    result: R,
    settings: Settings,
    version: &'static str,
}

impl<R> Document<R> {
    pub(crate) const fn with(result: R, settings: Settings) -> Self {
        Self {
            result,
            settings,
            version: VERSION,
        }
    }
}

/// A document of a search for the path MTU.
#[derive(Serialize)]
struct Bounded<D> {
    #[serde(flatten)]
    document: D,
    #[serde(flatten)]
    bounds: MtuBounds,
}

/// A host that could not be traced, among those of a survey.
#[derive(Serialize)]
pub(super) struct Lost<'a> {
    target: Target<'a>,
    error: &'a str,
}

impl<'a> Lost<'a> {
    pub(super) fn new(host: &'a str, error: &'a str) -> Self {
        Self {
            target: Target::new(host, host.parse().ok()),
            error,
        }
    }
}

/// All that is known of an address so far.
#[derive(Default, PartialEq, Eq, Serialize)]
pub(crate) struct Known {
    name: Option<String>,
    asn: Option<u32>,
    as_name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more_asns: Vec<u32>,
    /// The IPv4 address inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4_inside: Option<Inside>,
}

impl Annotate for Names {
    type Known = Known;

    fn known(&self, address: IpAddr) -> Known {
        let (asn, as_name, more_asns) = match self.origin(address) {
            Some(Origin { number, name, more }) => (Some(number), name, more),
            None => (None, None, Vec::new()),
        };
        Known {
            name: self.of(address),
            asn,
            as_name,
            more_asns,
            ipv4_inside: Inside::of(address),
        }
    }
}
