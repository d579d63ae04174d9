//! The ports that a translator gives.

/// How far apart a port is from its translation.
const SHIFT: u32 = 20_000;

/// Ports that there are: all but 0.
const PORTS: u32 = 65_535;

/// The port outside that a translator gives to one inside: another one for each, and never the
/// same.
pub(crate) fn outside(port: u16) -> u16 {
    turn(port, SHIFT)
}

/// The port inside.
pub(crate) fn inside(port: u16) -> u16 {
    turn(port, PORTS - SHIFT)
}

fn turn(port: u16, by: u32) -> u16 {
    match port.checked_sub(1) {
        Some(index) => u16::try_from((u32::from(index) + by) % PORTS + 1).unwrap_or(u16::MAX),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_has_another_outside_and_comes_back() {
        for port in 1..=u16::MAX {
            let translated = outside(port);
            assert!(translated != 0 && translated != port);
            assert_eq!(inside(translated), port);
        }
        assert_eq!(
            (outside(0), outside(40_000), outside(50_000)),
            (0, 60_000, 4_465)
        );
    }
}
