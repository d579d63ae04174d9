//! ICMP datagram sockets, "ping sockets": icmp(7), Linux 3.0, for IPv6 3.11. The kernel knows each
//! by its ident (its port), sends nothing but Echo Requests by it, and gives it nothing but Echo
//! Replies with its ident, and in its error queue the errors that quote its ident.

use super::needs::{Lacks, Nicety};
use super::options::{OpenError, Options, endpoint, open};
use super::unprivileged::{Kind, Socket, bind, share};
use hopshot_core::wire::AddressFamily;
use hopshot_engine::SocketKind;
use rustix::io::Errno;
use std::os::fd::OwnedFd;

const PING: Kind = Kind {
    name: SocketKind::Ping,
    header_len: 0,
    restore: |_, _, _| Some(()),
};

/// Opens the pair, with the ident of the options, which others may have too, or with one that
/// nobody else has or gets.
///
/// # Errors
/// See [`OpenError`]; `Refused` also if no group of this process is in
/// `net.ipv4.ping_group_range`.
pub(super) fn open_pair(
    family: AddressFamily,
    options: &Options,
    mut lacks: Lacks,
) -> Result<Socket, OpenError> {
    // To the kernel 0 means any.
    let given = options.ident.filter(|ident| *ident != 0);
    let (sender, ident) = match given {
        Some(ident) => (
            open_sender(family, options, ident, true, &mut lacks)?,
            ident,
        ),
        None => open_alone(family, options, &mut lacks)?,
    };
    let receiver = open(family, PING.name, options.protocol)?;
    lacks.note(Nicety::OwnIdent, share([&sender], true));
    // The options are the sender's alone, as on raw sockets.
    let bound = rustix::net::bind(&receiver, &endpoint(family.unspecified(), 0, ident));
    if given.is_none() {
        // From now on nobody can bind the ident, and take the answers.
        lacks.note(Nicety::OwnIdent, share([&sender, &receiver], false));
    }
    let pair = (sender, bound.is_ok().then_some(receiver));
    Socket::new(PING, ident, pair, family, options, lacks)
}

/// Opens a sender with an ident. If it isn't to share it, it gets none that a socket has.
fn open_sender(
    family: AddressFamily,
    options: &Options,
    ident: u16,
    may_share: bool,
    lacks: &mut Lacks,
) -> Result<OwnedFd, OpenError> {
    let sender = open(family, PING.name, options.protocol)?;
    lacks.note(Nicety::OwnIdent, share([&sender], may_share));
    bind(&sender, family, options, ident)?;
    Ok(sender)
}

/// Opens a sender with an ident of its own, drawn at random: the kernel would take the next one
/// each time, so that who knows one knows the others.
fn open_alone(
    family: AddressFamily,
    options: &Options,
    lacks: &mut Lacks,
) -> Result<(OwnedFd, u16), OpenError> {
    /// Idents that are tried, as long as they are taken.
    const DRAWS: usize = 64;
    let mut draws = 1;
    loop {
        let mut ident = [0; 2];
        rustix::rand::getrandom(&mut ident, rustix::rand::GetRandomFlags::empty())?;
        let ident = u16::from_ne_bytes(ident).max(1);
        match open_sender(family, options, ident, false, lacks) {
            Err(OpenError::Other(Errno::ADDRINUSE)) if draws < DRAWS => draws += 1,
            opened => return opened.map(|sender| (sender, ident)),
        }
    }
}
