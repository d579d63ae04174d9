//! The words for a failure of a probe on this machine.

use hopshot_core::{Failure, SendError};

/// The words for an error of sending: [`Link::describe`](crate::Link::describe) of the machine.
pub(crate) type Describe = fn(SendError) -> String;

/// Returns why a probe failed on this machine. `describe` has the machine's words for what is its
/// own: [`Link::describe`](crate::Link::describe).
#[must_use]
pub fn failure_text(failure: Failure, describe: fn(SendError) -> String) -> String {
    match failure {
        Failure::Send(error) => describe(error),
        Failure::NextHop => {
            "host unreachable, says this machine itself: the next hop doesn't answer on its link"
                .to_owned()
        }
        _ if failure.is_host_unreachable() => {
            "host unreachable, says this machine itself (a firewall here may say so)".to_owned()
        }
        Failure::Local {
            icmp_type,
            icmp_code,
        } => {
            format!(
                "unreachable, says this machine itself (ICMP type {icmp_type}, code {icmp_code})"
            )
        }
        _ => "it failed on this machine".to_owned(),
    }
}
