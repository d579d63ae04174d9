//! How single values are read: each with a text that says what is permitted.

use std::time::Duration;

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds, such as 1 or 0.5".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(wait) if (0.001..=3600.0).contains(&seconds) => Ok(wait),
        _ => Err("must be 0.001 to 3600 seconds".to_owned()),
    }
}

pub(super) fn at_once(text: &str) -> Result<usize, String> {
    let traces = text.parse().ok().filter(|traces| (1..=10_000).contains(traces));
    traces.ok_or_else(|| "must be 1 to 10000".to_owned())
}

pub(super) fn octet(text: &str) -> Result<u8, String> {
    number(text)
        .and_then(|number| u8::try_from(number).ok())
        .ok_or_else(|| "must be 0 to 255, or 0x00 to 0xff".to_owned())
}

pub(super) fn word(text: &str) -> Result<u16, String> {
    number(text)
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| "must be 0 to 65535, or 0x0000 to 0xffff".to_owned())
}

/// Decimal, or hexadecimal after `0x`, as both are usual for TOS and ident.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_or_hexadecimal_and_in_range() {
        assert_eq!(octet("184"), Ok(184));
        assert_eq!(octet("0xb8"), Ok(184));
        assert_eq!(word("0xffff"), Ok(65535));
        for wrong in ["256", "0x100", "-1", "", "0x"] {
            assert!(octet(wrong).is_err(), "{wrong}");
        }
        assert!(word("65536").is_err());
    }

    #[test]
    fn waits_are_positive_and_finite() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "nan", "inf", "3601", "soon"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
