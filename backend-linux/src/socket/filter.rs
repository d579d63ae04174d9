//! Which packets the kernel gives to a receiving socket at all: filters by type, and by ident.
//!
//! Every raw socket of a machine gets a copy of every ICMP packet that comes in. What a trace can't use is best turned away
//! before it wakes the process and fills the receive buffer. The filters here turn away only what
//! [`hopshot_core::wire`] could make no answer of; what passes is parsed and matched again.

use crate::sys::Instruction;
use hopshot_core::wire::Version;
use hopshot_core::wire::icmp::Type;

/// With more idents than this, Echo Replies and quoted Echo Requests of any ident pass: the list is searched one by one.
pub(super) const MAX_IDENTS: usize = 32;

/// A set of message types, as `ICMP_FILTER` and `ICMPV6_FILTER` want it: a bit for each type that is to be turned away.
pub(super) struct TypeFilter([u32; 8]);

impl TypeFilter {
    /// Turns every type away.
    pub(super) const NONE: Self = Self([u32::MAX; 8]);

    /// Turns away all but Echo Replies and errors.
    pub(super) fn answers(version: Version) -> Self {
        let mut blocked = [u32::MAX; 8];
        for number in errors(version).chain(Type::EchoReply.number(version)) {
            blocked[usize::from(number / 32)] &= !(1 << (number % 32));
        }
        Self(blocked)
    }

    /// The value of the socket option: one `u32` for IPv4, eight for IPv6.
    pub(super) fn value(&self, version: Version) -> Vec<u8> {
        let words = match version {
            Version::V4 => &self.0[..1],
            Version::V6 => &self.0,
        };
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }
}

/// The type numbers of the errors.
fn errors(version: Version) -> impl Iterator<Item = u8> {
    [Type::Unreachable, Type::PacketTooBig, Type::TimeExceeded, Type::ParameterProblem]
        .into_iter()
        .filter_map(move |icmp_type| icmp_type.number(version))
}

/// The program that passes nothing.
pub(super) fn pass_nothing() -> Vec<Instruction> {
    let mut program = Program::default();
    program.line(RETURN, 0);
    program.assemble()
}

/// The program that passes Echo Replies with one of `idents`, and errors that quote an Echo Request with one of them. Errors
/// in IPv6 whose quote has extension headers pass too: no loop can be written here to walk them.
///
/// A load from beyond the end of the packet ends a program with "no", so what is cut short before its ident doesn't pass.
pub(super) fn pass_idents(version: Version, idents: &[u16]) -> Vec<Instruction> {
    let mut program = match version {
        Version::V4 => find_ident_v4(),
        Version::V6 => find_ident_v6(),
    };
    program.at(Label::Judge);
    if idents.len() > MAX_IDENTS {
        program.jump(Label::Pass);
    }
    for ident in idents.iter().take(MAX_IDENTS) {
        program.if_equal(u32::from(*ident), Label::Pass);
    }
    program.at(Label::Drop);
    program.line(RETURN, 0);
    program.at(Label::Pass);
    program.line(RETURN, u32::MAX);
    program.assemble()
}

/// Brings the ident of an IPv4 packet to the accumulator. The program sees the outer IP header first.
fn find_ident_v4() -> Program {
    const PROTOCOL: u32 = 9;
    let mut program = Program::default();
    program.line(LOAD_INDEX_HEADER_LEN, 0);
    program.line(LOAD_OCTET_INDEXED, 0);
    program.sort_by_type(Version::V4);
    program.at(Label::Error);
    program.line(LOAD_OCTET_INDEXED, ICMP_LEN + PROTOCOL);
    program.unless_equal(1, Label::Drop);
    // The quoted header's length, in words of four octets, is added to the outer one's.
    program.line(LOAD_OCTET_INDEXED, ICMP_LEN);
    program.line(AND, 0x0f);
    program.line(SHIFT_LEFT, 2);
    program.line(ADD_INDEX, 0);
    program.line(MOVE_TO_INDEX, 0);
    program.line(LOAD_OCTET_INDEXED, ICMP_LEN);
    program.unless_equal(number(Type::EchoRequest, Version::V4), Label::Drop);
    program.line(LOAD_WORD16_INDEXED, ICMP_LEN + IDENT);
    program.jump(Label::Judge);
    program.at(Label::Reply);
    program.line(LOAD_WORD16_INDEXED, IDENT);
    program
}

/// Brings the ident of an ICMPv6 message to the accumulator. The program sees the message without its outer header.
fn find_ident_v6() -> Program {
    const NEXT_HEADER: u32 = 6;
    const IPV6_LEN: u32 = 40;
    let mut program = Program::default();
    program.line(LOAD_OCTET, 0);
    program.sort_by_type(Version::V6);
    program.at(Label::Error);
    program.line(LOAD_OCTET, ICMP_LEN + NEXT_HEADER);
    for extension in [0, 43, 44, 60] {
        program.if_equal(extension, Label::Pass);
    }
    program.unless_equal(58, Label::Drop);
    program.line(LOAD_OCTET, ICMP_LEN + IPV6_LEN);
    program.unless_equal(number(Type::EchoRequest, Version::V6), Label::Drop);
    program.line(LOAD_WORD16, ICMP_LEN + IPV6_LEN + IDENT);
    program.jump(Label::Judge);
    program.at(Label::Reply);
    program.line(LOAD_WORD16, IDENT);
    program
}

fn number(icmp_type: Type, version: Version) -> u32 {
    icmp_type.number(version).unwrap_or_default().into()
}

/// The octets of an ICMP header, and where in it the ident is.
const ICMP_LEN: u32 = 8;
const IDENT: u32 = 4;

// Classic BPF (linux/bpf_common.h): an accumulator, an index register, and codes made of class | size or operation | mode.
const LOAD_OCTET: u16 = 0x30;
const LOAD_WORD16: u16 = 0x28;
const LOAD_OCTET_INDEXED: u16 = 0x50;
const LOAD_WORD16_INDEXED: u16 = 0x48;
/// index = 4 * (octet & 0x0f): made for IPv4 headers.
const LOAD_INDEX_HEADER_LEN: u16 = 0xb1;
const AND: u16 = 0x54;
const SHIFT_LEFT: u16 = 0x64;
const ADD_INDEX: u16 = 0x0c;
const MOVE_TO_INDEX: u16 = 0x07;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
/// Ends the program: how many octets of the packet pass.
const RETURN: u16 = 0x06;

/// A place in a program that a jump can lead to.
#[derive(Clone, Copy)]
enum Label {
    /// An error was received: find the ident in its quote.
    Error,
    /// An Echo Reply was received: its ident is in its header.
    Reply,
    /// The ident is in the accumulator.
    Judge,
    Drop,
    Pass,
}

/// One instruction; a jump without a label goes to the next line.
struct Line {
    code: u16,
    k: u32,
    yes: Option<Label>,
    no: Option<Label>,
}

/// A program in the making: its lines, and where its labels stand.
#[derive(Default)]
struct Program {
    lines: Vec<Line>,
    places: [usize; 5],
}

impl Program {
    /// Adds a line.
    fn line(&mut self, code: u16, k: u32) {
        self.lines.push(Line { code, k, yes: None, no: None });
    }

    /// Adds a line that goes to `label` if the accumulator is `k`, and on to the next line if not.
    fn if_equal(&mut self, k: u32, label: Label) {
        self.lines.push(Line { code: JUMP_IF_EQUAL, k, yes: Some(label), no: None });
    }

    /// Adds a line that goes to `label` unless the accumulator is `k`.
    fn unless_equal(&mut self, k: u32, label: Label) {
        self.lines.push(Line { code: JUMP_IF_EQUAL, k, yes: None, no: Some(label) });
    }

    /// Adds a line that goes to `label`.
    fn jump(&mut self, label: Label) {
        self.lines.push(Line { code: JUMP, k: 0, yes: Some(label), no: None });
    }

    fn at(&mut self, label: Label) {
        self.places[label as usize] = self.lines.len();
    }

    /// With the message's type in the accumulator: goes on at `Reply`, `Error` or `Drop`.
    fn sort_by_type(&mut self, version: Version) {
        self.if_equal(number(Type::EchoReply, version), Label::Reply);
        for error in errors(version) {
            self.if_equal(error.into(), Label::Error);
        }
        self.jump(Label::Drop);
    }

    /// Turns labels into distances. A program here has at most 60 lines, so every distance fits its octet.
    fn assemble(&self) -> Vec<Instruction> {
        let distance = |from: usize, label: Option<Label>| {
            label.map_or(0, |label| self.places[label as usize].saturating_sub(from + 1))
        };
        let short = |distance| u8::try_from(distance).unwrap_or(u8::MAX);
        let assembled = self.lines.iter().enumerate().map(|(at, line)| {
            let (yes, no) = (distance(at, line.yes), distance(at, line.no));
            match line.code {
                JUMP => Instruction { code: JUMP, jt: 0, jf: 0, k: yes as u32 },
                code => Instruction { code, jt: short(yes), jf: short(no), k: line.k },
            }
        });
        assembled.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopshot_core::wire::icmp::{Echo, Error, Message, QuotedEcho};
    use hopshot_core::wire::{Ends, ip};

    const IDENTS: [u16; 3] = [0x1234, 0, 0xffff];

    /// A classic BPF machine for the instructions used here: whether `packet` passes.
    fn passes(program: &[Instruction], packet: &[u8]) -> bool {
        let load = |at: u32, len: usize| -> Option<u32> {
            let octets = packet.get(at as usize..)?.get(..len)?;
            Some(octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet)))
        };
        let (mut a, mut x, mut at) = (0_u32, 0_u32, 0);
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            at += 1;
            let loaded = match code {
                LOAD_OCTET => load(k, 1),
                LOAD_WORD16 => load(k, 2),
                LOAD_OCTET_INDEXED => load(x + k, 1),
                LOAD_WORD16_INDEXED => load(x + k, 2),
                LOAD_INDEX_HEADER_LEN => load(k, 1).inspect(|octet| x = (octet & 0x0f) * 4).map(|_| a),
                AND => Some(a & k),
                SHIFT_LEFT => Some(a << k),
                ADD_INDEX => Some(a + x),
                MOVE_TO_INDEX | JUMP | JUMP_IF_EQUAL => Some(a),
                RETURN => return k != 0,
                _ => panic!("not an instruction: {code:#x}"),
            };
            let Some(loaded) = loaded else { return false };
            a = loaded;
            match code {
                MOVE_TO_INDEX => x = a,
                JUMP => at += k as usize,
                JUMP_IF_EQUAL => at += usize::from(if a == k { jt } else { jf }),
                _ => {}
            }
        }
    }

    fn ends(version: Version) -> Ends {
        let (source, destination) = match version {
            Version::V4 => ("192.0.2.1", "192.0.2.2"),
            Version::V6 => ("2001:db8::1", "2001:db8::2"),
        };
        Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    /// `message` as the filter sees it: after an IP header in IPv4, which gets `options` words of padding.
    fn packet(version: Version, options: usize, message: &[u8]) -> Vec<u8> {
        let protocol = if version == Version::V4 { 1 } else { 58 };
        let header = ip::Header { ends: ends(version), hop_limit: 9, traffic_class: 0, protocol };
        let mut octets = vec![0; ip::header_len(version)];
        header.emit(options * 4 + message.len(), &mut octets).unwrap();
        if version == Version::V4 {
            octets[0] += options as u8;
            octets.resize(20 + options * 4, 1);
        }
        [&octets, message].concat()
    }

    fn emitted(version: Version, message: Message<'_>) -> Vec<u8> {
        let mut octets = vec![0; 200];
        let len = message.emit(ends(version), &mut octets).unwrap();
        octets.truncate(len);
        octets
    }

    fn echo(ident: u16) -> Echo<'static> {
        Echo { ident, seq: 7, payload: &[5; 8] }
    }

    fn error(version: Version, icmp_type: Type, options: usize, quoted: Message<'_>) -> Vec<u8> {
        let quoted = packet(version, options, &emitted(version, quoted));
        emitted(version, Message::Error(Error { icmp_type, code: 0, rest: 0, quoted: &quoted }))
    }

    /// What the kernel's filter sees of a message: in IPv6 no outer header.
    fn seen(version: Version, options: usize, message: &[u8]) -> Vec<u8> {
        match version {
            Version::V4 => packet(version, options, message),
            Version::V6 => message.to_vec(),
        }
    }

    const ERRORS: [Type; 3] = [Type::Unreachable, Type::TimeExceeded, Type::ParameterProblem];

    #[test]
    fn what_has_the_ident_passes_behind_any_options() {
        for version in [Version::V4, Version::V6] {
            let program = pass_idents(version, &IDENTS);
            for (ident, ours) in [(0x1234, true), (0, true), (0xffff, true), (0x1235, false), (0x3412, false)] {
                for options in 0..=10 {
                    let reply = emitted(version, Message::EchoReply(echo(ident)));
                    assert_eq!(passes(&program, &seen(version, options, &reply)), ours);
                    let request = emitted(version, Message::EchoRequest(echo(ident)));
                    assert!(!passes(&program, &seen(version, options, &request)));
                    for icmp_type in ERRORS {
                        let quoting = if version == Version::V4 { 10 - options } else { 0 };
                        let about_probe = error(version, icmp_type, quoting, Message::EchoRequest(echo(ident)));
                        assert_eq!(passes(&program, &seen(version, options, &about_probe)), ours);
                        let about_reply = error(version, icmp_type, quoting, Message::EchoReply(echo(ident)));
                        assert!(!passes(&program, &seen(version, options, &about_reply)));
                    }
                }
            }
            assert!(!passes(&pass_nothing(), &seen(version, 0, &emitted(version, Message::EchoReply(echo(0x1234))))));
        }
    }

    #[test]
    fn packet_too_big_passes_and_extension_headers_pass_unjudged() {
        let program = pass_idents(Version::V6, &IDENTS);
        let mut message = error(Version::V6, Type::PacketTooBig, 0, Message::EchoRequest(echo(0x1234)));
        assert!(passes(&program, &message));
        for (next_header, pass) in [(0, true), (43, true), (44, true), (60, true), (6, false), (17, false), (1, false)]
        {
            message[8 + 6] = next_header;
            assert_eq!(passes(&program, &message), pass);
        }
    }

    #[test]
    fn any_number_of_idents_makes_a_program_that_works() {
        for version in [Version::V4, Version::V6] {
            for count in 0..=MAX_IDENTS as u16 + 2 {
                let idents: Vec<u16> = (1..=count).collect();
                let program = pass_idents(version, &idents);
                for ident in 1..=count + 1 {
                    let message = error(version, Type::TimeExceeded, 0, Message::EchoRequest(echo(ident)));
                    let expected = ident <= count || usize::from(count) > MAX_IDENTS;
                    assert_eq!(passes(&program, &seen(version, 0, &message)), expected, "{count} idents");
                }
            }
        }
    }

    /// Whether the core could match this message to a probe with one of the idents.
    fn of_use(version: Version, message: &[u8]) -> bool {
        // An unknown end leaves the ICMPv6 checksum alone; the IPv4 one is made right by the caller.
        let ends = Ends { source: version.unspecified(), destination: version.unspecified() };
        let ident = match Message::parse(ends, message) {
            Ok(Message::EchoReply(echo)) => echo.ident,
            Ok(Message::Error(error)) => match ip::parse_quoted(error.quoted) {
                Ok((header, payload)) if header.is_icmp() && header.ends.version() == version => {
                    match QuotedEcho::parse(version, payload) {
                        Ok(quoted) => quoted.echo.ident,
                        Err(_) => return false,
                    }
                }
                _ => return false,
            },
            _ => return false,
        };
        IDENTS.contains(&ident)
    }

    #[test]
    fn nothing_that_the_core_could_match_is_turned_away() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 33) as usize % bound
        };
        let mut useful = 0;
        for _ in 0..200_000 {
            let version = if below(2) == 0 { Version::V4 } else { Version::V6 };
            let options = if version == Version::V4 { below(11) } else { 0 };
            let probe = Message::EchoRequest(echo(IDENTS[below(3)]));
            let mut message = match below(4) {
                0 => emitted(version, Message::EchoReply(echo(IDENTS[below(3)]))),
                kind => error(version, ERRORS[kind - 1], options, probe),
            };
            for _ in 0..below(3) {
                let at = below(message.len());
                message[at] = [below(256) as u8, below(64) as u8][below(2)];
            }
            message.truncate(message.len() - below(message.len() / 2));
            if version == Version::V4 && message.len() >= 4 {
                message[2..4].fill(0);
                let sum = hopshot_core::wire::checksum::Checksum::new().with(&message).finish();
                message[2..4].copy_from_slice(&sum.to_be_bytes());
            }
            if of_use(version, &message) {
                useful += 1;
                assert!(passes(&pass_idents(version, &IDENTS), &seen(version, below(11), &message)), "{message:02x?}");
            }
        }
        assert!(useful > 50_000, "only {useful} messages were of use");
    }

    #[test]
    fn the_type_filters_name_the_answers() {
        assert_eq!(TypeFilter::answers(Version::V4).0[0], !(1 << 0 | 1 << 3 | 1 << 11 | 1 << 12));
        let v6 = TypeFilter::answers(Version::V6);
        assert_eq!(v6.0, [!0b11110, !0, !0, !0, !0b10, !0, !0, !0]);
        assert_eq!(v6.value(Version::V6).len(), 32);
        assert_eq!(TypeFilter::NONE.value(Version::V4), [0xff; 4]);
    }
}
