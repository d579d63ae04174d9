//! JSON lines as it happens. What an event says of a probe has the names and the meaning that it
//! has in the [document](super::json).

use super::json::{Known, Lost, print_line};
use super::results::Format;
use super::settings::{Settings, VERSION};
use crate::args::Args;
use crate::names::Names;
use hopshot_linux::document::{Annotate as _, ReplyDocument, Target, TraceEnd};
use hopshot_linux::{HostReply, Outcome, ProbeProtocol, Route, failure_text};
use serde::Serialize;
use std::io;
use std::net::IpAddr;

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Begin {
        target: Target<'a>,
        source: IpAddr,
        settings: Begun,
        version: &'static str,
    },
    /// A better answer to the same probe may follow.
    Reply(Box<ReplyDocument<'a, Known>>),
    /// More has become known of an address that answered.
    Address {
        target: Target<'a>,
        address: IpAddr,
        #[serde(flatten)]
        known: &'a Known,
    },
    Lost {
        target: Target<'a>,
        hop: u8,
        attempt: usize,
    },
    Failed {
        target: Target<'a>,
        hop: u8,
        attempt: usize,
        error: String,
    },
    End(Box<TraceEnd<'a, Known>>),
    Error(Lost<'a>),
}

/// The settings of all traces, and the flow of this one.
#[derive(Serialize)]
struct Begun {
    #[serde(flatten)]
    settings: Settings,
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    flow: Option<u16>,
}

pub(super) struct Stream {
    settings: Settings,
    protocol: ProbeProtocol,
    /// The hosts that answered in the traces that run.
    answering: Vec<Answering>,
}

/// An address that answered in a trace.
struct Answering {
    host: String,
    target: IpAddr,
    address: IpAddr,
    /// The facts that were last printed of it.
    known: Known,
}

impl Answering {
    fn is_of(&self, host: &str, target: IpAddr) -> bool {
        (self.host.as_str(), self.target) == (host, target)
    }

    /// Says what is known, if that is more.
    fn print_news(&mut self, names: &Names) -> io::Result<()> {
        let known = names.known(self.address);
        if known == self.known {
            return Ok(());
        }
        self.known = known;
        let target = Target::new(&self.host, Some(self.target));
        print_line(&Event::Address {
            target,
            address: self.address,
            known: &self.known,
        })
    }
}

impl Stream {
    pub(super) fn new(args: &Args) -> Self {
        Self {
            settings: Settings::from(&args.probing),
            protocol: args.probing.protocol.chosen(),
            answering: Vec::new(),
        }
    }
}

impl Format for Stream {
    fn begin(
        &mut self,
        host: &str,
        target: IpAddr,
        source: IpAddr,
        flow: Option<u16>,
    ) -> io::Result<()> {
        let settings = Begun {
            settings: self.settings,
            protocol: self.protocol.as_str(),
            port: self.protocol.port(),
            flow,
        };
        print_line(&Event::Begin {
            target: Target::new(host, Some(target)),
            source,
            settings,
            version: VERSION,
        })
    }

    fn reply(&mut self, heard: &HostReply<'_>, names: &Names) -> io::Result<()> {
        let (host, target, address) = (heard.host, heard.target, heard.reply.from);
        if !self
            .answering
            .iter()
            .any(|answering| answering.address == address && answering.is_of(host, target))
        {
            let known = names.known(address);
            self.answering.push(Answering {
                host: host.to_owned(),
                target,
                address,
                known,
            });
        }
        print_line(&Event::Reply(Box::new(ReplyDocument::new(heard, names))))
    }

    fn update_names(&mut self, names: &Names) -> io::Result<()> {
        self.answering
            .iter_mut()
            .try_for_each(|answering| answering.print_news(names))
    }

    fn finish(&mut self, route: &Route, names: &Names) -> io::Result<()> {
        let (host, address) = (&route.summary().host, route.summary().target);
        let of_route = |answering: &mut Answering| answering.is_of(host, address);
        self.answering
            .extract_if(.., of_route)
            .try_for_each(|mut answering| answering.print_news(names))?;
        for hop in route.hops() {
            for (attempt, outcome) in (1..).zip(hop.outcomes()) {
                let (target, hop) = (Target::new(host, Some(address)), hop.number());
                match outcome {
                    Outcome::Answered(_) | Outcome::InFlight => {}
                    Outcome::Lost => print_line(&Event::Lost {
                        target,
                        hop,
                        attempt,
                    })?,
                    Outcome::Failed(error) => {
                        print_line(&Event::Failed {
                            target,
                            hop,
                            attempt,
                            error: failure_text(error),
                        })?;
                    }
                }
            }
        }
        print_line(&Event::End(Box::new(TraceEnd::new(route, names))))
    }

    fn lose(&mut self, host: &str, why: &str) -> io::Result<bool> {
        print_line(&Event::Error(Lost::new(host, why))).map(|()| true)
    }
}
