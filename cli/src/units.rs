//! Values as outputs write them: for programs, and for people.

use crate::reading::PortState;
use hopshot_linux::ProbeProtocol;
use std::time::SystemTime;

/// What is said where the probes of a trace have no flow in common.
pub(crate) const A_FLOW_EACH: &str = "one flow per probe";

/// A moment, for people.
pub(crate) fn date(at: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(at).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}

/// So many of something.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The port that probes go to, if they go to one.
pub(crate) fn port(protocol: ProbeProtocol) -> Option<String> {
    let port = protocol.port()?;
    Some(format!("{} port {port}", protocol.as_str().to_uppercase()))
}

/// The port that probes go to, and its state as far as it is known.
pub(crate) fn port_with_state(protocol: ProbeProtocol, state: Option<PortState>) -> Option<String> {
    let port = port(protocol)?;
    Some(state.map_or_else(|| port.clone(), |state| format!("{port} {state}")))
}
