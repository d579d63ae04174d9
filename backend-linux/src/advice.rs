//! Advice on how a kind of socket can be opened, fit for the user and the container of this
//! process.

use crate::words::{family_name, without_number};
use hopshot_core::wire::AddressFamily;
use hopshot_engine::ProbeProtocol;
use rustix::io::Errno;
use rustix::process::geteuid;
use rustix::thread::{self, CapabilitySet};

/// Errors of socket(2), of each kind of socket that was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    pub(crate) raw: Option<Errno>,
    /// Of the kind that takes no privilege: a ping socket, by UDP and TCP a socket of these.
    pub(crate) unprivileged: Option<Errno>,
}

/// Sockets that were asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) family: AddressFamily,
    pub(crate) protocol: ProbeProtocol,
    /// Whether TCP sockets would do, if only all probes were to be of one flow.
    pub(crate) lacks_one_flow: bool,
}

/// Privileges of this process, and those that it may get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    is_root: bool,
    /// Whether it has `CAP_NET_RAW`, in its user namespace.
    has_raw: bool,
    /// Whether a program that it starts may have it.
    may_have_raw: bool,
    /// The same of `CAP_NET_ADMIN`, without which the settings of the network are read-only in
    /// containers.
    may_have_admin: bool,
    /// Whether programs may bring privileges (set-user-ID, setcap).
    may_gain: bool,
}

impl Standing {
    /// Asks the kernel. It must come before [`renounce`](crate::privilege::renounce), after which
    /// the answer is another.
    pub(crate) fn read() -> Self {
        let may_have =
            |capability| thread::capability_is_in_bounding_set(capability).unwrap_or(true);
        let sets = thread::capabilities(None);
        Self {
            is_root: geteuid().is_root(),
            has_raw: sets.is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_RAW)),
            may_have_raw: may_have(CapabilitySet::NET_RAW),
            may_have_admin: may_have(CapabilitySet::NET_ADMIN),
            may_gain: !thread::no_new_privs().unwrap_or(false),
        }
    }

    /// Returns remedies where raw sockets aren't permitted. Each is a command to be copied where
    /// there is one.
    fn permit_raw(self) -> Vec<String> {
        if !self.may_have_raw {
            // Nobody in there can get it, root neither.
            return vec![from_outside("NET_RAW")];
        }
        if self.has_raw {
            return vec![ELSEWHERE.to_owned()];
        }
        let mut remedies = vec![match (self.is_root, self.may_gain) {
            (true, _) => ROOT_AGAIN.to_owned(),
            (false, true) => ROOT.to_owned(),
            (false, false) => "run this as root, or without no_new_privs".to_owned(),
        }];
        if self.may_gain {
            remedies.push(format!(
                "permit it to this program with: sudo setcap cap_net_raw+ep {}",
                executable()
            ));
        }
        remedies
    }

    fn permit_ping(self) -> String {
        let range = "net.ipv4.ping_group_range=\"0 2147483647\"";
        match self.may_have_admin {
            true => format!("permit it to all users with: sudo sysctl -w {range}"),
            false => {
                format!("permit it to all users of the container with: docker run --sysctl {range}")
            }
        }
    }

    /// Returns the remedy where marks aren't permitted.
    pub(crate) fn permit_mark(self) -> String {
        match self {
            Self {
                may_have_admin: false,
                ..
            } => from_outside("NET_ADMIN"),
            Self {
                is_root: true,
                has_raw: true,
                ..
            } => ELSEWHERE.to_owned(),
            Self { is_root: true, .. } => ROOT_AGAIN.to_owned(),
            _ => ROOT.to_owned(),
        }
    }
}

const ROOT: &str = "run this as root (sudo)";
/// Root without capabilities: sudo and a new login have them again.
const ROOT_AGAIN: &str = "run this with root's capabilities, which this process has dropped";
/// It has the capability, and may not use it: in a user namespace that doesn't own the network, or
/// by a policy.
const ELSEWHERE: &str = "run this outside of this user namespace or sandbox";

fn from_outside(capability: &str) -> String {
    let ways = "in Kubernetes securityContext.capabilities.add, in systemd CapabilityBoundingSet";
    format!(
        "no program in here can have the capability, so give it from outside: docker run --cap-add {capability} ({ways})"
    )
}

/// Says what was refused, and what to do.
pub(crate) fn advise(asked: Asked, refusals: Refusals, standing: Standing) -> String {
    let Asked {
        family,
        protocol,
        lacks_one_flow,
    } = asked;
    let is_denied = |errno: Errno| matches!(errno, Errno::PERM | Errno::ACCESS);
    let Refusals { raw, unprivileged } = refusals;
    let is_icmp = protocol == ProbeProtocol::Icmp;
    let name = match protocol {
        ProbeProtocol::Udp { .. } => "UDP",
        ProbeProtocol::Tcp { .. } => "TCP",
        _ => "ping",
    };
    let told: Vec<String> = match (raw, unprivileged) {
        (Some(raw), Some(other)) if is_denied(raw) && is_denied(other) => {
            vec![format!(
                "neither raw nor {name} sockets are permitted to this user"
            )]
        }
        (raw, other) => [("raw", raw), (name, other)]
            .into_iter()
            .filter_map(|(kind, errno)| {
                let errno = errno?;
                let reason = std::io::Error::from(errno);
                let reason = without_number(&reason);
                Some(match is_denied(errno) {
                    true => format!("{kind} sockets aren't permitted to this user"),
                    false => {
                        let family = family_name(family);
                        format!("this kernel has no {kind} sockets for {family} ({reason})")
                    }
                })
            })
            .collect(),
    };
    let mut remedies = Vec::new();
    if lacks_one_flow {
        remedies
            .push("use --one-flow, which needs none and asks one hop after the other".to_owned());
    }
    if raw.is_some_and(is_denied) {
        remedies.extend(standing.permit_raw());
    }
    if unprivileged.is_some_and(is_denied) && is_icmp {
        remedies.push(standing.permit_ping());
    }
    if raw.is_some_and(is_denied) && unprivileged.is_some_and(is_denied) && is_icmp {
        remedies.push("probe by TCP or UDP, which everybody may: --tcp, --udp".to_owned());
    }
    if !is_icmp {
        let told = told.join(", and ");
        remedies.push("probe by ICMP, which most systems permit to all users".to_owned());
        let remedies = remedies.join("; or ");
        // Without another kind that was tried the job needs a raw socket, or it was asked for.
        return match unprivileged {
            Some(_) => format!("{told}: {remedies}"),
            None => {
                let name = protocol.as_str().to_uppercase();
                let from = match lacks_one_flow {
                    true => " from a given source port",
                    false => "",
                };
                format!("{name}{from} needs a raw socket here, but {told}: {remedies}")
            }
        };
    }
    if remedies.is_empty() {
        remedies.push(match (raw, unprivileged) {
            (Some(_), None) => "use ping sockets".to_owned(),
            (None, Some(_)) => "use raw sockets".to_owned(),
            _ => "use the other family, or another kernel".to_owned(),
        });
    }
    format!("{}: {}", told.join(", and "), remedies.join("; or "))
}

/// The path of this program, as a shell wants it.
fn executable() -> String {
    let path = std::env::current_exe().map_or_else(
        |_| "<this program>".to_owned(),
        |path| path.display().to_string(),
    );
    let plain = path
        .chars()
        .all(|c| c.is_alphanumeric() || "/._-+<>".contains(c));
    if plain {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopshot_engine::{TcpOptions, UdpPayload};

    const USER: Standing = Standing {
        is_root: false,
        has_raw: false,
        may_have_raw: true,
        may_have_admin: true,
        may_gain: true,
    };

    fn by(protocol: ProbeProtocol) -> Asked {
        Asked {
            family: AddressFamily::V4,
            protocol,
            lacks_one_flow: false,
        }
    }

    fn advice(standing: Standing) -> String {
        let refusals = Refusals {
            raw: Some(Errno::PERM),
            unprivileged: Some(Errno::ACCESS),
        };
        advise(by(ProbeProtocol::Icmp), refusals, standing)
    }

    #[test]
    fn advice_fits_who_is_refused() {
        let user = advice(USER);
        assert!(user.ends_with("; or probe by TCP or UDP, which everybody may: --tcp, --udp"));
        assert!(
            user.contains("as root (sudo); or ")
                && user.contains("setcap")
                && user.contains("sudo sysctl"),
            "{user}"
        );
        // Root in a container, and a user of one.
        for is_root in [true, false] {
            let contained = advice(Standing {
                is_root,
                may_have_raw: false,
                may_have_admin: false,
                ..USER
            });
            assert!(
                contained.contains("--cap-add NET_RAW")
                    && contained.contains("docker run --sysctl"),
                "{contained}"
            );
            assert!(
                !contained.contains("sudo") && !contained.contains("setcap"),
                "{contained}"
            );
        }
        let rootless = advice(Standing {
            is_root: true,
            has_raw: true,
            ..USER
        });
        assert!(
            rootless.contains("user namespace") && !rootless.contains("as root"),
            "{rootless}"
        );
        let bound = advice(Standing {
            may_gain: false,
            ..USER
        });
        assert!(
            bound.contains("without no_new_privs") && !bound.contains("setcap"),
            "{bound}"
        );
        let dropped = advice(Standing {
            is_root: true,
            ..USER
        });
        assert!(
            dropped.contains("root's capabilities") && !dropped.contains("as root"),
            "{dropped}"
        );
    }

    #[test]
    fn of_tcp_and_udp_it_says_why_ping_sockets_are_no_way_out() {
        let udp = ProbeProtocol::Udp {
            port: 53,
            payload: UdpPayload::Dns,
        };
        for (errno, begin) in [
            (
                Errno::PERM,
                "UDP needs a raw socket here, but raw sockets aren't permitted to this user: run this as root (sudo); or ",
            ),
            (
                Errno::PROTONOSUPPORT,
                "UDP needs a raw socket here, but this kernel has no raw sockets for IPv4 (Protocol not supported): probe",
            ),
        ] {
            let refusals = Refusals {
                raw: Some(errno),
                unprivileged: None,
            };
            let advice = advise(by(udp), refusals, USER);
            assert!(advice.starts_with(begin), "{advice}");
            assert!(
                advice.ends_with(": probe by ICMP, which most systems permit to all users")
                    || advice
                        .ends_with("; or probe by ICMP, which most systems permit to all users"),
                "{advice}"
            );
        }
    }

    #[test]
    fn where_only_a_source_port_takes_raw_sockets_one_flow_is_the_first_remedy() {
        let tcp = ProbeProtocol::Tcp {
            port: 443,
            options: TcpOptions::Mss,
        };
        let refusals = Refusals {
            raw: Some(Errno::PERM),
            unprivileged: None,
        };
        for family in [AddressFamily::V4, AddressFamily::V6] {
            let asked = Asked { family, ..by(tcp) };
            let begin = "TCP from a given source port needs a raw socket here, but raw sockets \
                         aren't permitted to this user: use --one-flow, which needs none and asks \
                         one hop after the other; or run this as root (sudo); or ";
            let lacks_one_flow = true;
            let told = advise(
                Asked {
                    lacks_one_flow,
                    ..asked
                },
                refusals,
                USER,
            );
            assert!(told.starts_with(begin), "{told}");
            let told = advise(asked, refusals, USER);
            let begin = "TCP needs a raw socket here, but raw sockets aren't permitted to this \
                         user: run this as root (sudo); or ";
            assert!(told.starts_with(begin), "{told}");
        }
    }

    #[test]
    fn of_udp_sockets_it_names_no_setting_of_ping_sockets() {
        let udp = ProbeProtocol::Udp {
            port: 53,
            payload: UdpPayload::Dns,
        };
        let advice = |raw| {
            let unprivileged = Some(Errno::PERM);
            let refusals = Refusals { raw, unprivileged };
            advise(by(udp), refusals, USER)
        };
        let both = advice(Some(Errno::PERM));
        let begin = "neither raw nor UDP sockets are permitted to this user: run this as root";
        assert!(both.starts_with(begin), "{both}");
        let one = advice(None);
        let begin = "UDP sockets aren't permitted to this user: probe by ICMP";
        assert!(one.starts_with(begin), "{one}");
        assert!(!both.contains("ping_group") && !one.contains("ping_group"));
    }

    #[test]
    fn advice_on_marks_fits_as_well() {
        assert_eq!(USER.permit_mark(), "run this as root (sudo)");
        let contained = Standing {
            is_root: true,
            may_have_admin: false,
            ..USER
        }
        .permit_mark();
        assert!(
            contained.contains("--cap-add NET_ADMIN") && !contained.contains("sudo"),
            "{contained}"
        );
        assert!(
            Standing {
                is_root: true,
                ..USER
            }
            .permit_mark()
            .contains("root's capabilities")
        );
        assert!(
            Standing {
                is_root: true,
                has_raw: true,
                ..USER
            }
            .permit_mark()
            .contains("user namespace")
        );
    }

    #[test]
    fn what_a_kernel_does_not_have_is_told_from_what_it_does_not_permit() {
        let advice = |raw, unprivileged| {
            let refusals = Refusals { raw, unprivileged };
            let family = AddressFamily::V6;
            let asked = Asked {
                family,
                ..by(ProbeProtocol::Icmp)
            };
            advise(asked, refusals, USER)
        };
        let mixed = advice(Some(Errno::PROTONOSUPPORT), Some(Errno::ACCESS));
        assert!(
            mixed.starts_with(
                "this kernel has no raw sockets for IPv6 (Protocol not supported), and ping"
            ),
            "{mixed}"
        );
        assert!(
            mixed.contains("sudo sysctl") && !mixed.contains("setcap"),
            "{mixed}"
        );
        let none = advice(Some(Errno::AFNOSUPPORT), Some(Errno::AFNOSUPPORT));
        assert!(
            none.ends_with("use the other family, or another kernel"),
            "{none}"
        );
        assert!(advice(Some(Errno::AFNOSUPPORT), None).ends_with("use ping sockets"));
        assert!(advice(None, Some(Errno::PROTONOSUPPORT)).ends_with("use raw sockets"));
    }
}
