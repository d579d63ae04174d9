//! The sockets of a job, which may be open before its target is known.

use crate::advice::Standing;
use crate::bell::Bell;
use crate::error::Error;
use crate::neighbour::Neighbours;
use crate::refusal::{no_route, refused};
use crate::socket::{
    AnswerKey, Arrival, FirstLink, HeldPort, Lack, Nicety, OpenError, Options, Socket, Sources,
    Spares, files_permitted,
};
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{ProbeProtocol, SocketKind};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Pairs without privilege that a job has in each family, each with its ident or its port.
const MOST_PAIRS: usize = 16;

/// Pairs of UDP sockets that check a trace, each for one check: six to the target's hop, two to
/// where it was thought to be, and two as far as the trace may go. Few processes may have so many
/// descriptors that these don't matter.
const UDP_CHECKS: usize = 10;

/// Descriptors that a process may have for each such pair: so all of them take an eighth.
const FILES_PER_PAIR: usize = 32;

/// The families.
const BOTH: [AddressFamily; 2] = [AddressFamily::V4, AddressFamily::V6];

/// The sockets of a job: its [`Link`](hopshot_engine::Link) to this machine.
#[derive(Debug)]
pub struct Sockets {
    pub(crate) options: Options,
    pub(crate) open: Vec<Pair>,
    pub(crate) neighbours: Neighbours,
    refused: Vec<Refused>,
    /// Why the kernel's filter could not be set, if it was refused.
    pub(crate) unfiltered: Option<Errno>,
    /// Ends a wait for answers when it becomes readable.
    pub(crate) bell: Option<Bell>,
}

/// Why there are no sockets of a family for a protocol, and what this process was then.
#[derive(Debug)]
struct Refused {
    family: AddressFamily,
    options: Options,
    error: OpenError,
    standing: Standing,
}

impl Refused {
    fn error(&self) -> Error {
        refused(self.error, self.family, &self.options, self.standing)
    }
}

/// The sockets of one family, or, without privilege, of an ident or a port.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) family: AddressFamily,
    /// The options of its socket. It sends probes of their protocol, and to their port, if there
    /// are ports.
    pub(crate) options: Options,
    is_check: bool,
    /// The ident or the source port of all that it sends, if that is fixed.
    pub(crate) ident: Option<u16>,
    pub(crate) socket: Socket,
    /// For detours, beside a UDP socket.
    pub(crate) spares: Option<Spares>,
    pub(crate) sources: Arc<Sources>,
    first_link: Option<FirstLink>,
    /// Of TCP and UDP.
    pub(crate) held: Option<HeldPort>,
}

impl Pair {
    fn open(family: AddressFamily, options: &Options) -> Result<Self, OpenError> {
        let mut socket = Socket::open(family, options)?;
        let held = match socket.kind() {
            // It is the socket's own, or each socket's.
            SocketKind::Udp | SocketKind::Tcp => Ok(None),
            _ => HeldPort::open(family, options),
        };
        socket.note(
            Nicety::OwnPort,
            held.as_ref().map(drop).map_err(|errno| *errno),
        );
        let sources = Sources::open(family, socket.kind(), options)?;
        Ok(Self {
            family,
            options: options.clone(),
            is_check: false,
            ident: socket.ident(),
            socket,
            sources: Arc::new(sources),
            spares: None,
            first_link: None,
            held: held.ok().flatten(),
        })
    }

    /// Puts a socket beside others of its family.
    fn beside(
        sources: &Arc<Sources>,
        family: AddressFamily,
        options: &Options,
        socket: Socket,
    ) -> Self {
        Self {
            family,
            options: options.clone(),
            is_check: false,
            ident: socket.ident(),
            socket,
            sources: Arc::clone(sources),
            spares: None,
            first_link: None,
            held: None,
        }
    }

    /// Opens a socket for ICMP Echo of one ident: the kernel filters by it.
    fn open_check(family: AddressFamily, options: &Options) -> Result<Self, OpenError> {
        let socket = Socket::open(family, options)?;
        let sources = Arc::new(Sources::open(family, socket.kind(), options)?);
        let mut pair = Self::beside(&sources, family, options, socket);
        pair.is_check = true;
        if pair.ident.is_none() {
            let mut ident = [0; 2];
            getrandom(&mut ident, GetRandomFlags::empty())?;
            let ident = u16::from_ne_bytes(ident);
            pair.ident = Some(ident);
            // Without the filter there is more to pass over; the socket notes that.
            let _ = pair.socket.listen_for(Some(&AnswerKey::of_ident(ident)));
        }
        Ok(pair)
    }

    /// See [`Socket::receive`]. Returns the source port too, if the probe had one of its own.
    pub(crate) fn receive<'b>(
        &mut self,
        buf: &'b mut [u8],
    ) -> Result<Option<(Arrival<'b>, Option<u16>)>, Errno> {
        let of_spares = match &mut self.spares {
            Some(spares) => spares.read(buf)?,
            None => None,
        };
        match of_spares {
            Some((received, port)) => Ok(Some((received.arrival(buf), port))),
            None => Ok(self.socket.receive(buf)?.map(|arrival| (arrival, None))),
        }
    }

    /// Returns the descriptors that are readable when there may be an answer.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let spares = self.spares.iter().map(AsFd::as_fd);
        [self.socket.as_fd()].into_iter().chain(spares)
    }

    /// Opens in addition the socket that a search for the path MTU asks about the first link.
    fn open_for_mtu(family: AddressFamily, options: &Options) -> Result<Self, OpenError> {
        let pair = Self::open(family, options)?;
        let first_link = FirstLink::open(family, pair.socket.kind(), options)?;
        Ok(Self {
            first_link: Some(first_link),
            ..pair
        })
    }
}

impl Sockets {
    /// Opens the sockets of a family, or of both: then one that this machine doesn't have is no
    /// error until it is asked for.
    pub(crate) fn open(family: Option<AddressFamily>, options: Options) -> Result<Self, Error> {
        Self::each([(family, options)], Pair::open)
    }

    /// Opens the sockets of several sides of a comparison, each of a family, or of both, and of
    /// other options. A side that has none is no error until it is asked for.
    pub(crate) fn open_sides(
        sides: impl IntoIterator<Item = (Option<AddressFamily>, Options)>,
    ) -> Result<Self, Error> {
        Self::each(sides, Pair::open)
    }

    /// The same for a search for the path MTU.
    pub(crate) fn open_for_mtu(
        family: Option<AddressFamily>,
        options: Options,
    ) -> Result<Self, Error> {
        Self::each([(family, options)], Pair::open_for_mtu)
    }

    fn each(
        sides: impl IntoIterator<Item = (Option<AddressFamily>, Options)>,
        open: fn(AddressFamily, &Options) -> Result<Pair, OpenError>,
    ) -> Result<Self, Error> {
        let sides: Vec<(Option<AddressFamily>, Options)> = sides.into_iter().collect();
        let options = sides.first().map(|(_, options)| options.clone());
        let options = options.unwrap_or_default();
        let neighbours = Neighbours::open(&options);
        let mut sockets = Self {
            options,
            open: Vec::new(),
            neighbours,
            refused: Vec::new(),
            unfiltered: None,
            bell: None,
        };
        for (family, options) in &sides {
            let families = family.map_or(BOTH.to_vec(), |family| vec![family]);
            families
                .into_iter()
                .for_each(|family| sockets.open_one(family, options, open));
        }
        match (sockets.open.as_slice(), sockets.refused.first()) {
            ([], Some(refused)) => Err(refused.error()),
            _ => Ok(sockets),
        }
    }

    fn open_one(
        &mut self,
        family: AddressFamily,
        options: &Options,
        open: fn(AddressFamily, &Options) -> Result<Pair, OpenError>,
    ) {
        match open(family, options) {
            Ok(mut pair) => {
                let asked = self.neighbours.refused().map_or(Ok(()), Err);
                pair.socket.note(Nicety::Neighbours, asked);
                self.open.push(pair);
            }
            Err(error) => self.refused.push(Refused {
                family,
                options: options.clone(),
                error,
                standing: Standing::read(),
            }),
        }
    }

    /// Opens more sockets in the families that have none that are raw, as many as this process may
    /// well have: whoever is traced by a ping socket learns its ident, and no other; by a UDP
    /// socket one host is traced at a time.
    pub(crate) fn open_more(&mut self) {
        let most = pairs_permitted();
        // An ident that is given is to be the only one.
        let more = if self.options.ident.is_some() {
            0
        } else {
            most.min(MOST_PAIRS).saturating_sub(1)
        };
        // Of TCP sockets there are many already.
        let is_one_of_several =
            |pair: &&Pair| matches!(pair.socket.kind(), SocketKind::Ping | SocketKind::Udp);
        let without_privilege = self.open.iter().filter(is_one_of_several);
        let families: Vec<_> = without_privilege
            .map(|pair| (pair.family, pair.socket.kind(), Arc::clone(&pair.sources)))
            .collect();
        for (family, kind, sources) in families {
            let options = Options {
                kind: Some(kind),
                ..self.options.clone()
            };
            let opened = (0..more).map_while(|_| Socket::open(family, &options).ok());
            let pair = |socket| Pair::beside(&sources, family, &options, socket);
            self.open.extend(opened.map(pair));
        }
    }

    /// Opens sockets for detours beside UDP sockets, for a single trace: without them it hears
    /// nothing of routers that quote little of a probe.
    pub(crate) fn open_spares(&mut self) {
        for pair in &mut self.open {
            let is_one_flow = pair.options.one_flow || pair.options.source_port.is_some();
            if pair.socket.kind() != SocketKind::Udp || is_one_flow {
                continue;
            }
            let options = Options {
                precise: false,
                ..pair.options.clone()
            };
            match Spares::open(pair.family, &options) {
                Ok(spares) => pair.spares = Some(spares),
                Err(error) => pair.socket.note(Nicety::Spares, Err(error.errno())),
            }
        }
    }

    /// Opens sockets beside those of a protocol, to check whether it is the target that answers, or
    /// a proxy in its name: by ICMP Echo, or, for TCP where ping sockets are refused, by UDP.
    pub(crate) fn open_checks(&mut self) {
        let options = Options {
            protocol: ProbeProtocol::Icmp,
            kind: self.options.kind.map(|kind| match kind {
                SocketKind::Raw => SocketKind::Raw,
                _ => SocketKind::Ping,
            }),
            source_port: None,
            ident: None,
            ..self.options.clone()
        };
        let pairs = pairs_permitted();
        let by_udp = Options {
            protocol: ProbeProtocol::UNUSED_UDP,
            kind: Some(SocketKind::Udp),
            ..options.clone()
        };
        for family in BOTH {
            let mut own = self.open.iter().filter(|pair| pair.family == family);
            // A side by ICMP has sockets for that.
            if own
                .clone()
                .any(|pair| pair.options.protocol == ProbeProtocol::Icmp)
            {
                continue;
            }
            let has_tcp = own.any(|pair| pair.socket.kind() == SocketKind::Tcp);
            let Some(pair) = self.open.iter_mut().find(|pair| pair.family == family) else {
                continue;
            };
            let (mut checks, refused) = match Pair::open_check(family, &options) {
                Ok(check) => (vec![check], Ok(())),
                Err(error) => (Vec::new(), Err(error.errno())),
            };
            if refused.is_err()
                && has_tcp
                && let Ok(sources) = Sources::open(family, SocketKind::Udp, &by_udp)
            {
                let sources = Arc::new(sources);
                let open = || Socket::open(family, &by_udp).ok();
                let opened = (0..UDP_CHECKS.min(pairs)).map_while(|_| open());
                checks.extend(opened.map(|socket| Pair {
                    is_check: true,
                    ..Pair::beside(&sources, family, &by_udp, socket)
                }));
            }
            if checks.is_empty() {
                pair.socket.note(Nicety::Checks, refused);
            }
            self.open.append(&mut checks);
        }
    }

    /// The MTU of the link by which packets to a target leave, in octets. It can be asked for once.
    pub(crate) fn first_link_mtu(&mut self, target: IpAddr, scope_id: u32) -> Result<u16, Error> {
        let family = AddressFamily::of(target);
        let pair = self.open.iter_mut().find(|pair| pair.family == family);
        let first_link = pair
            .and_then(|pair| pair.first_link.take())
            .ok_or_else(|| self.obstacle(family, self.options.protocol))?;
        first_link
            .mtu(target, scope_id)
            .map_err(|error| no_route(error, target, scope_id, &self.options))
    }

    /// Options that the sockets of a family do without, each once.
    pub(crate) fn lacks(&self, family: AddressFamily) -> Vec<Lack> {
        let pairs = self.open.iter();
        let own = pairs.filter(|pair| pair.family == family && !pair.is_check);
        let mut lacks = Vec::new();
        for lack in own.flat_map(|pair| pair.socket.lacks()) {
            if !lacks.contains(lack) {
                lacks.push(*lack);
            }
        }
        lacks
    }

    /// The first of a family: there is one, but for [more](Self::open_more) without privilege, and
    /// for [checks](Self::open_checks).
    pub(crate) fn of(&self, family: AddressFamily) -> Option<&Pair> {
        self.open.iter().find(|pair| pair.family == family)
    }

    /// Returns the first that sends probes of a protocol, rather one that sends to its port.
    pub(crate) fn of_protocol(
        &self,
        family: AddressFamily,
        protocol: ProbeProtocol,
    ) -> Option<&Pair> {
        let number = protocol.number(family);
        let is_its =
            |pair: &&Pair| pair.family == family && pair.options.protocol.number(family) == number;
        let its = self.open.iter().filter(is_its);
        its.min_by_key(|pair| pair.options.protocol.port() != protocol.port())
    }

    /// The ports that probes are connections to, where those are the kernel's.
    pub(crate) fn connects_to(&self) -> Vec<u16> {
        let open = self.open.iter();
        let by_tcp = open.filter(|pair| pair.socket.kind() == SocketKind::Tcp);
        by_tcp
            .filter_map(|pair| pair.options.protocol.port())
            .collect()
    }

    /// Forbids any further change of what the sockets receive, also to whoever should get hold of
    /// this process.
    pub(crate) fn lock_filters(&self) -> Result<(), Errno> {
        self.unfiltered.map_or(Ok(()), Err)?;
        self.open
            .iter()
            .try_for_each(|pair| pair.socket.lock_filter())
    }

    /// Why there is no socket of a family for a protocol.
    pub(crate) fn obstacle(&self, family: AddressFamily, protocol: ProbeProtocol) -> Error {
        let refused = self
            .refused
            .iter()
            .filter(|refused| refused.family == family);
        refused
            .min_by_key(|refused| refused.options.protocol != protocol)
            .map_or(Error::NoSocket(family), Refused::error)
    }

    /// Checks whether there are sockets of a family for a protocol.
    pub(crate) fn check(
        &self,
        family: AddressFamily,
        protocol: ProbeProtocol,
    ) -> Result<(), Error> {
        let is_its = |it: &&Refused| it.family == family && it.options.protocol == protocol;
        let refused = self.refused.iter().find(is_its);
        refused.map_or(Ok(()), |refused| Err(refused.error()))
    }
}

/// How many pairs this process may well have.
fn pairs_permitted() -> usize {
    files_permitted() / FILES_PER_PAIR
}
