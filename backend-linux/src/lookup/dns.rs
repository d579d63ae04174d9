//! TXT records over UDP: as much of a DNS client as looking up AS numbers takes. What comes back is
//! believed if it comes from the server that was asked, to the port that asked, with the question
//! and its random number in it; nothing else is looked at.

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How long each try waits: the first so short that a lost packet is made good while the output
/// still waits for the answer.
const TRIES: [Duration; 2] = [Duration::from_millis(150), Duration::from_secs(1)];
/// Without more being said a message has at most 512 octets (RFC 1035, section 2.3.4). Longer ones
/// come cut, which is no answer.
const LONGEST_MESSAGE: usize = 512;

/// The texts that a name has, if one of the servers says; each try asks the next of them.
pub(super) fn texts(servers: &[SocketAddr], name: &str) -> Option<Vec<String>> {
    let mut tries = TRIES.into_iter().zip(servers.iter().cycle());
    tries.find_map(|(patience, server)| ask(*server, name, patience).ok())
}

fn ask(server: SocketAddr, name: &str, patience: Duration) -> io::Result<Vec<String>> {
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
    let mut query = Packet::new_query(u16::from_be_bytes(id));
    query.set_flags(PacketFlag::RECURSION_DESIRED);
    query
        .questions
        .push(question(name).map_err(io::Error::other)?);

    let any = match server {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    // The kernel chooses a random port, and lets through only what the server sends to it.
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.send(&query.build_bytes_vec().map_err(io::Error::other)?)?;
    let until = Instant::now() + patience;
    let mut message = [0; LONGEST_MESSAGE];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut message) {
            Ok(len) => {
                if let Some(answer) = message
                    .get(..len)
                    .and_then(|message| answer(message, &query))
                {
                    return answer;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn question(name: &str) -> simple_dns::Result<Question<'_>> {
    Ok(Question::new(
        Name::new(name)?,
        QTYPE::TYPE(TYPE::TXT),
        QCLASS::CLASS(CLASS::IN),
        false,
    ))
}

/// Reads the texts of a message, if it is the answer to a query. A name that doesn't exist has
/// none.
fn answer(message: &[u8], query: &Packet<'_>) -> Option<io::Result<Vec<String>>> {
    let answer = Packet::parse(message).ok()?;
    let ([asked], [question]) = (query.questions.as_slice(), answer.questions.as_slice()) else {
        return None;
    };
    let is_answer = answer.has_flags(PacketFlag::RESPONSE)
        && (answer.id(), answer.opcode()) == (query.id(), OPCODE::StandardQuery)
        && (&question.qname, question.qtype, question.qclass)
            == (&asked.qname, asked.qtype, asked.qclass);
    if !is_answer {
        return None;
    }
    if answer.has_flags(PacketFlag::TRUNCATION) {
        return Some(Err(io::Error::other("the answer was cut")));
    }
    let code = answer.rcode();
    let texts = answer
        .answers
        .into_iter()
        .filter_map(|record| match record.rdata {
            RData::TXT(text) => String::try_from(text).ok(),
            _ => None,
        });
    Some(match code {
        RCODE::NoError => Ok(texts.collect()),
        RCODE::NameError => Ok(Vec::new()),
        refusal => Err(io::Error::other(format!("{refusal:?}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::TXT;

    const NAME: &str = "1.2.0.192.origin.as.example";

    fn message(mut packet: Packet<'_>, code: RCODE) -> Vec<u8> {
        let text = TXT::new()
            .with_string("64500 | 192.0.2.0/")
            .unwrap()
            .with_string("24 | ZZ")
            .unwrap();
        packet.questions.push(question(NAME).unwrap());
        packet.answers.push(ResourceRecord::new(
            Name::new(NAME).unwrap(),
            CLASS::IN,
            60,
            RData::TXT(text),
        ));
        *packet.rcode_mut() = code;
        packet.build_bytes_vec_compressed().unwrap()
    }

    fn query() -> Packet<'static> {
        let mut query = Packet::new_query(7);
        query.questions.push(question(NAME).unwrap());
        query
    }

    #[test]
    fn a_text_is_put_together_a_name_that_is_not_there_has_none_and_a_refusal_is_no_answer() {
        let said = |code| {
            answer(&message(Packet::new_reply(7), code), &query())
                .unwrap()
                .ok()
        };
        assert_eq!(
            said(RCODE::NoError),
            Some(vec!["64500 | 192.0.2.0/24 | ZZ".to_owned()])
        );
        assert_eq!(said(RCODE::NameError), Some(vec![]));
        assert_eq!(
            (said(RCODE::ServerFailure), said(RCODE::Refused)),
            (None, None)
        );
    }

    #[test]
    fn no_message_whatever_ends_the_helper() {
        let (message, query) = (message(Packet::new_reply(7), RCODE::NoError), query());
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 33) as usize % bound
        };
        let mut answered = 0;
        for _ in 0..100_000 {
            let mut message = message.clone();
            for _ in 0..below(4) {
                let at = below(message.len());
                message[at] = below(256) as u8;
            }
            if below(4) == 0 {
                message.truncate(below(message.len()));
            }
            answered += usize::from(answer(&message, &query).is_some());
        }
        assert!((10_000..90_000).contains(&answered), "{answered}");
    }
}
