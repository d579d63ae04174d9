//! What a tap on the wire saw: round trips by the kernel's stamps, from a capture that tcpdump
//! wrote.

use core::time::Duration;
use hopshot_core::wire::icmp::Message;
use hopshot_core::wire::ip;
use hopshot_core::{Answer, Echo, Protocol};
use std::collections::HashMap;

/// The first four octets of a capture with stamps in nanoseconds.
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const ETHERNET_HEADER: usize = 14;

/// An Echo Request on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// When it passed the tap, since the epoch.
    pub(super) at: Duration,
    /// The hop limit that it was sent with.
    pub(super) hop_limit: u8,
    /// From then until its first answer passed.
    pub(super) rtt: Option<Duration>,
}

/// All Echo Requests of a capture of Ethernet frames that was made on this machine, in the order of
/// their sending. `None` if it isn't such a capture.
pub(super) fn round_trips(capture: &[u8]) -> Option<Vec<Seen>> {
    let mut rest = capture
        .get(FILE_HEADER..)
        .filter(|_| word(capture, 0) == Some(NANOSECONDS))?;
    let (mut all, mut latest): (Vec<Seen>, HashMap<u32, usize>) = (Vec::new(), HashMap::new());
    while let (Some(seconds), Some(nanos), Some(len)) =
        (word(rest, 0), word(rest, 4), word(rest, 8))
    {
        let end = RECORD_HEADER + len as usize;
        let Some(frame) = rest.get(RECORD_HEADER..end) else {
            break;
        };
        rest = &rest[end..];
        let at = Duration::new(seconds.into(), nanos);
        let Some(Ok((header, message))) = frame.get(ETHERNET_HEADER..).map(ip::parse) else {
            continue;
        };
        if !header.is_icmp() {
            continue;
        }
        if let Ok(Message::EchoRequest(echo)) = Message::parse(header.ends, message) {
            latest.insert(u32::from(echo.ident) << 16 | u32::from(echo.seq), all.len());
            all.push(Seen {
                at,
                hop_limit: header.hop_limit,
                rtt: None,
            });
        } else if let Ok(answer) = Answer::parse(header.ends, Some(header.hop_limit), message)
            && let Ok(key) = Echo::key(&answer)
            && let Some(probe) = latest.get(&key).and_then(|index| all.get_mut(*index))
        {
            probe.rtt = probe.rtt.or_else(|| at.checked_sub(probe.at));
        }
    }
    Some(all)
}

/// A word in this machine's order of octets, which is tcpdump's.
fn word(octets: &[u8], at: usize) -> Option<u32> {
    octets
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopshot_core::wire::Ends;
    use hopshot_core::wire::checksum::Checksum;
    use hopshot_core::wire::icmp::Echo;

    const ENDS: Ends = Ends {
        source: core::net::IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 2)),
        destination: core::net::IpAddr::V4(core::net::Ipv4Addr::new(10, 255, 0, 80)),
    };

    fn capture(packets: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let mut file = NANOSECONDS.to_ne_bytes().to_vec();
        file.resize(FILE_HEADER, 0);
        for (nanos, packet) in packets {
            let len = u32::try_from(ETHERNET_HEADER + packet.len()).unwrap();
            for number in [7, *nanos, len, len] {
                file.extend(number.to_ne_bytes());
            }
            file.extend([0; ETHERNET_HEADER]);
            file.extend(packet);
        }
        file
    }

    fn packet(ends: Ends, hop_limit: u8, message: &[u8]) -> Vec<u8> {
        let mut header = [0; 60];
        let protocol = ip::PROTOCOL_ICMP;
        let len = ip::Header {
            ends,
            hop_limit,
            traffic_class: 0,
            protocol,
        }
        .emit(message.len(), &mut header)
        .unwrap();
        [&header[..len], message].concat()
    }

    fn echo(seq: u16, reply: bool) -> Vec<u8> {
        let (mut octets, echo) = (
            [0; 8],
            Echo {
                ident: 5,
                seq,
                payload: &[],
            },
        );
        let message = if reply {
            Message::EchoReply(echo)
        } else {
            Message::EchoRequest(echo)
        };
        message.emit(ENDS, &mut octets).unwrap();
        octets.to_vec()
    }

    #[test]
    fn a_round_trip_lasts_from_a_request_to_its_first_answer() {
        let request = |seq| packet(ENDS, 3, &echo(seq, false));
        let mut error = packet(
            ENDS.reversed(),
            60,
            &[&[11, 0, 0, 0, 0, 0, 0, 0][..], &request(1)].concat(),
        );
        let sum = Checksum::new().with(&error[20..]).finish();
        error[22..24].copy_from_slice(&sum.to_be_bytes());
        let reply = packet(ENDS.reversed(), 60, &echo(2, true));
        let packets = [
            (100, request(1)),
            (200, request(2)),
            (350, error),
            (450, reply.clone()),
            (900, reply),
        ];
        let seen = round_trips(&capture(&packets)).unwrap();
        let rtts: Vec<_> = seen
            .iter()
            .map(|seen| (seen.hop_limit, seen.rtt.unwrap().as_nanos()))
            .collect();
        assert_eq!(rtts, [(3, 250), (3, 250)]);
    }

    #[test]
    fn what_is_cut_short_is_read_as_far_as_it_goes_and_nothing_else_is_a_capture() {
        let whole = capture(&[
            (100, packet(ENDS, 3, &echo(1, false))),
            (200, packet(ENDS, 4, &echo(2, false))),
        ]);
        assert_eq!(round_trips(&whole).unwrap().len(), 2);
        assert_eq!(round_trips(&whole[..whole.len() - 1]).unwrap().len(), 1);
        assert_eq!(
            round_trips(b"not a capture, though it is long enough"),
            None
        );
    }
}
