//! Sockets that are open before it is known whom they are for.

use crate::advice::Standing;
use crate::error::refused;
use crate::neighbour::Neighbours;
use crate::socket::{FirstLink, Nicety, OpenError, Options, Socket, Sources};
use crate::{Error, SocketKind};
use hopshot_core::wire::Version;

/// The sockets of a trace that has no target yet: what [`Traceroute::open`](crate::Traceroute::open) returns.
///
/// Opening sockets takes privileges, and finding the address of a name means to read what strangers' servers say. A program
/// that opens first can [give its privileges up](crate::privilege::renounce) before it asks for the address:
///
/// ```no_run
/// use hopshot_linux::{Step, Traceroute, privilege};
///
/// let traceroute = Traceroute::new("example.com");
/// let sockets = traceroute.open()?;
/// privilege::renounce()?;
/// let mut trace = traceroute.start_at(sockets, traceroute.resolve()?)?;
/// while trace.advance(None)? != Step::Done {}
/// # Ok::<(), hopshot_linux::Error>(())
/// ```
#[derive(Debug)]
pub struct Sockets {
    pub(crate) options: Options,
    pub(crate) open: Vec<Pair>,
    pub(crate) neighbours: Neighbours,
    /// Why there are none of a family, and what this process was then.
    refused: Vec<(Version, OpenError, Standing)>,
}

/// The sockets of one family.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) version: Version,
    pub(crate) socket: Socket,
    pub(crate) sources: Sources,
    first_link: Option<FirstLink>,
}

impl Pair {
    fn open(version: Version, options: &Options) -> Result<Self, OpenError> {
        let socket = Socket::open(version, options)?;
        let sources = Sources::open(version, socket.kind(), options)?;
        Ok(Self { version, socket, sources, first_link: None })
    }

    /// Opens in addition the socket that a search for the path MTU asks about the first link.
    fn open_for_mtu(version: Version, options: &Options) -> Result<Self, OpenError> {
        let pair = Self::open(version, options)?;
        let first_link = FirstLink::open(version, pair.socket.kind(), options)?;
        Ok(Self { first_link: Some(first_link), ..pair })
    }
}

impl Sockets {
    /// Opens the sockets of a family, or of both: then one that this machine doesn't have is no error until it is asked for.
    pub(crate) fn open(family: Option<Version>, options: Options) -> Result<Self, Error> {
        Self::each(family, options, Pair::open)
    }

    /// The same for a search for the path MTU.
    pub(crate) fn open_for_mtu(family: Option<Version>, options: Options) -> Result<Self, Error> {
        Self::each(family, options, Pair::open_for_mtu)
    }

    fn each(
        family: Option<Version>,
        options: Options,
        open: fn(Version, &Options) -> Result<Pair, OpenError>,
    ) -> Result<Self, Error> {
        let neighbours = Neighbours::open(&options);
        let mut sockets = Self { options, open: Vec::new(), neighbours, refused: Vec::new() };
        for version in family.map_or(vec![Version::V4, Version::V6], |family| vec![family]) {
            match open(version, &sockets.options) {
                Ok(mut pair) => {
                    let asked = sockets.neighbours.refused().map_or(Ok(()), Err);
                    pair.socket.note(Nicety::Neighbours, asked);
                    sockets.open.push(pair);
                }
                Err(error) => sockets.refused.push((version, error, Standing::read())),
            }
        }
        match (sockets.open.as_slice(), sockets.refused.as_slice()) {
            ([], [(family, error, standing), ..]) => Err(refused(*error, *family, &sockets.options, *standing)),
            _ => Ok(sockets),
        }
    }

    /// What is asked about the first link of a path, once.
    pub(crate) fn first_link(&mut self, version: Version) -> Result<FirstLink, Error> {
        let pair = self.open.iter_mut().find(|pair| pair.version == version);
        pair.and_then(|pair| pair.first_link.take()).ok_or_else(|| self.obstacle(version))
    }

    /// Why there is no socket of a family.
    pub(crate) fn obstacle(&self, version: Version) -> Error {
        match self.refused.iter().find(|(family, ..)| *family == version) {
            Some((_, error, standing)) => refused(*error, version, &self.options, *standing),
            None => Error::NoSocket(version),
        }
    }

    /// The kind of socket that is open for a family, if one is.
    #[must_use]
    pub fn kind(&self, family: Version) -> Option<SocketKind> {
        self.open.iter().find(|pair| pair.version == family).map(|pair| pair.socket.kind())
    }
}
