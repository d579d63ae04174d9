//! Answers: those of a document, and those that are told as they come.

use super::annotate::Annotate;
use super::value::{Target, milliseconds};
use crate::extensions::{OwnedExtensions, OwnedInterface, OwnedNodeId};
use crate::protocol::TargetAnswer;
use crate::route::HostReply;
use hopshot_core::wire::extensions::Label;
use serde::{Serialize, Serializer};
use std::net::IpAddr;

/// An answer that has just come, with the host whose trace it belongs to.
#[derive(Debug, Serialize)]
pub struct ReplyDocument<'a, K> {
    target: Target<'a>,
    /// The hop that the probe was sent to. The target answers those to farther hops too.
    hop: u8,
    #[serde(flatten)]
    answer: AnswerDocument<'a, K>,
}

/// An answer to a probe.
#[derive(Debug, Serialize)]
pub struct AnswerDocument<'a, K> {
    attempt: usize,
    from: IpAddr,
    #[serde(flatten)]
    known: K,
    rtt_ms: f64,
    /// The clocks that timed the answer's arrival and the probe's departure.
    clock: &'static str,
    sent_clock: &'static str,
    kind: &'static str,
    /// What the target said, if it is its own answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'static str>,
    /// Null where it isn't ICMP.
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u16>,
    reply_ttl: Option<u8>,
    quoted_ttl: Option<u8>,
    quoted_tos: Option<u8>,
    hops_back: Option<u8>,
    evidence: &'static str,
    changed: Vec<&'static str>,
    /// The source port of the probe, if it isn't that of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_port: Option<u16>,
    /// The maximum segment size that the quoted SYN had, if it isn't the one that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    mss: Option<u16>,
    #[serde(flatten)]
    appended: Appended<'a>,
}

/// What the router appended.
#[derive(Debug, Serialize)]
struct Appended<'a> {
    mpls: Vec<LabelDocument>,
    /// The first: hardly any router tells of more.
    interface: Option<InterfaceDocument<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more_interfaces: Vec<InterfaceDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeDocument<'a>>,
    unknown_objects: usize,
}

#[derive(Debug, Serialize)]
struct LabelDocument {
    label: u32,
    tc: u8,
    bottom: bool,
    ttl: u8,
}

#[derive(Debug, Serialize)]
struct InterfaceDocument<'a> {
    role: &'static str,
    index: Option<u32>,
    name: Option<&'a str>,
    address: Option<IpAddr>,
    mtu: Option<u32>,
}

#[derive(Debug, Serialize)]
struct NodeDocument<'a> {
    name: Option<&'a str>,
    address: Option<IpAddr>,
}

impl<'a, K> ReplyDocument<'a, K> {
    /// Makes the document of an answer.
    #[must_use]
    pub fn new(reply: &HostReply<'a>, annotations: &impl Annotate<Known = K>) -> Self {
        let probe = reply.reply.probe;
        Self {
            target: Target::new(reply.host, Some(reply.target)),
            hop: probe.hop,
            answer: AnswerDocument::new(probe.attempt.into(), reply, annotations),
        }
    }
}

impl Serialize for HostReply<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ReplyDocument::new(self, &()).serialize(serializer)
    }
}

impl<'a, K> AnswerDocument<'a, K> {
    pub(super) fn new(
        attempt: usize,
        told: &HostReply<'a>,
        annotations: &impl Annotate<Known = K>,
    ) -> Self {
        let HostReply {
            reply,
            answer,
            clocks,
            extensions,
            ..
        } = *told;
        let is_icmp = answer.is_none_or(TargetAnswer::is_icmp);
        Self {
            attempt,
            from: reply.from,
            known: annotations.known(reply.from),
            rtt_ms: milliseconds(reply.rtt),
            clock: clocks.received.as_str(),
            sent_clock: clocks.sent.as_str(),
            kind: answer.map_or(reply.kind.as_str(), TargetAnswer::kind),
            answer: answer.map(TargetAnswer::as_str),
            icmp_type: is_icmp.then_some(reply.icmp_type),
            icmp_code: is_icmp.then_some(reply.icmp_code),
            mtu: reply.mtu,
            reply_ttl: reply.hop_limit,
            quoted_ttl: reply.quoted_hop_limit,
            quoted_tos: reply.quoted_traffic_class,
            hops_back: reply.hops_back(),
            evidence: reply.evidence().as_str(),
            changed: told.changed(),
            source_port: told.detour,
            mss: extensions.syn.and_then(|syn| syn.mss),
            appended: extensions.into(),
        }
    }
}

impl<'a> From<&'a OwnedExtensions> for Appended<'a> {
    fn from(extensions: &'a OwnedExtensions) -> Self {
        let label = |label: &Label| LabelDocument {
            label: label.label,
            tc: label.traffic_class,
            bottom: label.bottom,
            ttl: label.ttl,
        };
        let mut interfaces = extensions.interfaces.iter().map(InterfaceDocument::from);
        Self {
            mpls: extensions.mpls.iter().map(label).collect(),
            interface: interfaces.next(),
            more_interfaces: interfaces.collect(),
            node: extensions.node.as_ref().map(NodeDocument::from),
            unknown_objects: extensions.unknown,
        }
    }
}

impl<'a> From<&'a OwnedInterface> for InterfaceDocument<'a> {
    fn from(interface: &'a OwnedInterface) -> Self {
        Self {
            role: interface.role.as_str(),
            index: interface.index,
            name: interface.name.as_deref(),
            address: interface.address,
            mtu: interface.mtu,
        }
    }
}

impl<'a> From<&'a OwnedNodeId> for NodeDocument<'a> {
    fn from(node: &'a OwnedNodeId) -> Self {
        Self {
            name: node.name.as_deref(),
            address: node.address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopshot_core::wire::extensions::Role;
    use serde_json::json;

    #[test]
    fn every_field_of_an_extension_is_there() {
        let interface = |role, name: Option<&str>| OwnedInterface {
            role,
            index: Some(7),
            name: name.map(str::to_owned),
            address: Some([10, 8, 0, 1].into()),
            mtu: Some(9000),
        };
        let some = OwnedExtensions {
            mpls: vec![Label {
                label: 24002,
                traffic_class: 3,
                bottom: false,
                ttl: 1,
            }],
            interfaces: vec![
                interface(Role::Incoming, Some("xe-0/0/1")),
                interface(Role::NextHop, None),
            ],
            node: Some(OwnedNodeId {
                name: Some("r1".into()),
                address: Some([10, 8, 0, 9].into()),
            }),
            unknown: 2,
            syn: None,
        };
        let document = |extensions| serde_json::to_value(Appended::from(extensions)).unwrap();
        let [first, second] = [("incoming", Some("xe-0/0/1")), ("next_hop", None)].map(
            |(role, name)| json!({"role": role, "index": 7, "name": name, "address": "10.8.0.1", "mtu": 9000}),
        );
        assert_eq!(
            document(&some),
            json!({
                "mpls": [{"label": 24002, "tc": 3, "bottom": false, "ttl": 1}],
                "interface": first,
                "more_interfaces": [second],
                "node": {"name": "r1", "address": "10.8.0.9"},
                "unknown_objects": 2,
            })
        );
        assert_eq!(
            document(&OwnedExtensions::default()),
            json!({"mpls": [], "interface": null, "unknown_objects": 0})
        );
    }
}
