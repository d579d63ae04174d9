//! The error queue of a ping socket: control messages, the kernel's report and the quoted octets.
//!
//! The first octet says where the probe went, the next two how many of the rest are control
//! messages. Numbers are in this machine's order, as from its kernel.

use crate::{ends, packets};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, Ends, Malformed, ip};
use hopshot_core::{Answer, Back, Echo, Kind, Protocol, Quoted};
use hopshot_linux::fuzzing::{control_messages, read};

/// The octets of a control message's header.
const HEADER_LEN: usize = 16;

/// Reads `octets` as a ping socket would, and as a slow model does.
pub fn body(octets: &[u8]) {
    let Some(([to, high, low], rest)) = octets.split_first_chunk() else {
        return;
    };
    let control_len = usize::from(u16::from_be_bytes([*high, *low])) % (rest.len() + 1);
    let (control, message) = rest.split_at(control_len);
    let peer = match to % 3 {
        0 => None,
        1 => Some(SocketAddr::new(ends::of(AddressFamily::V4).destination, 0)),
        _ => Some(SocketAddr::new(ends::of(AddressFamily::V6).destination, 0)),
    };
    let said = Said::of(control);
    let read = read(control, peer, message);
    assert_eq!(read.report, said.report.as_ref().map(Report::fields));
    assert_eq!(read.hop_limit, said.hop_limit);
    assert!(!read.is_stamped || said.has_stamp);
    let from = match &said.report {
        None => peer.map(|peer| peer.ip()),
        // An ICMP or an ICMPv6 error.
        Some(report) if matches!(report.0[4], 2 | 3) => report.offender(),
        Some(_) => None,
    };
    assert_eq!((read.from, read.answer.is_some()), (from, from.is_some()));
    let (Some(from), Some(answer)) = (from, read.answer) else {
        return;
    };
    if let Ok(answer) = &answer {
        assert_eq!((answer.from, answer.hop_limit), (from, said.hop_limit));
        within(answer, message);
        // A message without a report is an error with a quote of its own, or an Echo Reply; behind
        // a report an Echo Request.
        if said.report.is_some() || answer.kind == Kind::Reply {
            is_echo(answer, message);
        }
    }
    if let Some(report) = said.report {
        report.compare(from, &answer, message);
    }
}

/// What is read lies inside what came in.
fn within(answer: &Answer<'_>, message: &[u8]) {
    let whole = message.as_ptr_range();
    let inside = |part: &[u8]| {
        let part = part.as_ptr_range();
        assert!(whole.start <= part.start && part.end <= whole.end);
    };
    inside(packets::came_back(answer));
    assert!(answer.extensions.objects().count() <= message.len() / 4);
    answer
        .extensions
        .objects()
        .for_each(|object| inside(object.payload));
}

/// The message is the Echo that the answer names.
fn is_echo(answer: &Answer<'_>, message: &[u8]) {
    assert_eq!(packets::came_back(answer), message);
    assert_eq!(
        Echo::key(answer).expect("it was read").to_be_bytes(),
        message[4..8]
    );
}

/// What the control messages say, the slow way.
#[derive(Default)]
struct Said<'a> {
    report: Option<Report<'a>>,
    hop_limit: Option<u8>,
    has_stamp: bool,
}

impl<'a> Said<'a> {
    fn of(control: &'a [u8]) -> Self {
        let mut said = Self::default();
        let mut read = control_messages(control);
        let mut at = 0_u128;
        let number = |at: u128| {
            let at = usize::try_from(at).ok()?;
            Some(i32::from_ne_bytes(
                control.get(at..)?.first_chunk().copied()?,
            ))
        };
        let len = |at: u128| {
            let at = usize::try_from(at).ok()?;
            Some(usize::from_ne_bytes(
                control.get(at..)?.first_chunk().copied()?,
            ))
        };
        while let (Some(len), Some(level), Some(kind)) = (len(at), number(at + 8), number(at + 12))
        {
            let (start, end) = (at + HEADER_LEN as u128, at + len as u128);
            if len < HEADER_LEN || end > control.len() as u128 {
                break;
            }
            let data = &control[start as usize..end as usize];
            let theirs = read.next().expect("a whole control message is read");
            assert_eq!(theirs.as_ptr_range(), data.as_ptr_range());
            said.take(level, kind, data);
            at += (len as u128).next_multiple_of(8);
        }
        assert!(read.next().is_none(), "no control message but these");
        said
    }

    /// The last of each kind counts.
    fn take(&mut self, level: i32, kind: i32, data: &'a [u8]) {
        match (level, kind) {
            // SOL_SOCKET: SO_TIMESTAMPNS, SO_TIMESTAMPING.
            (1, 35 | 37) => self.has_stamp = true,
            // IPPROTO_IP: IP_TTL; IPPROTO_IPV6: IPV6_HOPLIMIT.
            (0, 2) | (41, 52) => {
                let value = <[u8; 4]>::try_from(data).ok().map(i32::from_ne_bytes);
                self.hop_limit = value
                    .filter(|value| (0..=255).contains(value))
                    .map(|value| value as u8);
            }
            // IP_RECVERR, IPV6_RECVERR.
            (0, 11) | (41, 25) => self.report = (data.len() >= 16).then_some(Report(data)),
            _ => {}
        }
    }
}

/// A `sock_extended_err` and the address behind it.
struct Report<'a>(&'a [u8]);

impl Report<'_> {
    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes(*self.0[at..].first_chunk().expect("it has 16 octets"))
    }

    /// Type, code, info and data.
    fn fields(&self) -> (u8, u8, u32, u32) {
        (self.0[5], self.0[6], self.word(8), self.word(12))
    }

    fn offender(&self) -> Option<IpAddr> {
        let address = &self.0[16..];
        match u16::from_ne_bytes(*address.first_chunk()?) {
            2 => Some(Ipv4Addr::from(*address.get(4..)?.first_chunk::<4>()?).into()),
            10 if address.len() >= 28 => {
                Some(Ipv6Addr::from(*address[8..].first_chunk::<16>()?).into())
            }
            _ => None,
        }
    }

    /// A raw socket gets the same error whole: it must say the same, wherever the kernel could have
    /// made this report of it.
    fn compare(&self, from: IpAddr, read: &Result<Answer<'_>, Malformed>, quoted: &[u8]) {
        let family = AddressFamily::of(from);
        let (number, code, info, data) = self.fields();
        let icmp_type = match Type::from_number(family, number) {
            Some(Type::EchoRequest | Type::EchoReply) | None => {
                return assert!(read.is_err(), "no error");
            }
            Some(icmp_type) => icmp_type,
        };
        if from.is_unspecified() {
            return;
        }
        let begin = data as usize & 0xffff;
        let unit = if family == AddressFamily::V4 { 4 } else { 8 };
        let words = if begin == 0 {
            Some(0)
        } else {
            words(begin + ip::header_len(family), unit)
        };
        let rest = match (family, icmp_type) {
            (AddressFamily::V4, _) => u32::from(words.unwrap_or(0)) << 16 | info & 0xffff,
            (AddressFamily::V6, Type::PacketTooBig) => info,
            (AddressFamily::V6, _) => u32::from(words.unwrap_or(0)) << 24,
        };
        let message = whole(family, from, [number, code], rest, quoted);
        let raw = Answer::parse(
            Ends {
                source: from,
                ..back(family)
            },
            None,
            &message,
        );
        let raw = raw.and_then(|raw| Echo::key(&raw).map(|_| raw));
        assert_eq!(read.is_ok(), raw.is_ok(), "{read:?}, {raw:?}");
        let (Ok(read), Ok(raw)) = (read, &raw) else {
            return;
        };
        assert_eq!(without_header(read), without_header(raw));
        assert_ne!(read.kind, Kind::Reply);
        // The kernel's verdict is left out: a ping socket judges as a raw one does.
        if words.is_some() {
            assert_eq!(read.extensions, raw.extensions);
        }
    }
}

/// The length of a quote as its error says it, if it can.
fn words(len: usize, unit: usize) -> Option<u8> {
    if len.is_multiple_of(unit) {
        u8::try_from(len / unit).ok()
    } else {
        None
    }
}

/// From a router to us.
fn back(family: AddressFamily) -> Ends {
    let Ends {
        source,
        destination,
    } = ends::of(family);
    Ends {
        source: destination,
        destination: source,
    }
}

/// The error as it was on the wire.
fn whole(family: AddressFamily, from: IpAddr, head: [u8; 2], rest: u32, quoted: &[u8]) -> Vec<u8> {
    let header = ip::Header {
        ends: ends::of(family),
        hop_limit: 1,
        traffic_class: 0,
        protocol: if family == AddressFamily::V4 {
            ip::PROTOCOL_ICMP
        } else {
            ip::PROTOCOL_ICMPV6
        },
    };
    let mut message = [&[head[0], head[1], 0, 0], &rest.to_be_bytes()[..]].concat();
    message.extend(packets::packet(&header, quoted));
    packets::put_right(family, from, &mut message);
    message
}

/// Without the quoted header, which a ping socket doesn't get, and what else is compared elsewhere.
fn without_header<'a>(answer: &Answer<'a>) -> Answer<'a> {
    let Back::Quoted(quoted) = answer.back else {
        panic!("{answer:?}")
    };
    let back = Back::Quoted(Quoted {
        destination: None,
        header: None,
        ..quoted
    });
    Answer {
        back,
        hop_limit: None,
        extensions: Default::default(),
        ..*answer
    }
}
