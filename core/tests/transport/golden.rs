//! Octets, made by another program from RFC 768, RFC 9293, RFC 1035 and RFC 9000.

use crate::network::{BOTH, ends, octets};
use crate::{PAYLOADS, RANDOM, probe, tcp, udp};
use hopshot_core::wire::tcp::{Flags, HEADER_LEN, QuotedSegment, Segment, emit_syn, mss};
use hopshot_core::wire::udp::Datagram;
use hopshot_core::wire::{AddressFamily, BufferTooSmall, Ends, Malformed};
use hopshot_core::{Protocol, Tcp, TcpOptions, Udp, UdpPayload};

const SYNS: [&str; 2] = [
    "c0 de 01 bb 12 34 56 78 00 00 00 00 60 02 ff ff 80 48 00 00 02 04 05 b4",
    "c0 de 01 bb 12 34 56 78 00 00 00 00 60 02 ff ff 10 df 00 00 02 04 05 a0",
];
const SYN_ACKS: [&str; 2] = [
    "01 bb c0 de 9a bc de f0 12 34 56 79 60 12 fa f0 0b 99 00 00 02 04 05 b4",
    "01 bb c0 de 9a bc de f0 12 34 56 79 60 12 fa f0 9c 2f 00 00 02 04 05 a0",
];

/// A datagram of each payload; of QUIC the first octets.
const DATAGRAMS: [(UdpPayload, u16, [&str; 2]); 3] = [
    (
        UdpPayload::Plain,
        33_434,
        [
            "c0 de 82 9a 00 20 12 35 6a d1 a1 b2 c3 d4 e5 f6 07 18 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
            "c0 de 82 9a 00 20 12 35 fb 53 a1 b2 c3 d4 e5 f6 07 18 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
        ],
    ),
    (
        UdpPayload::Dns,
        53,
        [
            "c0 de 00 35 00 30 12 35 e3 fd 01 00 00 01 00 00 00 00 00 01 00 00 02 00 01 \
             00 00 29 04 d0 00 00 00 00 00 0c 00 0a 00 08 a1 b2 c3 d4 e5 f6 07 18",
            "c0 de 00 35 00 30 12 35 74 80 01 00 00 01 00 00 00 00 00 01 00 00 02 00 01 \
             00 00 29 04 d0 00 00 00 00 00 0c 00 0a 00 08 a1 b2 c3 d4 e5 f6 07 18",
        ],
    ),
    (
        UdpPayload::Quic,
        443,
        [
            "c0 de 01 bb 04 b8 12 35 c0 1a 2a 3a 4a 08 a1 b2 c3 d4 e5 f6 07 18 08 00 a6 23 00 00 00 00 00 00",
            "c0 de 01 bb 04 b8 12 35 c0 1a 2a 3a 4a 08 a1 b2 c3 d4 e5 f6 07 18 08 00 36 a6 00 00 00 00 00 00",
        ],
    ),
];

#[test]
fn a_syn_is_written_as_it_is_read() {
    for (family, syn) in BOTH.into_iter().zip(SYNS) {
        let golden = octets(syn);
        let mut message = golden.clone();
        message[..HEADER_LEN].fill(0xa5);
        assert_eq!(
            emit_syn(
                ends(family),
                0xc0de,
                443,
                0x1234_5678,
                u16::MAX,
                &mut message
            ),
            Ok(())
        );
        assert_eq!(message, golden);
        let read = Segment::parse(ends(family), &golden).unwrap();
        let (source, destination, seq) = (0xc0de, 443, 0x1234_5678);
        assert_eq!(
            (read.source, read.destination, read.seq),
            (source, destination, seq)
        );
        assert_eq!((read.ack, read.flags), (0, Flags::SYN));
        let quoted = |octets: usize| QuotedSegment {
            source,
            destination,
            seq,
            window: (octets >= 16).then_some(u16::MAX),
            options: golden.get(HEADER_LEN..).filter(|_| octets == golden.len()),
        };
        for octets in 8..=golden.len() {
            let read = QuotedSegment::parse(&golden[..octets]);
            assert_eq!(read, Ok(quoted(octets)), "{octets} octets");
        }
        assert_eq!(
            mss(&golden[HEADER_LEN..]),
            Some(if family == AddressFamily::V4 {
                1460
            } else {
                1440
            })
        );
        assert_eq!(
            QuotedSegment::parse(&golden[..7]),
            Err(Malformed::Truncated)
        );
        let mut short = [0; 19];
        let needed = 20;
        let too_small = Err(BufferTooSmall { needed });
        assert_eq!(emit_syn(ends(family), 1, 2, 3, 4, &mut short), too_small);
    }
}

#[test]
fn a_syn_ack_is_read_and_every_octet_of_it_is_summed() {
    for (family, syn_ack) in BOTH.into_iter().zip(SYN_ACKS) {
        let golden = octets(syn_ack);
        let back = ends(family).reversed();
        let segment = Segment::parse(back, &golden).unwrap();
        assert_eq!((segment.source, segment.destination), (443, 0xc0de));
        assert_eq!((segment.seq, segment.ack), (0x9abc_def0, 0x1234_5679));
        assert!(segment.flags.contains(Flags::SYN) && segment.flags.contains(Flags::ACK));
        for at in 0..golden.len() {
            let mut wrong = golden.clone();
            wrong[at] ^= 0x10;
            assert!(Segment::parse(back, &wrong).is_err(), "octet {at}");
            assert!(Tcp::answer(back, None, &wrong).is_err(), "octet {at}");
        }
        for cut in 0..HEADER_LEN {
            assert_eq!(
                Segment::parse(back, &golden[..cut]),
                Err(Malformed::Truncated)
            );
        }
    }
}

#[test]
fn a_segment_has_a_whole_header_and_no_more_than_there_is() {
    for (family, syn_ack) in BOTH.into_iter().zip(SYN_ACKS) {
        // We don't know our address, so nothing is summed.
        let back = Ends {
            destination: family.unspecified(),
            ..ends(family).reversed()
        };
        let mut segment = octets(syn_ack);
        for words in 0..16 {
            segment[12] = words << 4;
            let is_possible = (5..=6).contains(&words);
            let expected = if is_possible {
                Ok(())
            } else {
                Err(Malformed::Header)
            };
            let read = Segment::parse(back, &segment).map(drop);
            assert_eq!(read, expected, "{words} words");
        }
    }
}

#[test]
fn a_datagram_is_written_as_it_is_read() {
    let cookie = [0xa1, 0xb2, 0xc3, 0xd4, 0xe5, 0xf6, 0x07, 0x18];
    for (payload, port, golden) in DATAGRAMS {
        for (family, golden) in BOTH.into_iter().zip(golden) {
            let golden = octets(golden);
            // The checksum is one more than the sum of `first` and the index.
            let udp = Udp {
                source_port: 0xc0de,
                first: 0x1230,
                cookie,
                ..Udp::new(port, payload, RANDOM)
            };
            let message = probe(&udp, ends(family), 4);
            assert_eq!(message[..golden.len()], golden, "{payload:?}");
            assert!(message[golden.len()..].iter().all(|octet| *octet == 0));
            let read = Datagram::parse(ends(family), &message).unwrap();
            assert_eq!((read.source, read.destination), (0xc0de, port));
            assert_eq!((read.checksum, read.payload), (0x1235, &message[8..]));
            assert_eq!(message.len(), 8 + usize::from(udp.payload_len));
            for at in 0..golden.len() {
                let mut wrong = message.clone();
                wrong[at] ^= 0x10;
                assert!(Datagram::parse(ends(family), &wrong).is_err(), "octet {at}");
            }
            for cut in 0..message.len() {
                assert!(Datagram::parse(ends(family), &message[..cut]).is_err());
            }
        }
    }
}

#[test]
fn a_datagram_without_a_checksum_is_read_and_one_of_an_impossible_length_is_not() {
    let mut datagram = octets("00 35 c0 de 00 0a 00 00 ab cd 99 99");
    for family in BOTH {
        let read = Datagram::parse(ends(family).reversed(), &datagram).unwrap();
        assert_eq!(
            read.payload,
            [0xab, 0xcd],
            "what the length leaves out is padding"
        );
    }
    // It may be empty.
    datagram[5] = 8;
    let read = Datagram::parse(ends(AddressFamily::V4), &datagram);
    assert_eq!(read.map(|read| read.payload), Ok(&[][..]));
    for (length, error) in [(7, Malformed::Header), (13, Malformed::Truncated)] {
        datagram[5] = length;
        assert_eq!(
            Datagram::parse(ends(AddressFamily::V4), &datagram),
            Err(error)
        );
    }
}

#[test]
fn a_full_syn_has_the_options_of_browsers_systems() {
    for (family, mss) in BOTH.into_iter().zip([0x05b4_u16, 0x05a0]) {
        let tcp = Tcp {
            options: TcpOptions::Full,
            ..tcp()
        };
        let message = probe(&tcp, ends(family), 0);
        assert_eq!(message.len(), 40);
        assert_eq!(message[12] >> 4, 10, "the data begins behind ten words");
        let mut rest = &message[20..];
        let mut kinds = Vec::new();
        while let [kind, others @ ..] = rest {
            kinds.push(*kind);
            let len = if *kind == 1 {
                1
            } else {
                usize::from(others[0])
            };
            if *kind == 2 {
                assert_eq!(rest[2..4], mss.to_be_bytes());
            }
            rest = &rest[len..];
        }
        assert_eq!(
            kinds,
            [2, 4, 8, 1, 3],
            "MSS, SACK, timestamps, padding, window scale"
        );
        assert!(Segment::parse(ends(family), &message).is_ok());
    }
}

#[test]
fn where_an_end_is_not_known_there_is_no_checksum() {
    for family in BOTH {
        let ends = Ends {
            source: family.unspecified(),
            ..ends(family)
        };
        assert_eq!(probe(&tcp(), ends, 3)[16..18], [0, 0]);
        for payload in PAYLOADS {
            assert_eq!(probe(&udp(payload), ends, 3)[6..8], [0, 0]);
        }
    }
}

#[test]
fn a_probe_needs_room() {
    for family in BOTH {
        for len in 0..24 {
            assert!(tcp().emit(ends(family), 0, &mut vec![0; len]).is_err());
        }
        for payload in PAYLOADS {
            let least = usize::from(payload.least()) + 8;
            for len in [0, 7, 8, 9, least - 1] {
                assert!(
                    udp(payload)
                        .emit(ends(family), 0, &mut vec![0; len])
                        .is_err()
                );
            }
            assert!(
                udp(payload)
                    .emit(ends(family), 0, &mut vec![0; least])
                    .is_ok()
            );
        }
    }
}
