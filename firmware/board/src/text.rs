//! Text, a line at a time, without `core::fmt`: that takes 5 KB of flash with what a panic says.

use crate::debugger;
use core::net::{IpAddr, Ipv6Addr};

/// The longest line in octets.
const LINE_LEN: usize = 80;

/// A line that is being written. What doesn't fit it is left out.
pub struct Line {
    text: [u8; LINE_LEN],
    len: usize,
}

impl Line {
    /// An empty line.
    #[must_use]
    pub fn new() -> Self {
        Self {
            text: [0; _],
            len: 0,
        }
    }

    /// Appends a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        text.bytes().for_each(|octet| self.octet(octet));
        self
    }

    /// Appends a number in decimal.
    pub fn number(&mut self, number: u32) -> &mut Self {
        self.digits(number, 10, 1)
    }

    /// Appends a number to the base of 10 or 16, with as many digits as it has, but at least so
    /// many.
    pub fn digits(&mut self, mut number: u32, base: u32, least: usize) -> &mut Self {
        let mut digits = [b'0'; 10];
        let mut first = digits.len();
        while number > 0 || digits.len() - first < least {
            first -= 1;
            digits[first] = b"0123456789abcdef"[(number % base) as usize];
            number /= base;
        }
        digits[first..].iter().for_each(|digit| self.octet(*digit));
        self
    }

    /// Appends an address, in IPv6 as RFC 5952 wants it.
    pub fn address(&mut self, address: IpAddr) -> &mut Self {
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets().map(u32::from);
                self.number(a)
                    .text(".")
                    .number(b)
                    .text(".")
                    .number(c)
                    .text(".")
                    .number(d)
            }
            IpAddr::V6(address) => self.groups(address),
        }
    }

    fn groups(&mut self, address: Ipv6Addr) -> &mut Self {
        let groups = address.segments();
        // The longest run of zeros, the first of several, becomes two colons; a single zero
        // doesn't.
        let run = |start: usize| {
            groups[start..]
                .iter()
                .take_while(|group| **group == 0)
                .count()
        };
        let (mut start, mut len) = (0, 1);
        for at in 0..groups.len() {
            if run(at) > len {
                (start, len) = (at, run(at));
            }
        }
        let gap = if len > 1 { start..start + len } else { 0..0 };
        for (at, group) in groups.into_iter().enumerate() {
            if gap.contains(&at) {
                if at == start {
                    self.text("::");
                }
                continue;
            }
            if at > 0 && at != gap.end {
                self.text(":");
            }
            self.digits(group.into(), 16, 1);
        }
        self
    }

    /// Sends it to whoever is debugging.
    pub fn print(&mut self) {
        self.octet(b'\n');
        debugger::print(&self.text[..self.len]);
    }

    fn octet(&mut self, octet: u8) {
        if let Some(place) = self.text.get_mut(self.len) {
            *place = octet;
            self.len += 1;
        }
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}
