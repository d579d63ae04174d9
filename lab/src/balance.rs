//! What a load balancer chooses by.

use crate::answer::Request;
use crate::transport::Protocol;
use hopshot_core::wire::AddressFamily;

/// FNV-1a over what a balancer looks at. Routers' own hashes are secret; any that mixes well shows
/// the same behaviour.
pub(crate) fn flow_hash(request: &Request<'_>, ident: bool, salt: u64) -> u64 {
    let (protocol, packet) = (request.protocol(), request.packet);
    let number = [protocol.number(request.family())];
    // The number is the same for all ICMPv6, which has always been hashed without it.
    let (network, addresses, number) = match (request.family(), protocol) {
        (AddressFamily::V4, _) => (&packet[9..10], &packet[12..20], &[][..]),
        (AddressFamily::V6, Protocol::Icmp) => (&packet[1..4], &packet[8..40], &[][..]),
        (AddressFamily::V6, _) => (&packet[1..4], &packet[8..40], &number[..]),
    };
    let has_ident = ident && protocol == Protocol::Icmp;
    let flow = &request.message()[..if has_ident { 6 } else { 4 }];
    let parts = [&salt.to_be_bytes()[..], network, addresses, number, flow];
    let hash = parts
        .into_iter()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, octet| {
            (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
        });
    // FNV's low bits are weak; fold the high ones in.
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}
