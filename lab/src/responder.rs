//! Who answers a probe: the router where it expires or that stops it, or a host.

use crate::answer::{Body, Request};
use crate::hop::{ErrorKind, prohibited};
use crate::host::Port;
use crate::map::{Map, Place};
use hopshot_core::wire::{AddressFamily, icmp};

/// Who answers a probe, and how.
pub(crate) enum Responder {
    /// A router, with the kind of its error and how much of the hop limit was left there.
    Router {
        router: usize,
        hop: u8,
        kind: ErrorKind,
        rest: u32,
        left: u8,
    },
    /// A host: the target, or a router that was the destination itself.
    Host { router: Option<usize>, hop: u8 },
    /// Nobody.
    Nobody { hop: u8 },
}

impl Responder {
    /// The one that a request gets to on a path.
    pub(crate) fn of(map: &Map, request: &Request<'_>, path: usize) -> Self {
        let family = request.family();
        let (hop_limit, destination) = (request.header.hop_limit, request.header.ends.destination);
        let host = map.paths[path]
            .iter()
            .position(|router| map.routers[*router].addresses.address(family) == destination);
        let host_distance = host.and_then(|index| u8::try_from(index + 1).ok());
        let reach = host_distance.map_or(hop_limit, |distance| hop_limit.min(distance));
        let barrier = map.barrier(path, hop_limit, request.protocol());
        // A router that stops the request.
        let stopped_by = |router, hop, kind, rest| Self::Router {
            router,
            hop,
            kind,
            rest,
            left: hop_limit - (hop - 1),
        };
        if !request.may_be_fragmented()
            && let Some((hop, router, link)) = map.bottleneck(path, reach, request.packet.len())
            && barrier.is_none_or(|(barrier, ..)| hop < barrier)
        {
            if link.silent {
                return Self::Nobody { hop };
            }
            // RFC 1191, section 4; RFC 4443, section 3.2.
            let kind = match family {
                AddressFamily::V4 => [3, 4].into(),
                AddressFamily::V6 => [2, 0].into(),
            };
            let number = match request.body {
                Body::Echo(echo) => echo.seq,
                Body::Segment(_) | Body::Datagram(_) => request.checksum(),
            };
            let said = link
                .says
                .map_or(link.mtu, |says| says.mtu(request.packet.len(), number));
            return stopped_by(router, hop, kind, said.into());
        }
        if let (Some(index), Some(distance)) = (host, host_distance)
            && hop_limit >= distance
        {
            return Self::Host {
                router: Some(map.paths[path][index]),
                hop: distance,
            };
        }
        if let Some((hop, router, barrier)) = barrier {
            let kind = match family {
                AddressFamily::V4 => barrier.v4,
                AddressFamily::V6 => barrier.v6,
            };
            return stopped_by(router, hop, kind, barrier.rest);
        }
        match map.place(path, hop_limit) {
            Place::Router(router) => {
                let icmp_type = icmp::Type::TimeExceeded.number(family).unwrap_or_default();
                Self::Router {
                    router,
                    hop: hop_limit.max(1),
                    kind: [icmp_type, map.routers[router].entry.code].into(),
                    rest: 0,
                    left: 1,
                }
            }
            Place::Target => {
                let hop = map.distance(path).unwrap_or(u8::MAX);
                if !map.is_target(destination) {
                    return Self::Nobody { hop };
                }
                match map.paths[path].last() {
                    Some(router) if is_rejected(map, request) => {
                        stopped_by(*router, hop - 1, prohibited(family), 0)
                    }
                    _ => Self::Host { router: None, hop },
                }
            }
        }
    }

    pub(crate) const fn hop(&self) -> u8 {
        match self {
            Self::Router { hop, .. } | Self::Host { hop, .. } | Self::Nobody { hop } => *hop,
        }
    }
}

/// Whether the last router refuses to let a request through to the target.
fn is_rejected(map: &Map, request: &Request<'_>) -> bool {
    let rejects = |port| map.target.port(request.protocol(), port) == Port::Rejected;
    request
        .ports()
        .is_some_and(|ports| rejects(ports.destination))
}
