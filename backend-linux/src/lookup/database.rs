//! AS numbers from a file.

use hopshot_engine::owner;
use maxminddb::{Reader, WithinOptions};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::fs;
use std::net::IpAddr;

/// Networks of a file that are looked at. If none of them has an AS the file is of another kind.
const SAMPLE: usize = 1000;
/// The longest file of AS numbers, in octets. It is read as a whole.
const LONGEST: u64 = 1 << 30;

/// A file of networks in MaxMind's format, which has AS numbers as theirs (GeoLite2-ASN) and those
/// made like it have.
#[derive(Debug)]
pub struct Database(Reader<Vec<u8>>);

/// The AS in a network's record.
#[derive(Deserialize)]
struct Record<'r> {
    autonomous_system_number: Option<Number>,
    autonomous_system_organization: Option<&'r str>,
}

/// An unsigned number of any size, as whoever writes such a file chooses it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Is(u64),
    Isnt(IgnoredAny),
}

impl Record<'_> {
    fn number(&self) -> Option<u32> {
        match self.autonomous_system_number.as_ref()? {
            Number::Is(number) => u32::try_from(*number).ok(),
            Number::Isnt(_) => None,
        }
    }
}

impl Database {
    /// Reads a file for [`new`](Self::new). To open it takes rights, to parse it none.
    ///
    /// # Errors
    /// A sentence that says why it can't be read.
    pub fn read(path: &str) -> Result<Vec<u8>, String> {
        // Asked before it is opened: to open a pipe may take for ever.
        let file = fs::metadata(path).map_err(|error| error.to_string())?;
        if !file.is_file() || file.len() > LONGEST {
            return Err("not a regular file of at most 1 GiB".to_owned());
        }
        fs::read(path).map_err(|error| error.to_string())
    }

    /// Takes the octets of a file for what it should be.
    ///
    /// # Errors
    /// A sentence that says what is wrong with them.
    pub fn new(octets: Vec<u8>) -> Result<Self, String> {
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

    /// Returns the AS of an address, or of the IPv4 address [inside](crate::Inside), and its name.
    /// A record that can't be read is none.
    #[must_use]
    pub fn origin(&self, address: IpAddr) -> Option<(u32, Option<&str>)> {
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
