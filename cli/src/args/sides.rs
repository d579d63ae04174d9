//! The sides of a comparison.

use hopshot_linux::compare::Side;
use hopshot_linux::{AddressFamily, ProbeProtocol, TcpOptions, UdpPayload};

/// The first port of classic traceroutes, where hardly anybody listens.
pub(super) const UNUSED: u16 = match ProbeProtocol::UNUSED_UDP.port() {
    Some(port) => port,
    None => 0,
};
pub(super) const HTTPS: u16 = 443;
pub(super) const DNS: u16 = 53;

/// The most sides that a screen has room for. Each asks every router as often as the others do.
const MOST: usize = 8;

/// The sides where none are named.
pub(super) const USUAL: &str = "icmp,udp,tcp";

/// The sides of a comparison: protocols, or families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sides(Vec<Side>);

/// Reads a list of sides.
pub(super) fn sides(text: &str) -> Result<Sides, String> {
    let sides: Vec<Side> = text.split(',').map(side).collect::<Result<_, _>>()?;
    let names: Vec<String> = sides.iter().map(|side| side.name()).collect();
    if let Some(twice) = (1..names.len()).find(|it| names[..*it].contains(&names[*it])) {
        return Err(format!("{} is there twice", names[twice]));
    }
    let is_family = |side: &&Side| matches!(side, Side::Family(_));
    match sides.iter().filter(is_family).count() {
        0 if sides.len() > MOST => Err(format!("at most {MOST} sides can be compared")),
        0 if sides.len() > 1 => Ok(Sides(sides)),
        2 if sides.len() == 2 => Ok(Sides(sides)),
        0 | 1 if sides.len() == 1 => {
            Err("one alone is no comparison: name two, such as icmp,tcp or 4,6".to_owned())
        }
        _ => Err("protocols and families can't be mixed: 4,6 stands alone".to_owned()),
    }
}

fn side(word: &str) -> Result<Side, String> {
    let (name, port) = match word.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (word, None),
    };
    let port = match port.map(|port| (port, port.parse::<u16>())) {
        None => None,
        Some((_, Ok(port))) if port > 0 => Some(port),
        Some((port, _)) => return Err(format!("'{port}' is no port: it must be 1 to 65535")),
    };
    let protocol = match (name, port) {
        ("icmp", None) => ProbeProtocol::Icmp,
        ("icmp", Some(_)) => return Err("ICMP has no ports".to_owned()),
        ("tcp", port) => ProbeProtocol::Tcp {
            port: port.unwrap_or(HTTPS),
            options: TcpOptions::Mss,
        },
        ("quic", port) => ProbeProtocol::Udp {
            port: port.unwrap_or(HTTPS),
            payload: UdpPayload::Quic,
        },
        ("udp", port) => ProbeProtocol::Udp {
            port: port.unwrap_or(UNUSED),
            payload: match port {
                Some(DNS) => UdpPayload::Dns,
                _ => UdpPayload::Plain,
            },
        },
        ("4", None) => return Ok(Side::Family(AddressFamily::V4)),
        ("6", None) => return Ok(Side::Family(AddressFamily::V6)),
        _ => {
            return Err(format!(
                "'{word}' is no side: they are icmp, udp, udp:PORT, tcp, tcp:PORT, quic, \
                 quic:PORT; or 4 and 6"
            ));
        }
    };
    Ok(Side::Protocol(protocol))
}

impl Sides {
    /// Whether they are families.
    pub(crate) fn are_families(&self) -> bool {
        matches!(self.0.as_slice(), [Side::Family(_), ..])
    }

    /// Whether one of them has ports.
    pub(super) fn have_ports(&self) -> bool {
        self.0
            .iter()
            .any(|side| matches!(side, Side::Protocol(protocol) if protocol.port().is_some()))
    }

    /// Whether one of them is by TCP.
    pub(super) fn have_tcp(&self) -> bool {
        self.0
            .iter()
            .any(|side| matches!(side, Side::Protocol(protocol) if protocol.is_tcp()))
    }

    /// Returns the name of the first that is by another protocol than this; `None` too where they
    /// are families.
    pub(super) fn other_than(&self, protocol: &str) -> Option<String> {
        let is_other = |side: &&Side| matches!(side, Side::Protocol(it) if it.as_str() != protocol);
        self.0.iter().find(is_other).map(|side| side.name())
    }

    /// The number of them.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Returns the sides, with TCP's options as they were asked for.
    pub(crate) fn with(&self, options: TcpOptions) -> Vec<Side> {
        let side = |side: &Side| match *side {
            Side::Protocol(ProbeProtocol::Tcp { port, .. }) => {
                Side::Protocol(ProbeProtocol::Tcp { port, options })
            }
            side => side,
        };
        self.0.iter().map(side).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<String>, String> {
        let sides = sides(text)?;
        Ok(sides.0.iter().map(|side| side.name()).collect())
    }

    #[test]
    fn sides_are_read_with_the_ports_that_they_have_or_the_usual_ones() {
        for (text, read) in [
            (USUAL, &["icmp", "udp:33434", "tcp:443"][..]),
            (
                "tcp:22,tcp,quic,udp:53",
                &["tcp:22", "tcp:443", "quic:443", "udp:53"],
            ),
            ("6,4", &["6", "4"]),
        ] {
            assert_eq!(names(text).unwrap(), read);
        }
    }

    #[test]
    fn what_is_no_comparison_is_refused_with_the_reason() {
        for (text, why) in [
            (
                "icmp",
                "one alone is no comparison: name two, such as icmp,tcp or 4,6",
            ),
            (
                "4",
                "one alone is no comparison: name two, such as icmp,tcp or 4,6",
            ),
            (
                "icmp,4",
                "protocols and families can't be mixed: 4,6 stands alone",
            ),
            (
                "4,6,icmp",
                "protocols and families can't be mixed: 4,6 stands alone",
            ),
            ("tcp,icmp,tcp:443", "tcp:443 is there twice"),
            ("icmp:1,tcp", "ICMP has no ports"),
            ("tcp:0,icmp", "'0' is no port: it must be 1 to 65535"),
            (
                "tcp:65536,icmp",
                "'65536' is no port: it must be 1 to 65535",
            ),
            ("tcp:,icmp", "'' is no port: it must be 1 to 65535"),
            (
                "tcp:1,tcp:2,tcp:3,tcp:4,tcp:5,tcp:6,tcp:7,tcp:8,tcp:9",
                "at most 8 sides can be compared",
            ),
        ] {
            assert_eq!(names(text), Err(why.to_owned()), "{text}");
        }
        for word in ["", "sctp", "ICMP", "4:1"] {
            let why = names(&format!("{word},tcp")).err().unwrap();
            assert!(why.starts_with(&format!("'{word}' is no side: ")), "{why}");
        }
    }
}
