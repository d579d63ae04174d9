//! Results as documents: they have what the schemas of the command ask for, but for what only the
//! command knows.
#![cfg(feature = "serde")]

use hopshot_core::wire::AddressFamily;
use hopshot_engine::document::{Annotate, TraceDocument};
use hopshot_engine::{
    Compare, ComparePaths, Exploration, Job, PathMtu, ProbeProtocol, ProbeSettings, Side, SidePlan,
    SocketKind, Step, TcpOptions, Thoroughness, Trace, UdpPayload,
};
use hopshot_lab::{Error, Machine, Scenario};
use serde::Serialize;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

const SCHEMAS: [(&str, &str); 5] = [
    (
        "hopshot.schema.json",
        include_str!("../../cli/schema/hopshot.schema.json"),
    ),
    (
        "paths.schema.json",
        include_str!("../../cli/schema/paths.schema.json"),
    ),
    (
        "compare.schema.json",
        include_str!("../../cli/schema/compare.schema.json"),
    ),
    (
        "compare-paths.schema.json",
        include_str!("../../cli/schema/compare-paths.schema.json"),
    ),
    (
        "stream.schema.json",
        include_str!("../../cli/schema/stream.schema.json"),
    ),
];

/// Fields that only the command knows: of a document, of an address, of a line of the stream.
const OF_THE_COMMAND: [&str; 6] = ["settings", "version", "name", "asn", "as_name", "event"];

/// The schemas, as far as these documents need them.
struct Schemas(Vec<(&'static str, Value)>);

impl Schemas {
    fn new() -> Self {
        let parse = |(name, text)| (name, serde_json::from_str(text).unwrap());
        Self(SCHEMAS.map(parse).into())
    }

    /// Returns what a reference in a file leads to, with the file that it is in.
    fn find(&self, file: &'static str, reference: &str) -> (&'static str, &Value) {
        let (name, pointer) = reference.split_once('#').unwrap();
        let name = if name.is_empty() { file } else { name };
        let (file, schema) = self.0.iter().find(|(file, _)| *file == name).unwrap();
        (file, schema.pointer(pointer).unwrap())
    }

    /// Checks a value against what a reference leads to.
    fn check(&self, reference: &str, value: &Value) -> Result<(), String> {
        let (file, schema) = self.find("", reference);
        self.compare(file, schema, value)?;
        self.name_all(file, schema, value)
    }

    fn compare(&self, file: &'static str, schema: &Value, value: &Value) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{what} of {schema}: {value}"));
        let list = |key: &str| schema[key].as_array().into_iter().flatten();
        if let Some(reference) = schema["$ref"].as_str() {
            let (file, schema) = self.find(file, reference);
            self.compare(file, schema, value)?;
        }
        list("allOf").try_for_each(|schema| self.compare(file, schema, value))?;
        for key in ["oneOf", "anyOf"] {
            let fits = |schema| self.compare(file, schema, value).is_ok();
            if schema[key].is_array() && !list(key).any(fits) {
                return wrong(key);
            }
        }
        if schema["enum"].is_array() && !list("enum").any(|one| one == value) {
            return wrong("enum");
        }
        let is_a = |name: &str| match name {
            "integer" => value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => value.is_null(),
        };
        let types = schema["type"].as_str().into_iter();
        let mut types = types
            .chain(list("type").filter_map(Value::as_str))
            .peekable();
        if types.peek().is_some() && !types.any(is_a) {
            return wrong("type");
        }
        let number = value.as_f64().unwrap_or(0.0);
        let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
        if value.is_number() && (least > Some(number) || most.is_some_and(|most| most < number)) {
            return wrong("range");
        }
        let is_missing = |name: &&str| value.get(name).is_none() && !OF_THE_COMMAND.contains(name);
        let mut required = list("required").filter_map(Value::as_str);
        if value.is_object() && required.any(|name| is_missing(&name)) {
            return wrong("required");
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(value) = value.get(name) {
                self.compare(file, schema, value)?;
                self.name_all(file, schema, value)?;
            }
        }
        if schema["items"].is_object() {
            for value in value.as_array().into_iter().flatten() {
                self.compare(file, &schema["items"], value)?;
            }
        }
        Ok(())
    }

    /// Checks that the schema names all fields of an object.
    fn name_all(&self, file: &'static str, schema: &Value, value: &Value) -> Result<(), String> {
        let known = self.names(file, schema);
        let mut fields = value.as_object().into_iter().flatten();
        match fields.find(|(field, _)| !known.is_empty() && !known.contains(field)) {
            Some((field, _)) => Err(format!("{field} is no field of {schema}")),
            None => Ok(()),
        }
    }

    fn names(&self, file: &'static str, schema: &Value) -> Vec<String> {
        let own = schema["properties"].as_object().into_iter().flatten();
        let mut names: Vec<String> = own.map(|(name, _)| name.clone()).collect();
        if let Some(reference) = schema["$ref"].as_str() {
            let (file, schema) = self.find(file, reference);
            names.extend(self.names(file, schema));
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            names.extend(self.names(file, part));
        }
        names
    }
}

/// The machine in a scenario, and its target.
fn world(name: &str, family: AddressFamily, kind: SocketKind) -> (Machine, SocketAddr) {
    let machine = Machine::new(&Scenario::named(name).unwrap(), kind, 1);
    let target = machine.internet().target(family);
    (machine, (target, 0).into())
}

fn each_kind() -> impl Iterator<Item = (AddressFamily, SocketKind)> {
    let families = [AddressFamily::V4, AddressFamily::V6].into_iter();
    families.flat_map(|family| [SocketKind::Raw, SocketKind::Ping].map(|kind| (family, kind)))
}

fn finished<J: Job<Link = Machine>>(mut job: J) -> J::Output {
    while job.advance(None).unwrap() != Step::Done {}
    job.finish()
}

fn document(result: &impl Serialize) -> Value {
    serde_json::to_value(result).unwrap()
}

#[test]
fn a_route_has_the_fields_of_the_schema_and_so_has_each_reply() {
    let schemas = Schemas::new();
    let mut settings = ProbeSettings::default();
    settings.config.attempts = 3;
    for name in Scenario::names() {
        for (family, kind) in each_kind() {
            let (machine, target) = world(name, family, kind);
            let mut trace = Trace::start(machine, &settings, name, target).unwrap();
            while trace.advance(None).unwrap() != Step::Done {
                while let Some(reply) = trace.take_reply() {
                    let reply = document(&reply);
                    let checked = schemas.check("stream.schema.json#/$defs/reply", &reply);
                    assert_eq!(checked, Ok(()), "{name}");
                }
            }
            let route = document(&trace.finish());
            let checked = schemas.check("hopshot.schema.json#/$defs/trace", &route);
            assert_eq!(checked, Ok(()), "{name}");
            let expected = json!({"name": name, "address": target.ip()});
            assert_eq!(route["target"], expected);
            assert_eq!(route["socket"], kind.as_str());
        }
    }
}

#[test]
fn a_probe_has_the_names_and_the_figures_of_the_command() {
    let (machine, target) = world("mpls", AddressFamily::V4, SocketKind::Raw);
    let route = finished(Trace::start(machine, &ProbeSettings::default(), "mpls", target).unwrap());
    let reply = route.hops().next().unwrap().replies().next().unwrap();
    let rtt = reply.rtt.as_nanos() as f64 / 1e6;
    let expected = json!({
        "hop": 1,
        "rate_limited": false,
        "probes": [{
            "attempt": 1,
            "from": reply.from,
            "rtt_ms": rtt,
            "clock": "kernel",
            "sent_clock": "user",
            "kind": "time_exceeded",
            "icmp_type": 11,
            "icmp_code": 0,
            "reply_ttl": reply.hop_limit,
            "quoted_ttl": 1,
            "quoted_tos": 0,
            "hops_back": 1,
            "evidence": "strong",
            "changed": [],
            "mpls": [],
            "interface": null,
            "unknown_objects": 0,
        }],
        "sent": 1,
        "lost": 0,
        "unproven": 0,
        "best_ms": rtt,
        "median_ms": rtt,
        "average_ms": rtt,
        "worst_ms": rtt,
    });
    let route = document(&route);
    assert_eq!(route["hops"][0], expected);
    assert_eq!(route["stop_reason"], "reached");
}

#[test]
fn all_paths_have_the_fields_of_the_schema() {
    let schemas = Schemas::new();
    for (family, kind) in each_kind() {
        let (machine, target) = world("ecmp", family, kind);
        let thoroughness = Thoroughness::default();
        let settings = ProbeSettings::default();
        let search = Exploration::start(machine, &settings, thoroughness, "ecmp", target).unwrap();
        let paths = document(&finished(search));
        let checked = schemas.check("paths.schema.json#/$defs/paths", &paths);
        assert_eq!(checked, Ok(()));
        assert_eq!(paths["completeness"], "complete");
    }
}

#[test]
fn a_search_for_an_mtu_has_the_fields_of_the_schema() {
    let schemas = Schemas::new();
    for (family, kind) in each_kind() {
        let (machine, target) = world("mtu", family, kind);
        let first_link = |_: &mut Machine, _, _| Ok(1500);
        let settings = ProbeSettings::default();
        let search = PathMtu::start(machine, &settings, "mtu", target, first_link).unwrap();
        let route = document(&finished(search));
        let checked = schemas.check("hopshot.schema.json#/$defs/trace", &route);
        assert_eq!(checked, Ok(()));
        assert_eq!(
            (&route["path_mtu"], &route["path_mtu_at_most"]),
            (&json!(1280), &json!(1280))
        );
        assert_eq!(route["mtu_limits"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn a_comparison_has_the_fields_of_the_schema() {
    let schemas = Schemas::new();
    let (port, options, payload) = (443, TcpOptions::Mss, UdpPayload::Quic);
    let protocols = [
        ProbeProtocol::Icmp,
        ProbeProtocol::Udp { port, payload },
        ProbeProtocol::Tcp { port, options },
    ];
    for name in Scenario::names() {
        for family in [AddressFamily::V4, AddressFamily::V6] {
            let scenario = Scenario::named(name).unwrap();
            let machine = Machine::new(&scenario, SocketKind::Raw, 1).speaking_all(&protocols);
            let target = machine.internet().target(family);
            let plan = |protocol| {
                let mut settings = ProbeSettings::default();
                (settings.protocol, settings.config.attempts) = (protocol, 3);
                let is_missing = protocol == protocols[1] && name == "short";
                SidePlan {
                    side: Side::Protocol(protocol),
                    settings,
                    address: match is_missing {
                        true => Err(Error::NoSuchName),
                        false => Ok((target, 0).into()),
                    },
                }
            };
            let job = Compare::start(machine, name, protocols.map(plan).into(), true).unwrap();
            let comparison = document(&finished(job));
            let checked = schemas.check("compare.schema.json#/$defs/comparison", &comparison);
            assert_eq!(checked, Ok(()), "{name}");
            let sides = comparison["sides"].as_array().unwrap();
            let names: Vec<_> = sides.iter().map(|side| side["side"].as_str()).collect();
            assert_eq!(names, ["icmp", "quic:443", "tcp:443"].map(Some));
            if name == "short" {
                assert_eq!(sides[1]["error"], "NoSuchName");
                assert_eq!(comparison["verdict"]["ends"][1]["end"], "local");
            }
        }
    }
}

fn by(protocol: ProbeProtocol) -> ProbeSettings {
    let mut settings = ProbeSettings::default();
    settings.protocol = protocol;
    settings
}

#[test]
fn a_comparison_of_all_paths_has_the_fields_of_the_schema() {
    let schemas = Schemas::new();
    let (port, options) = (443, TcpOptions::Mss);
    let protocols = [ProbeProtocol::Icmp, ProbeProtocol::Tcp { port, options }];
    for name in ["compare", "ecmp", "deadtarget"] {
        let scenario = Scenario::named(name).unwrap();
        let machine = Machine::new(&scenario, SocketKind::Raw, 1).speaking_all(&protocols);
        let target = machine.internet().target(AddressFamily::V4);
        let plan = |protocol| SidePlan {
            side: Side::Protocol(protocol),
            settings: by(protocol),
            address: Ok((target, 0).into()),
        };
        let plans = protocols.map(plan).into();
        let job = ComparePaths::start(machine, name, plans, Thoroughness::default()).unwrap();
        let comparison = document(&finished(job));
        let checked = schemas.check("compare-paths.schema.json#/$defs/comparison", &comparison);
        assert_eq!(checked, Ok(()), "{name}");
        let differences = comparison["verdict"]["differences"].as_array().unwrap();
        assert_eq!(differences.is_empty(), name != "compare", "{comparison}");
    }
}

/// Names a program's own.
struct Names;

#[derive(Default, Serialize)]
struct Known {
    name: Option<String>,
}

impl Annotate for Names {
    type Known = Known;

    fn known(&self, address: IpAddr) -> Known {
        Known {
            name: Some(format!("host-{address}")),
        }
    }
}

#[test]
fn a_program_adds_what_it_knows_of_an_address() {
    let (machine, target) = world("short", AddressFamily::V4, SocketKind::Raw);
    let route =
        finished(Trace::start(machine, &ProbeSettings::default(), "short", target).unwrap());
    let named = document(&TraceDocument::new(&route, &Names));
    let probe = &named["hops"][0]["probes"][0];
    let expected = format!("host-{}", probe["from"].as_str().unwrap());
    assert_eq!(probe["name"], expected);
    assert_eq!(document(&route)["hops"][0]["probes"][0].get("name"), None);
}
