//! Where the AS of an address is looked up: in a file, or in DNS by the [helper](crate::lookup).

use crate::args::Asn;
use crate::failure::Failure;
use crate::inside::owner;
use crate::lookup::PUBLIC_ZONE;
use maxminddb::{Reader, WithinOptions};
use serde::Deserialize;
use std::fs;
use std::net::{IpAddr, SocketAddr};

/// So many networks of a file are looked at; if none of them has an AS it is of another kind.
const SAMPLE: usize = 1000;
/// No file of AS numbers is longer; it is read as a whole.
const LONGEST: u64 = 1 << 30;

/// A source of AS numbers.
pub(crate) enum Ases {
    /// There is none.
    Off,
    /// A file, read already.
    Database(Database),
    /// TXT records below a zone, as a server says, or else those of the system.
    Dns {
        zone: String,
        server: Option<SocketAddr>,
    },
}

impl Ases {
    /// What the arguments ask for, without the file that they may name: see [`File`].
    pub(crate) fn new(asn: &Asn) -> Self {
        if !asn.is_wanted() || asn.database.is_some() {
            return Self::Off;
        }
        Self::Dns {
            zone: asn.zone.clone().unwrap_or_else(|| PUBLIC_ZONE.to_owned()),
            server: asn.server,
        }
    }
}

/// A file of AS numbers that has been read, and not yet looked at: the former takes the rights of
/// the user, the latter none.
pub(crate) struct File {
    path: String,
    octets: Vec<u8>,
}

impl File {
    /// Reads the file that the arguments name, if they name one. It comes before anything is sent,
    /// so that a file that can't be used is no surprise at the end of a trace.
    pub(crate) fn read(asn: &Asn) -> Result<Option<Self>, Failure> {
        let Some(path) = asn.database.clone() else {
            return Ok(None);
        };
        match Database::read(&path) {
            Ok(octets) => Ok(Some(Self { path, octets })),
            Err(why) => Err(Failure::Database(path, why)),
        }
    }

    /// Takes it as what it should be.
    pub(crate) fn understand(self) -> Result<Ases, Failure> {
        match Database::new(self.octets) {
            Ok(database) => Ok(Ases::Database(database)),
            Err(why) => Err(Failure::Database(self.path, why)),
        }
    }
}

/// A file of networks in MaxMind's format, which has AS numbers as theirs (GeoLite2-ASN) and those
/// made like it have.
pub(crate) struct Database(Reader<Vec<u8>>);

/// What a network's record says of its AS.
#[derive(Deserialize)]
struct Record<'r> {
    /// An unsigned number of any size, as whoever writes such a file chooses it.
    autonomous_system_number: Option<serde_json::Value>,
    autonomous_system_organization: Option<&'r str>,
}

impl Record<'_> {
    fn number(&self) -> Option<u32> {
        self.autonomous_system_number
            .as_ref()?
            .as_u64()?
            .try_into()
            .ok()
    }
}

impl Database {
    fn read(path: &str) -> Result<Vec<u8>, String> {
        // Asked before it is opened: to open a pipe may take for ever.
        let file = fs::metadata(path).map_err(|error| error.to_string())?;
        if !file.is_file() || file.len() > LONGEST {
            return Err("not a regular file of at most 1 GiB".to_owned());
        }
        fs::read(path).map_err(|error| error.to_string())
    }

    fn new(octets: Vec<u8>) -> Result<Self, String> {
        let reader = Reader::from_source(octets).map_err(|error| {
            format!("not a file in MaxMind's format, or a damaged one ({error})")
        })?;
        let damaged = |error| format!("it is damaged ({error})");
        let mut has_any = false;
        for network in reader
            .networks(WithinOptions::default())
            .map_err(damaged)?
            .take(SAMPLE)
        {
            let record = network
                .and_then(|network| network.decode::<Record<'_>>())
                .map_err(damaged)?;
            has_any |= record.is_some_and(|record| record.number().is_some());
        }
        match has_any {
            true => Ok(Self(reader)),
            false => Err(format!(
                "a database of type '{}' has no AS numbers",
                reader.metadata().database_type
            )),
        }
    }

    /// The AS of an address, or of the IPv4 address [inside](crate::inside), and its name. A record
    /// that can't be read is none.
    pub(crate) fn origin(&self, address: IpAddr) -> Option<(u32, Option<&str>)> {
        let record = self
            .0
            .lookup(owner(address))
            .ok()?
            .decode::<Record<'_>>()
            .ok()??;
        Some((record.number()?, record.autonomous_system_organization))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_any_size_is_read() {
        for size in ["u16", "u64"] {
            let octets = Database::read(&format!(
                "{}/tests/data/{size}.mmdb",
                env!("CARGO_MANIFEST_DIR")
            ));
            let database = octets.and_then(Database::new);
            let database = database.unwrap_or_else(|why| panic!("{size}: {why}"));
            assert_eq!(
                database.origin([10, 1, 0, 1].into()),
                Some((64500, Some("EXAMPLE"))),
                "{size}"
            );
        }
    }

    #[test]
    fn only_a_file_is_read_and_a_pipe_or_a_device_is_not_waited_for() {
        for path in ["/dev/zero", "/dev/ptmx", "/"] {
            let why = Database::read(path).err().unwrap_or_default();
            assert!(why.contains("regular file"), "{path}: {why}");
        }
    }
}
