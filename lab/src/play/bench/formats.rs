//! What the tools print, read back: the addresses that each gives for each hop.

use serde::Deserialize;
use std::net::IpAddr;

/// How a tool prints a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A line for each hop: its number, and somewhere an address. traceroute, mtr's report,
    /// scamper, tsubame.
    Lines,
    /// hopshot's JSON document.
    Hopshot,
    /// ftr's.
    Ftr,
    /// trippy's.
    Trippy,
}

/// What a tool says about the target's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It accepts connections, or answers datagrams.
    Open,
    /// Nobody listens there.
    Closed,
}

impl State {
    /// What hopshot's JSON calls the target's answer.
    fn answered(answer: &str) -> Option<Self> {
        match answer {
            "syn_ack" | "datagram" => Some(Self::Open),
            "rst" | "port_unreachable" => Some(Self::Closed),
            _ => None,
        }
    }

    /// How traceroute marks the last line, and scamper.
    fn marked(word: &str) -> Option<Self> {
        match word {
            "<syn,ack>" | "[open]" => Some(Self::Open),
            "<rst,ack>" | "[closed]" => Some(Self::Closed),
            _ => None,
        }
    }
}

/// What a tool found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The addresses of hop 1, hop 2 ..., each once.
    hops: Vec<Vec<IpAddr>>,
    /// How many hops it marked as rate limited.
    pub(super) marked: usize,
    /// The state of the target's port.
    pub(super) state: Option<State>,
}

impl Found {
    /// Reads a tool's output; what can't be read was not found.
    pub(super) fn parse(format: Format, output: &str) -> Self {
        match format {
            Format::Lines => Self::lines(output),
            Format::Hopshot => serde_json::from_str(output)
                .map(Self::hopshot)
                .unwrap_or_default(),
            Format::Ftr => serde_json::from_str(output)
                .map(Self::ftr)
                .unwrap_or_default(),
            Format::Trippy => serde_json::from_str(output)
                .map(Self::trippy)
                .unwrap_or_default(),
        }
    }

    /// The addresses given for a hop (1-based).
    pub(super) fn at(&self, hop: usize) -> &[IpAddr] {
        hop.checked_sub(1)
            .and_then(|index| self.hops.get(index))
            .map_or(&[], Vec::as_slice)
    }

    /// How many hops it has, silent ones in between included.
    pub(super) fn len(&self) -> usize {
        self.hops.len()
    }

    /// How many of the first hops have an address.
    pub(super) fn named(&self, first: usize) -> usize {
        self.hops
            .iter()
            .take(first)
            .filter(|addresses| !addresses.is_empty())
            .count()
    }

    fn add(&mut self, hop: usize, address: IpAddr) {
        if (1..=255).contains(&hop) {
            self.hops.resize(self.hops.len().max(hop), Vec::new());
            let addresses = &mut self.hops[hop - 1];
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }

    fn lines(output: &str) -> Self {
        let mut found = Self::default();
        let mut hop = None;
        for line in output.lines() {
            let first = line.split_whitespace().next().unwrap_or_default();
            // mtr's report starts with `1.|--`.
            let number = first.split_once(".|").map_or(first, |(number, _)| number);
            // A line without a number goes on with the hop before it; what comes before the first
            // hop is a heading.
            hop = number.parse().ok().or(hop);
            found.state = line
                .split_whitespace()
                .find_map(State::marked)
                .or(found.state);
            if let Some(hop) = hop {
                let words = line
                    .split_whitespace()
                    .map(|word| word.trim_matches(['(', ')']));
                words
                    .filter_map(|word| word.parse().ok())
                    .for_each(|address| found.add(hop, address));
            }
        }
        found
    }

    fn hopshot(document: Hopshot) -> Self {
        let mut found = Self::default();
        for hop in document.hops {
            found.marked += usize::from(hop.rate_limited);
            for probe in hop.probes.into_iter().flatten() {
                let state = probe.answer.as_deref().and_then(State::answered);
                found.state = state.or(found.state);
                probe
                    .from
                    .into_iter()
                    .for_each(|from| found.add(hop.hop, from));
            }
        }
        found
    }

    fn ftr(document: Ftr) -> Self {
        let mut found = Self::default();
        for hop in document.hops {
            hop.address
                .into_iter()
                .for_each(|address| found.add(hop.ttl, address));
        }
        found
    }

    fn trippy(document: Trippy) -> Self {
        let mut found = Self::default();
        for hop in document.hops {
            hop.hosts
                .into_iter()
                .for_each(|host| found.add(hop.ttl, host.ip));
        }
        found
    }
}

/// What hopshot's document says of a trace as a whole.
#[derive(Deserialize)]
pub(super) struct Document {
    pub(super) distance: Option<u8>,
    pub(super) duration_ms: f64,
    pub(super) probes_sent: usize,
}

#[derive(Deserialize)]
struct Hopshot {
    hops: Vec<HopshotHop>,
}

#[derive(Deserialize)]
struct HopshotHop {
    hop: usize,
    #[serde(default)]
    rate_limited: bool,
    probes: Vec<Option<HopshotProbe>>,
}

/// One that could not be sent has no sender of an answer.
#[derive(Deserialize)]
struct HopshotProbe {
    from: Option<IpAddr>,
    answer: Option<String>,
}

#[derive(Deserialize)]
struct Ftr {
    hops: Vec<FtrHop>,
}

#[derive(Deserialize)]
struct FtrHop {
    ttl: usize,
    address: Option<IpAddr>,
}

#[derive(Deserialize)]
struct Trippy {
    hops: Vec<TrippyHop>,
}

#[derive(Deserialize)]
struct TrippyHop {
    ttl: usize,
    hosts: Vec<TrippyHost>,
}

#[derive(Deserialize)]
struct TrippyHost {
    ip: IpAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(format: Format, output: &str) -> Vec<String> {
        let found = Found::parse(format, output);
        let text = |hop: usize| {
            found
                .at(hop)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        (1..=found.len()).map(text).collect()
    }

    #[test]
    fn traceroute() {
        let output = "\
traceroute to 10.255.0.80 (10.255.0.80), 30 hops max, 60 byte packets
 1  10.1.0.1  8.822 ms
 2  *
 3  10.3.0.1  22.156 ms !H 10.3.1.1  22.2 ms  10.3.0.1  22.3 ms
10  10.255.0.80  82.145 ms
";
        let hops = [
            "10.1.0.1",
            "",
            "10.3.0.1 10.3.1.1",
            "",
            "",
            "",
            "",
            "",
            "",
            "10.255.0.80",
        ];
        assert_eq!(found(Format::Lines, output), hops);
        assert_eq!(Found::parse(Format::Lines, output).named(9), 2);
    }

    #[test]
    fn mtr() {
        let output = "\
Start: 2026-01-02T15:51:05+0000
HOST: machine          Loss%   Snt   Last   Avg  Best  Wrst StDev
  1.|-- 10.1.0.1        0.0%     1    7.1   7.1   7.1   7.1   0.0
  2.|-- ???            100.0     1    0.0   0.0   0.0   0.0   0.0
  3.|-- 2001:db8:3::1   0.0%     2   20.1  20.1  20.1  20.1   0.0
    |  `|-- 2001:db8:3:1::1
";
        assert_eq!(
            found(Format::Lines, output),
            ["10.1.0.1", "", "2001:db8:3::1 2001:db8:3:1::1"]
        );
    }

    #[test]
    fn scamper() {
        let output = "traceroute from 10.0.0.2 to 10.255.0.80\n 1  10.1.0.1  6.836 ms\n 2  *\n 3  10.255.0.80  80.030 ms\n";
        assert_eq!(
            found(Format::Lines, output),
            ["10.1.0.1", "", "10.255.0.80"]
        );
    }

    #[test]
    fn tsubame() {
        assert_eq!(
            found(Format::Lines, "1 10.1.0.1 10.1.0.1\n2 * *\n3 * 10.9.0.1\n"),
            ["10.1.0.1", "", "10.9.0.1"]
        );
    }

    #[test]
    fn hopshot() {
        let output = r#"{"target":{"name":"t","address":"10.255.0.80"},"source":"10.0.0.2","reached":true,"hops":[
            {"hop":1,"rate_limited":true,"probes":[{"attempt":1,"from":"10.1.0.1","rtt_ms":6.7},null,null]},
            {"hop":2,"probes":[null]},
            {"hop":3,"probes":[{"attempt":1,"error":"no route"},{"attempt":2,"from":"10.255.0.80","rtt_ms":80.1}]}]}"#;
        assert_eq!(
            found(Format::Hopshot, output),
            ["10.1.0.1", "", "10.255.0.80"]
        );
        assert_eq!(Found::parse(Format::Hopshot, output).marked, 1);
    }

    #[test]
    fn the_state_of_a_port() {
        let hopshot = |answer: &str| {
            format!(
                r#"{{"hops":[{{"hop":1,"probes":[{{"from":"10.1.0.1","answer":null}}]}},
                    {{"hop":2,"probes":[{{"from":"10.255.0.80","answer":"{answer}"}},null]}}]}}"#
            )
        };
        for (format, output, state) in [
            (
                Format::Lines,
                "12  10.255.0.80 <syn,ack>  80.0 ms\n".to_owned(),
                Some(State::Open),
            ),
            (
                Format::Lines,
                "12  10.255.0.80 <rst,ack>  80.0 ms\n".to_owned(),
                Some(State::Closed),
            ),
            (
                Format::Lines,
                "12  10.255.0.80  80.0 ms [closed]\n".to_owned(),
                Some(State::Closed),
            ),
            (
                Format::Lines,
                "12  10.255.0.80  80.0 ms\n13 *\n".to_owned(),
                None,
            ),
            (Format::Hopshot, hopshot("syn_ack"), Some(State::Open)),
            (Format::Hopshot, hopshot("datagram"), Some(State::Open)),
            (
                Format::Hopshot,
                hopshot("port_unreachable"),
                Some(State::Closed),
            ),
            (Format::Hopshot, hopshot("ack"), None),
        ] {
            assert_eq!(Found::parse(format, &output).state, state, "{output}");
        }
    }

    #[test]
    fn ftr() {
        let output = r#"{"version":"0.10.0","target":"10.255.0.80","public_ip":null,"hops":[
            {"ttl":1,"segment":"LAN","address":"10.1.0.1","hostname":null,"asn_info":null,"rtt_ms":7.1},
            {"ttl":2,"segment":null,"address":null,"hostname":null,"asn_info":null,"rtt_ms":null},
            {"ttl":3,"segment":"LAN","address":"10.255.0.80","hostname":null,"asn_info":null,"rtt_ms":81.7}]}"#;
        assert_eq!(found(Format::Ftr, output), ["10.1.0.1", "", "10.255.0.80"]);
    }

    #[test]
    fn trippy() {
        let output = r#"{"info":{"target":{"ip":"10.255.0.80","hostname":"t"}},"hops":[
            {"ttl":1,"hosts":[{"ip":"10.1.0.1","hostname":"a"},{"ip":"10.1.1.1","hostname":"b"}],"loss_pct":"0.00"},
            {"ttl":2,"hosts":[],"loss_pct":"100.00"},
            {"ttl":3,"hosts":[{"ip":"10.255.0.80","hostname":"t"}],"loss_pct":"0.00"}]}"#;
        assert_eq!(
            found(Format::Trippy, output),
            ["10.1.0.1 10.1.1.1", "", "10.255.0.80"]
        );
    }

    #[test]
    fn what_cannot_be_read_was_not_found() {
        for format in [Format::Lines, Format::Hopshot, Format::Ftr, Format::Trippy] {
            for output in [
                "",
                "thread 'main' panicked at src/x.rs:1",
                "{\"hops\":[",
                "0 10.0.0.1",
            ] {
                assert_eq!(
                    Found::parse(format, output).named(255),
                    0,
                    "{format:?} {output}"
                );
            }
        }
    }
}
