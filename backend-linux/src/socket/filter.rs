//! Filters of the packets that the kernel gives to a receiving socket at all: by type, and by what
//! tells whose answer it is.
//!
//! Every raw socket of a machine gets a copy of every ICMP packet that comes in. What a trace can't
//! use is best turned away before it wakes the process and fills the receive buffer. The filters
//! here turn away only what [`hopshot_core::wire`] could make no answer of; what passes is parsed
//! and matched again.

use crate::sys::Instruction;
use hopshot_core::wire::AddressFamily;
use hopshot_core::wire::icmp::Type;
use hopshot_core::{Echo, Tcp};
use hopshot_engine::{ProbeProtocol, Probes};
use std::net::IpAddr;

/// The octets that tell the answers of a trace from those of others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// The ICMP identifier.
    pub(crate) ident: u16,
    /// The first half of the cookie, which stays where a translator changed the ident. Another
    /// trace has the same one in one of 2³² cases.
    pub(crate) cookie: [u8; 4],
    /// The last four octets of the target's address, where too little is quoted for anything else.
    pub(crate) target: [u8; 4],
}

impl Identity {
    /// The identity of a trace with this target.
    pub(crate) const fn of(echo: &Echo, target: IpAddr) -> Self {
        let [a, b, c, d, ..] = echo.cookie;
        let target = match target {
            IpAddr::V4(target) => target.octets(),
            IpAddr::V6(target) => {
                let [.., a, b, c, d] = target.octets();
                [a, b, c, d]
            }
        };
        Self {
            ident: echo.ident,
            cookie: [a, b, c, d],
            target,
        }
    }
}

/// The key by which the kernel knows the answers to one trace.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AnswerKey {
    /// The ident, cookie and target of Echo Requests.
    Echo(Identity),
    /// The source ports of UDP and TCP: an aligned block, by its first and how many they are.
    Ports(u16, u16),
}

impl AnswerKey {
    /// Returns the key of all Echo Requests with this ident.
    pub(crate) const fn of_ident(ident: u16) -> Self {
        let (cookie, target) = ([0; 4], [0; 4]);
        Self::Echo(Identity {
            ident,
            cookie,
            target,
        })
    }

    /// Returns the key of a trace with these probes and this target, if it has one.
    pub(crate) const fn of(probes: &Probes, target: IpAddr) -> Option<Self> {
        match probes {
            Probes::Echo(echo) => Some(Self::Echo(Identity::of(echo, target))),
            Probes::Udp(udp) => Some(Self::Ports(udp.source_port, 1)),
            Probes::Tcp(tcp) if tcp.detours => {
                let first = tcp.source_port & !(Tcp::PORTS - 1);
                Some(Self::Ports(first, Tcp::PORTS))
            }
            Probes::Tcp(tcp) => Some(Self::Ports(tcp.source_port, 1)),
            _ => None,
        }
    }
}

/// A set of message types, as `ICMP_FILTER` and `ICMPV6_FILTER` want it: a bit for each type that
/// is to be turned away.
pub(super) struct TypeFilter([u32; 8]);

impl TypeFilter {
    /// Turns every type away.
    pub(super) const NONE: Self = Self([u32::MAX; 8]);

    /// Turns away all but errors, and Echo Replies where they are answers to the probes.
    pub(super) fn answers(family: AddressFamily, protocol: ProbeProtocol) -> Self {
        let mut blocked = [u32::MAX; 8];
        let reply = Type::EchoReply.number(family);
        let reply = reply.filter(|_| protocol == ProbeProtocol::Icmp);
        for number in errors(family).chain(reply) {
            blocked[usize::from(number / 32)] &= !(1 << (number % 32));
        }
        Self(blocked)
    }

    /// The value of the socket option: one `u32` for IPv4, eight for IPv6.
    pub(super) fn value(&self, family: AddressFamily) -> Vec<u8> {
        let words = match family {
            AddressFamily::V4 => &self.0[..1],
            AddressFamily::V6 => &self.0,
        };
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }
}

/// The type numbers of the errors.
fn errors(family: AddressFamily) -> impl Iterator<Item = u8> {
    [
        Type::Unreachable,
        Type::PacketTooBig,
        Type::TimeExceeded,
        Type::ParameterProblem,
    ]
    .into_iter()
    .filter_map(move |icmp_type| icmp_type.number(family))
}

/// The program that passes nothing.
pub(super) fn pass_nothing() -> Vec<Instruction> {
    let mut program = Program::default();
    program.line(RETURN, 0);
    program.assemble()
}

/// The program that passes Echo Replies of this trace, and errors that quote an Echo Request of it:
/// by the ident, or, if that was changed on the way, by the cookie where as much came back; of
/// everybody if no trace is given. What quotes a packet to its target and is cut short before the
/// ident passes, to be counted. Errors in IPv6 whose quote has extension headers pass too: no
/// loop can be written here to walk them.
///
/// A load from beyond the end of the packet ends a program with "no".
pub(super) fn pass_answers(family: AddressFamily, trace: Option<&Identity>) -> Vec<Instruction> {
    let mut program = match family {
        AddressFamily::V4 => find_echo_v4(),
        AddressFamily::V6 => find_echo_v6(),
    };
    program.at(Label::Judge);
    program.line(LOAD_WORD16_INDEXED, IDENT);
    match trace {
        None => {
            program.jump(Label::Pass);
            program.at(Label::Short);
        }
        Some(trace) => {
            program.if_equal(trace.ident.into(), Label::Pass);
            program.line(LOAD_WORD32_INDEXED, COOKIE);
            program.if_equal(u32::from_be_bytes(trace.cookie), Label::Pass);
            program.jump(Label::Drop);
            program.at(Label::Short);
            program.line(LOAD_MEMORY, 0);
            program.if_equal(u32::from_be_bytes(trace.target), Label::Pass);
        }
    }
    program.end()
}

/// The program that passes errors about packets of this protocol, and of those in IPv6 with
/// extension headers of any.
pub(super) fn pass_errors_about(family: AddressFamily, protocol: u8) -> Vec<Instruction> {
    let mut program = Program::default();
    match family {
        AddressFamily::V4 => {
            program.line(LOAD_INDEX_HEADER_LEN, 0);
            program.line(LOAD_OCTET_INDEXED, ICMP_LEN + PROTOCOL);
        }
        AddressFamily::V6 => {
            program.line(LOAD_OCTET, ICMP_LEN + NEXT_HEADER);
            for extension in EXTENSIONS {
                program.if_equal(extension, Label::Pass);
            }
        }
    }
    program.if_equal(protocol.into(), Label::Pass);
    program.end()
}

/// The program that passes segments and datagrams from the port of the target to a block of our
/// ports: its first, and their number, a power of two.
/// If no port is given there are many traces, and segments to all ports pass: but of TCP only those
/// without data, and those that begin or reset a connection. The rest belongs to connections of
/// other programs.
pub(super) fn pass_from_target(
    family: AddressFamily,
    protocol: ProbeProtocol,
    ours: Option<(u16, u16)>,
) -> Vec<Instruction> {
    const DESTINATION: u32 = 2;
    const FLAGS: u32 = 13;
    const SYN_OR_RST: u32 = 0x06;
    /// RFC 9293, section 3.1: 15 words.
    const LONGEST_HEADER: u32 = 60;
    let mut program = Program::default();
    if family == AddressFamily::V4 {
        program.line(LOAD_INDEX_HEADER_LEN, 0);
    }
    program.line(LOAD_WORD16_INDEXED, 0);
    let port = protocol.port().unwrap_or_default();
    program.unless_equal(port.into(), Label::Drop);
    match (ours, protocol) {
        (Some((first, number)), _) => {
            program.line(LOAD_WORD16_INDEXED, DESTINATION);
            program.line(AND, u32::from(!(number - 1)));
            program.if_equal(first.into(), Label::Pass);
        }
        (None, ProbeProtocol::Tcp { .. }) => {
            program.line(LOAD_OCTET_INDEXED, FLAGS);
            program.if_any(SYN_OR_RST, Label::Pass);
            program.unless_longer(LONGEST_HEADER, Label::Pass);
        }
        (None, _) => program.jump(Label::Pass),
    }
    program.end()
}

/// Brings to the index where in an IPv4 packet the Echo is. The program sees the outer IP header
/// first.
fn find_echo_v4() -> Program {
    const DESTINATION: u32 = 16;
    let mut program = Program::default();
    program.line(LOAD_INDEX_HEADER_LEN, 0);
    program.line(LOAD_OCTET_INDEXED, 0);
    program.sort_by_type(AddressFamily::V4);
    program.at(Label::Error);
    program.line(LOAD_OCTET_INDEXED, ICMP_LEN + PROTOCOL);
    program.unless_equal(1, Label::Drop);
    program.line(LOAD_WORD32_INDEXED, ICMP_LEN + DESTINATION);
    program.line(STORE, 0);
    // The quoted header's length, in words of four octets, is added to the outer one's.
    program.line(LOAD_OCTET_INDEXED, ICMP_LEN);
    program.line(AND, 0x0f);
    program.line(SHIFT_LEFT, 2);
    program.line(ADD, ICMP_LEN);
    program.line(ADD_INDEX, 0);
    program.line(MOVE_TO_INDEX, 0);
    program.unless_whole();
    program.line(LOAD_OCTET_INDEXED, 0);
    program.unless_equal(number(Type::EchoRequest, AddressFamily::V4), Label::Drop);
    program
}

/// Brings to the index where in an ICMPv6 message the Echo is. The program sees the message without
/// its outer header, and begins with an index of zero.
fn find_echo_v6() -> Program {
    const IPV6_LEN: u32 = 40;
    const END_OF_DESTINATION: u32 = 36;
    let mut program = Program::default();
    program.line(LOAD_OCTET, 0);
    program.sort_by_type(AddressFamily::V6);
    program.at(Label::Error);
    program.line(LOAD_OCTET, ICMP_LEN + NEXT_HEADER);
    for extension in EXTENSIONS {
        program.if_equal(extension, Label::Pass);
    }
    program.unless_equal(58, Label::Drop);
    program.line(LOAD_WORD32, ICMP_LEN + END_OF_DESTINATION);
    program.line(STORE, 0);
    program.line(LOAD_INDEX, ICMP_LEN + IPV6_LEN);
    program.unless_whole();
    program.line(LOAD_OCTET_INDEXED, 0);
    program.unless_equal(number(Type::EchoRequest, AddressFamily::V6), Label::Drop);
    program
}

fn number(icmp_type: Type, family: AddressFamily) -> u32 {
    icmp_type.number(family).unwrap_or_default().into()
}

/// The places of the protocol in an IPv4 header, and of the next header in an IPv6 header.
const PROTOCOL: u32 = 9;
const NEXT_HEADER: u32 = 6;
/// IPv6 extension headers.
const EXTENSIONS: [u32; 4] = [0, 43, 44, 60];

/// The octets of an ICMP header; where in an Echo the ident is, and the cookie.
const ICMP_LEN: u32 = 8;
const IDENT: u32 = 4;
const COOKIE: u32 = hopshot_core::wire::icmp::BALANCED_LEN as u32;

// Classic BPF (linux/bpf_common.h): an accumulator, an index register, and codes made of class |
// size or operation | mode.
const LOAD_OCTET: u16 = 0x30;
const LOAD_WORD32: u16 = 0x20;
const LOAD_OCTET_INDEXED: u16 = 0x50;
const LOAD_WORD16_INDEXED: u16 = 0x48;
const LOAD_WORD32_INDEXED: u16 = 0x40;
/// index = k.
const LOAD_INDEX: u16 = 0x01;
const LOAD_LEN: u16 = 0x80;
const LOAD_MEMORY: u16 = 0x60;
const STORE: u16 = 0x02;
const SUBTRACT: u16 = 0x14;
/// index = 4 * (octet & 0x0f): made for IPv4 headers.
const LOAD_INDEX_HEADER_LEN: u16 = 0xb1;
const AND: u16 = 0x54;
const SHIFT_LEFT: u16 = 0x64;
const ADD: u16 = 0x04;
const ADD_INDEX: u16 = 0x0c;
const MOVE_TO_INDEX: u16 = 0x07;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_ANY: u16 = 0x45;
/// Jumps if the accumulator is the index or more.
const JUMP_UNLESS_BELOW_INDEX: u16 = 0x3d;
/// Ends the program: how many octets of the packet pass.
const RETURN: u16 = 0x06;

/// A place in a program that a jump can lead to.
#[derive(Clone, Copy)]
enum Label {
    /// An error was received: find the Echo in its quote.
    Error,
    /// The index says where the Echo is, which for an Echo Reply it does from the start.
    Judge,
    /// The quote ends before its ident; where it was to go is in memory.
    Short,
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
        self.lines.push(Line {
            code,
            k,
            yes: None,
            no: None,
        });
    }

    /// Adds a line that goes to `label` if the accumulator is `k`, and on to the next line if not.
    fn if_equal(&mut self, k: u32, label: Label) {
        self.lines.push(Line {
            code: JUMP_IF_EQUAL,
            k,
            yes: Some(label),
            no: None,
        });
    }

    /// Adds a line that goes to `label` if the accumulator has any of these bits, and on to the
    /// next line if not.
    fn if_any(&mut self, bits: u32, label: Label) {
        self.lines.push(Line {
            code: JUMP_IF_ANY,
            k: bits,
            yes: Some(label),
            no: None,
        });
    }

    /// Adds lines that go to `label` unless the packet has more octets than so many from the index
    /// on, which is lost.
    fn unless_longer(&mut self, octets: u32, label: Label) {
        self.line(LOAD_LEN, 0);
        self.line(AND, 0);
        self.line(ADD, octets + 1);
        self.line(ADD_INDEX, 0);
        self.line(MOVE_TO_INDEX, 0);
        self.line(LOAD_LEN, 0);
        self.lines.push(Line {
            code: JUMP_UNLESS_BELOW_INDEX,
            k: 0,
            yes: None,
            no: Some(label),
        });
    }

    /// Adds a line that goes to `label` unless the accumulator is `k`.
    fn unless_equal(&mut self, k: u32, label: Label) {
        self.lines.push(Line {
            code: JUMP_IF_EQUAL,
            k,
            yes: None,
            no: Some(label),
        });
    }

    /// Adds a line that goes to `label`.
    fn jump(&mut self, label: Label) {
        self.lines.push(Line {
            code: JUMP,
            k: 0,
            yes: Some(label),
            no: None,
        });
    }

    fn at(&mut self, label: Label) {
        self.places[label as usize] = self.lines.len();
    }

    /// With the index at a quoted Echo: goes to `Short` if its header isn't all there.
    fn unless_whole(&mut self) {
        self.line(LOAD_LEN, 0);
        self.line(SUBTRACT, ICMP_LEN);
        self.lines.push(Line {
            code: JUMP_UNLESS_BELOW_INDEX,
            k: 0,
            yes: None,
            no: Some(Label::Short),
        });
    }

    /// With the message's type in the accumulator: goes on at `Judge`, `Error` or `Drop`.
    fn sort_by_type(&mut self, family: AddressFamily) {
        self.if_equal(number(Type::EchoReply, family), Label::Judge);
        for error in errors(family) {
            self.if_equal(error.into(), Label::Error);
        }
        self.jump(Label::Drop);
    }

    /// Ends the program with what becomes of the packet: nothing if no jump has led elsewhere.
    fn end(mut self) -> Vec<Instruction> {
        self.at(Label::Drop);
        self.line(RETURN, 0);
        self.at(Label::Pass);
        self.line(RETURN, u32::MAX);
        self.assemble()
    }

    /// Turns labels into distances. A program here has fewer than 40 lines, so every distance fits
    /// its octet.
    fn assemble(&self) -> Vec<Instruction> {
        let distance = |from: usize, label: Option<Label>| {
            label.map_or(0, |label| {
                self.places[label as usize].saturating_sub(from + 1)
            })
        };
        let short = |distance| u8::try_from(distance).unwrap_or(u8::MAX);
        let assembled = self.lines.iter().enumerate().map(|(at, line)| {
            let (yes, no) = (distance(at, line.yes), distance(at, line.no));
            match line.code {
                JUMP => Instruction {
                    code: JUMP,
                    jt: 0,
                    jf: 0,
                    k: yes as u32,
                },
                code => Instruction {
                    code,
                    jt: short(yes),
                    jf: short(no),
                    k: line.k,
                },
            }
        });
        assembled.collect()
    }
}

#[cfg(test)]
mod tests;
