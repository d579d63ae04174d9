//! Whether AS numbers are shown, and where they are looked up.

use super::values;
use clap::{Args, ValueHint};
use std::net::SocketAddr;

/// The options of AS numbers, each of which asks for them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Asn {
    /// Show the AS of each address: DNS is told the public ones
    #[arg(short = 'A', long)]
    asn: bool,

    /// Show the AS of each address as a file in MaxMind's format says, such as GeoLite2-ASN.mmdb
    #[arg(long = "asn-db", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) database: Option<String>,

    /// Where in DNS to look ASes up, asn.cymru.com if not given; one of your own is told private
    /// addresses too
    #[arg(long = "asn-zone", value_name = "ZONE", value_parser = values::zone)]
    pub(crate) zone: Option<String>,

    /// The DNS server to ask for ASes, not those of the system; a port may follow as in
    /// 192.0.2.53:5353
    #[arg(long = "asn-server", value_name = "ADDRESS", value_parser = values::server)]
    pub(crate) server: Option<SocketAddr>,
}

impl Asn {
    /// Whether AS numbers are shown.
    pub(crate) fn is_wanted(&self) -> bool {
        self.asn || self.database.is_some() || self.zone.is_some() || self.server.is_some()
    }
}
