//! What routers append to their answers, as text.

use hopshot_linux::extensions::{Label, OwnedExtensions, OwnedInterface, OwnedNodeId, Role};
use std::fmt::Write as _;

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

fn node(node: &OwnedNodeId) -> String {
    let fields = [
        node.address.map(|address| address.to_string()),
        node.name.as_ref().map(|name| format!("\"{name}\"")),
    ];
    let fields: Vec<String> = fields.into_iter().flatten().collect();
    format!("NODE:{}", fields.join(","))
}

fn interface(interface: &OwnedInterface) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> OwnedExtensions {
        let label = |label, bottom| Label {
            label,
            traffic_class: 3,
            bottom,
            ttl: 1,
        };
        let whole = OwnedInterface {
            role: Role::Incoming,
            index: Some(7),
            name: Some("xe-0/0/1".into()),
            address: Some([10, 8, 0, 1].into()),
            mtu: Some(9000),
        };
        let bare = OwnedInterface {
            role: Role::NextHop,
            index: None,
            name: None,
            address: None,
            mtu: Some(1500),
        };
        let node = Some(OwnedNodeId {
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
        let nameless = OwnedNodeId {
            name: None,
            address: None,
        };
        assert_eq!(node(&nameless), "NODE:");
        assert_eq!(text(&some()), expected);
    }
}
