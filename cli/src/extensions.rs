//! What routers append to their answers, as text and as JSON.

use hopshot_linux::{Interface, Label, NodeId, OwnedExtensions, Role};
use serde::Serialize;
use std::fmt::Write as _;
use std::net::IpAddr;

/// In the manner of `traceroute -e`: `<MPLS:L=24001,E=0,S=1,T=1>`, labels of one stack with `/`
/// between them, and `<INC:7,10.8.0.1,"xe-0/0/1",mtu=9000>` with what the router told,
/// `<NODE:10.8.0.1,"r1">` with what it calls itself.
pub(crate) fn text(extensions: &OwnedExtensions) -> String {
    let mut text = String::new();
    let labels: Vec<String> = extensions.mpls.iter().map(label).collect();
    if !labels.is_empty() {
        let _ = write!(text, " <MPLS:{}>", labels.join("/"));
    }
    for of_router in &extensions.interfaces {
        let _ = write!(text, " <{}>", interface(of_router));
    }
    if let Some(of_router) = &extensions.node {
        let _ = write!(text, " <{}>", node(of_router));
    }
    if extensions.unknown > 0 {
        let _ = write!(text, " <unknown: {}>", extensions.unknown);
    }
    text.split_off(text.len().min(1))
}

fn label(label: &Label) -> String {
    let Label {
        label,
        traffic_class,
        bottom,
        ttl,
    } = label;
    format!(
        "L={label},E={traffic_class},S={},T={ttl}",
        u8::from(*bottom)
    )
}

fn node(node: &NodeId) -> String {
    let fields = [
        node.address.map(|address| address.to_string()),
        node.name.as_ref().map(|name| format!("\"{name}\"")),
    ];
    let fields: Vec<String> = fields.into_iter().flatten().collect();
    format!("NODE:{}", fields.join(","))
}

fn interface(interface: &Interface) -> String {
    let role = match interface.role {
        Role::Incoming => "INC",
        Role::IncomingSubIp => "SUB",
        Role::Outgoing => "OUT",
        Role::NextHop => "NXT",
    };
    let fields = [
        interface.index.map(|index| index.to_string()),
        interface.address.map(|address| address.to_string()),
        interface.name.as_ref().map(|name| format!("\"{name}\"")),
        interface.mtu.map(|mtu| format!("mtu={mtu}")),
    ];
    let fields: Vec<String> = fields.into_iter().flatten().collect();
    format!("{role}:{}", fields.join(","))
}

/// The fields of a probe in JSON.
#[derive(Serialize)]
pub(crate) struct Json {
    mpls: Vec<JsonLabel>,
    /// The first: hardly any router tells of more.
    interface: Option<JsonInterface>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more_interfaces: Vec<JsonInterface>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<JsonNodeId>,
    unknown_objects: usize,
}

#[derive(Serialize)]
struct JsonNodeId {
    name: Option<String>,
    address: Option<IpAddr>,
}

#[derive(Serialize)]
struct JsonLabel {
    label: u32,
    tc: u8,
    bottom: bool,
    ttl: u8,
}

#[derive(Serialize)]
struct JsonInterface {
    role: &'static str,
    index: Option<u32>,
    name: Option<String>,
    address: Option<IpAddr>,
    mtu: Option<u32>,
}

impl From<&OwnedExtensions> for Json {
    fn from(extensions: &OwnedExtensions) -> Self {
        let label = |label: &Label| JsonLabel {
            label: label.label,
            tc: label.traffic_class,
            bottom: label.bottom,
            ttl: label.ttl,
        };
        let mut interfaces = extensions.interfaces.iter().map(JsonInterface::from);
        Self {
            mpls: extensions.mpls.iter().map(label).collect(),
            interface: interfaces.next(),
            more_interfaces: interfaces.collect(),
            node: extensions.node.as_ref().map(|node| JsonNodeId {
                name: node.name.clone(),
                address: node.address,
            }),
            unknown_objects: extensions.unknown,
        }
    }
}

impl From<&Interface> for JsonInterface {
    fn from(interface: &Interface) -> Self {
        Self {
            role: interface.role.as_str(),
            index: interface.index,
            name: interface.name.clone(),
            address: interface.address,
            mtu: interface.mtu,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn some() -> OwnedExtensions {
        let label = |label, bottom| Label {
            label,
            traffic_class: 3,
            bottom,
            ttl: 1,
        };
        let whole = Interface {
            role: Role::Incoming,
            index: Some(7),
            name: Some("xe-0/0/1".into()),
            address: Some([10, 8, 0, 1].into()),
            mtu: Some(9000),
        };
        let bare = Interface {
            role: Role::NextHop,
            index: None,
            name: None,
            address: None,
            mtu: Some(1500),
        };
        let node = Some(NodeId {
            name: Some("r1".into()),
            address: Some([10, 8, 0, 9].into()),
        });
        let mut extensions = OwnedExtensions::default();
        extensions.mpls = vec![label(24002, false), label(16, true)];
        extensions.interfaces = vec![whole, bare];
        extensions.node = node;
        extensions.unknown = 2;
        extensions
    }

    #[test]
    fn extensions_are_written_as_other_traceroutes_do() {
        assert_eq!(text(&OwnedExtensions::default()), "");
        let expected = "<MPLS:L=24002,E=3,S=0,T=1/L=16,E=3,S=1,T=1> <INC:7,10.8.0.1,\"xe-0/0/1\",mtu=9000> \
                        <NXT:mtu=1500> <NODE:10.8.0.9,\"r1\"> <unknown: 2>";
        let nameless = NodeId {
            name: None,
            address: None,
        };
        assert_eq!(node(&nameless), "NODE:");
        assert_eq!(text(&some()), expected);
    }

    #[test]
    fn in_json_every_field_of_an_extension_is_there() {
        let document = serde_json::to_value(Json::from(&some())).unwrap();
        let interface = json!({"role": "incoming", "index": 7, "name": "xe-0/0/1", "address": "10.8.0.1", "mtu": 9000});
        assert_eq!(
            document["mpls"][0],
            json!({"label": 24002, "tc": 3, "bottom": false, "ttl": 1})
        );
        assert_eq!(
            (&document["interface"], &document["unknown_objects"]),
            (&interface, &2.into())
        );
        assert_eq!(document["more_interfaces"][0]["role"], "next_hop");
        assert_eq!(
            document["node"],
            json!({"name": "r1", "address": "10.8.0.9"})
        );
        let none = serde_json::to_value(Json::from(&OwnedExtensions::default())).unwrap();
        assert_eq!(
            none,
            json!({"mpls": [], "interface": null, "unknown_objects": 0})
        );
    }
}
