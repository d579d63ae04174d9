//! The addresses that the targets trace between.

use core::net::IpAddr;
use hopshot_core::wire::{AddressFamily, Ends};

/// From us to the target.
pub(crate) fn of(family: AddressFamily) -> Ends {
    let (source, destination) = match family {
        AddressFamily::V4 => ([192, 0, 2, 1].into(), [198, 51, 100, 99].into()),
        AddressFamily::V6 => (v6(1, 1), v6(9, 99)),
    };
    Ends {
        source,
        destination,
    }
}

/// The router at `hop`.
pub(crate) fn router(family: AddressFamily, hop: u8) -> IpAddr {
    match family {
        AddressFamily::V4 => [203, 0, 113, hop].into(),
        AddressFamily::V6 => v6(2, hop),
    }
}

/// Somebody who is neither of them.
pub(crate) fn stranger(family: AddressFamily) -> IpAddr {
    match family {
        AddressFamily::V4 => [198, 18, 0, 66].into(),
        AddressFamily::V6 => v6(3, 66),
    }
}

fn v6(net: u16, host: u8) -> IpAddr {
    [0x2001, 0xdb8, net, 0, 0, 0, 0, host.into()].into()
}
