//! Where the AS of an address is looked up: in a file, or in DNS by the [helper](crate::lookup).

use crate::args::Asn;
use crate::failure::Failure;
use hopshot_linux::lookup::{Database, PUBLIC_ZONE};
use std::net::SocketAddr;

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
