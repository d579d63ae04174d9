//! What is written is read back as it was, and every octet of it is written.

use crate::ends;
use arbitrary::{Arbitrary, Unstructured};
use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::icmp::{
    BALANCED_LEN, Echo, Error, HEADER_LEN, Message, QuotedEcho, Type, emit_balanced,
};
use hopshot_core::wire::{AddressFamily, BufferTooSmall, Ends, ip};

/// What is in the buffer before.
const STALE: u8 = 0xa5;
const SPACE: usize = 2048;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    v6: bool,
    ends_known: bool,
    icmp_type: u8,
    code: u8,
    rest: u32,
    ident: u16,
    seq: u16,
    checksum: u16,
    hop_limit: u8,
    traffic_class: u8,
    protocol: u8,
    too_short_by: u16,
    body: &'a [u8],
}

/// Decodes a message and a header from `octets`, and takes them there and back.
pub fn body(octets: &[u8]) {
    let Ok(mut input) = Input::arbitrary_take_rest(Unstructured::new(octets)) else {
        return;
    };
    input.body = &input.body[..input.body.len().min(SPACE - 100)];
    let family = if input.v6 {
        AddressFamily::V6
    } else {
        AddressFamily::V4
    };
    let mut ends = ends::of(family);
    if !input.ends_known {
        ends.source = family.unspecified();
    }
    message(&input, ends);
    balanced(&input, ends);
    header(&input, ends);
}

fn message(input: &Input<'_>, ends: Ends) {
    let echo = Echo {
        ident: input.ident,
        seq: input.seq,
        payload: input.body,
    };
    let family = ends.family();
    let error = |icmp_type| {
        Message::Error(Error {
            icmp_type,
            code: input.code,
            rest: input.rest,
            quoted: input.body,
        })
    };
    let message = match Type::from_number(family, input.icmp_type) {
        Some(Type::EchoRequest) => Message::EchoRequest(echo),
        Some(Type::EchoReply) | None => Message::EchoReply(echo),
        Some(icmp_type) => error(icmp_type),
    };
    let mut buf = [STALE; SPACE];
    let len = message.emit(ends, &mut buf).expect("there is space");
    assert_eq!(len, HEADER_LEN + input.body.len());
    assert_untouched(&buf[len..]);
    assert_eq!(Message::parse(ends, &buf[..len]), Ok(message));
    if ends.family() == AddressFamily::V4 || input.ends_known {
        assert_eq!(
            Checksum::of_ends(ends, len)
                .expect("known")
                .with(&buf[..len])
                .finish(),
            0
        );
    } else {
        assert_eq!(buf[2..4], [0, 0], "left to whoever knows both ends");
    }
    let short = len.saturating_sub(1 + usize::from(input.too_short_by));
    let mut buf = [STALE; SPACE];
    assert_eq!(
        message.emit(ends, &mut buf[..short]),
        Err(BufferTooSmall { needed: len })
    );
    assert_untouched(&buf);
}

fn balanced(input: &Input<'_>, ends: Ends) {
    let mut buf = [STALE; SPACE];
    let len = BALANCED_LEN + input.body.len();
    let message = &mut buf[..len];
    message[BALANCED_LEN..].copy_from_slice(input.body);
    emit_balanced(ends, input.ident, input.seq, input.checksum, message).expect("there is space");
    assert_eq!(&message[BALANCED_LEN..], input.body, "the payload stays");
    let known = ends.family() == AddressFamily::V4 || input.ends_known;
    let expected = if known { input.checksum } else { 0 };
    let quoted = QuotedEcho::parse(ends.family(), message).expect("a probe is an Echo Request");
    assert_eq!(quoted.checksum, expected, "exactly the checksum asked for");
    assert_eq!(
        (quoted.echo.ident, quoted.echo.seq),
        (input.ident, input.seq)
    );
    assert!(
        matches!(Message::parse(ends, message), Ok(Message::EchoRequest(echo)) if echo == quoted.echo)
    );
    if !known {
        assert_same_sum_for_another_seq(input, ends, message);
    }
    assert_untouched(&buf[len..]);
    let short = input.too_short_by.into();
    if short < BALANCED_LEN {
        let mut buf = [STALE; SPACE];
        let result = emit_balanced(
            ends,
            input.ident,
            input.seq,
            input.checksum,
            &mut buf[..short],
        );
        assert_eq!(
            result,
            Err(BufferTooSmall {
                needed: BALANCED_LEN
            })
        );
        assert_untouched(&buf);
    }
}

/// Whoever fills in the checksum finds the same one for every seq.
fn assert_same_sum_for_another_seq(input: &Input<'_>, ends: Ends, message: &[u8]) {
    let mut other = message.to_vec();
    emit_balanced(
        ends,
        input.ident,
        input.seq.wrapping_add(1),
        input.checksum,
        &mut other,
    )
    .expect("there is space");
    let sum = |octets: &[u8]| Checksum::new().with(octets).finish();
    assert_eq!(sum(message), sum(&other));
}

fn header(input: &Input<'_>, ends: Ends) {
    // What the parser walks over is no payload.
    let protocol = if matches!(input.protocol, 0 | 43 | 44 | 60) {
        icmp_protocol(ends.family())
    } else {
        input.protocol
    };
    let header = ip::Header {
        ends,
        hop_limit: input.hop_limit,
        traffic_class: input.traffic_class,
        protocol,
    };
    let mut buf = [STALE; SPACE];
    let len = header
        .emit(input.body.len(), &mut buf)
        .expect("there is space");
    assert_eq!(len, ip::header_len(ends.family()));
    buf[len..][..input.body.len()].copy_from_slice(input.body);
    assert_eq!(
        ip::parse(&buf),
        Ok((header, input.body)),
        "and the stale rest is cut off"
    );
    let packet = &buf[..len + input.body.len()];
    assert_eq!(ip::parse_quoted(packet), Ok((header, input.body)));
    assert_eq!(header.is_icmp(), protocol == icmp_protocol(ends.family()));
    if ends.family() == AddressFamily::V4 {
        assert_eq!(Checksum::new().with(&buf[..len]).finish(), 0);
    }
    assert_eq!(
        header.emit(0, &mut buf[..len - 1]),
        Err(BufferTooSmall { needed: len })
    );
}

const fn icmp_protocol(family: AddressFamily) -> u8 {
    match family {
        AddressFamily::V4 => ip::PROTOCOL_ICMP,
        AddressFamily::V6 => ip::PROTOCOL_ICMPV6,
    }
}

fn assert_untouched(octets: &[u8]) {
    assert!(octets.iter().all(|octet| *octet == STALE));
}
