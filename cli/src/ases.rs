//! Where the AS of an address is looked up: in a file, or in DNS by the [helper](crate::lookup).

use crate::Failure;
use crate::args::Args;
use crate::lookup::PUBLIC_ZONE;
use hopshot_linux::privilege;
use maxminddb::{MaxMindDbError, Reader, WithinOptions, geoip2};
use std::net::{IpAddr, SocketAddr};

/// So many networks of a file are looked at; if none of them has an AS it is of another kind.
const SAMPLE: usize = 1000;

/// A source of AS numbers.
pub(crate) enum Ases {
    /// There is none.
    Off,
    /// A file, read already.
    Database(Database),
    /// TXT records below a zone, as a server says, or else those of the system.
    Dns { zone: String, server: Option<SocketAddr> },
}

impl Ases {
    /// What the arguments ask for. It gives up the privileges that opening sockets took before it reads a file; and it comes
    /// before anything is sent, so that a file that can't be used is no surprise at the end of a trace.
    pub(crate) fn open(args: &Args) -> Result<Self, Failure> {
        let asn = &args.asn;
        if !asn.is_wanted() {
            return Ok(Self::Off);
        }
        let Some(path) = &asn.database else {
            let zone = asn.zone.clone().unwrap_or_else(|| PUBLIC_ZONE.to_owned());
            return Ok(Self::Dns { zone, server: asn.server });
        };
        privilege::renounce();
        let database = Database::open(path).map_err(|why| Failure::Database(path.clone(), why))?;
        Ok(Self::Database(database))
    }
}

/// A file of networks in MaxMind's format, which has AS numbers as theirs (GeoLite2-ASN) and those made like it have.
pub(crate) struct Database(Reader<Vec<u8>>);

impl Database {
    fn open(path: &str) -> Result<Self, String> {
        let reader = Reader::open_readfile(path).map_err(|error| match error {
            MaxMindDbError::Io(error) => error.to_string(),
            error => format!("not a file in MaxMind's format, or a damaged one ({error})"),
        })?;
        let damaged = |error| format!("it is damaged ({error})");
        let mut has_any = false;
        for network in reader.networks(WithinOptions::default()).map_err(damaged)?.take(SAMPLE) {
            let asn = network.and_then(|network| network.decode::<geoip2::Asn>()).map_err(damaged)?;
            has_any |= asn.is_some_and(|asn| asn.autonomous_system_number.is_some());
        }
        match has_any {
            true => Ok(Self(reader)),
            false => Err(format!("a database of type '{}' has no AS numbers", reader.metadata().database_type)),
        }
    }

    /// The AS of an address, and its name. A record that can't be read is none.
    pub(crate) fn origin(&self, address: IpAddr) -> Option<(u32, Option<&str>)> {
        let asn = self.0.lookup(address).ok()?.decode::<geoip2::Asn>().ok()??;
        Some((asn.autonomous_system_number?, asn.autonomous_system_organization))
    }
}
