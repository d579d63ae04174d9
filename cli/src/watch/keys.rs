//! What is typed while the view is shown.

/// The action of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Pause,
    Reset,
    Names,
    Help,
    Quit,
    /// Closes the box that is open, if one is.
    Close,
    /// Draw everything anew, whatever has been written over it.
    Redraw,
    Up,
    Down,
}

/// The keys and what they do, as the help says it. The terminal makes a signal of Ctrl-Z.
pub(crate) const KEYS: [(&str, &str); 8] = [
    ("p, space", "pause and resume"),
    ("r", "reset: forget all that was counted"),
    ("n", "names on and off"),
    ("up, down", "scroll"),
    ("h, ?", "this help"),
    ("Esc", "close this help"),
    ("Ctrl-Z", "back to the shell; its fg goes on"),
    ("q, Ctrl-C", "quit, with a report"),
];

/// The keys that were typed, from what a terminal in raw mode sends at a time. What means nothing
/// is passed over.
pub(crate) fn keys(mut octets: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Some((first, rest)) = octets.split_first() {
        octets = rest;
        keys.extend(match first {
            b'p' | b' ' => Some(Key::Pause),
            b'r' => Some(Key::Reset),
            b'n' => Some(Key::Names),
            b'h' | b'?' => Some(Key::Help),
            b'k' => Some(Key::Up),
            b'j' => Some(Key::Down),
            // Ctrl-C and Ctrl-D.
            b'q' | 3 | 4 => Some(Key::Quit),
            // Ctrl-L.
            12 => Some(Key::Redraw),
            0x1b => match octets.split_first() {
                None | Some((0x1b, _)) => Some(Key::Close),
                // A sequence: its parameters, and the octet that ends it.
                Some((b'[' | b'O', sequence)) => {
                    let end = sequence
                        .iter()
                        .position(|octet| (0x40..=0x7e).contains(octet));
                    let (named, after) = end.map_or((None, &[][..]), |end| {
                        (sequence.get(end), &sequence[end + 1..])
                    });
                    octets = after;
                    match named {
                        Some(b'A') => Some(Key::Up),
                        Some(b'B') => Some(Key::Down),
                        _ => None,
                    }
                }
                // A key with Alt.
                Some((_, after)) => {
                    octets = after;
                    None
                }
            },
            _ => None,
        });
    }
    keys
}

/// Whether they end within a sequence, of which more may come: a slow connection brings it in
/// pieces. A lone Escape looks the same.
pub(crate) fn is_cut(octets: &[u8]) -> bool {
    let begun = octets
        .iter()
        .rposition(|octet| *octet == 0x1b)
        .and_then(|place| octets.get(place + 1..));
    match begun.map(<[u8]>::split_first) {
        Some(None) => true,
        Some(Some((b'[' | b'O', sequence))) => {
            !sequence.iter().any(|octet| (0x40..=0x7e).contains(octet))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_help_does_something() {
        assert_eq!(
            keys(b"p rnh?"),
            [
                Key::Pause,
                Key::Pause,
                Key::Reset,
                Key::Names,
                Key::Help,
                Key::Help
            ]
        );
        for quit in [b"q", b"\x03"] {
            assert_eq!(keys(quit), [Key::Quit]);
        }
        assert_eq!(keys(b"\x1b"), [Key::Close]);
        assert_eq!(
            keys(b"\x1b\x1b"),
            [Key::Close; 2],
            "nobody who closes boxes ends the watch"
        );
        assert_eq!(
            keys(b"\x1b[A\x1bOBjk"),
            [Key::Up, Key::Down, Key::Down, Key::Up]
        );
    }

    #[test]
    fn a_sequence_is_cut_until_its_last_octet_is_there() {
        for cut in [&b"\x1b"[..], b"\x1b[", b"p\x1b[1;5", b"\x1b[A\x1bO"] {
            assert!(is_cut(cut), "{cut:?}");
        }
        for whole in [
            &b""[..],
            b"p",
            b"\x1b[A",
            b"\x1bx",
            b"\x1b[1;5C",
            b"\x1b[Ap",
        ] {
            assert!(!is_cut(whole), "{whole:?}");
        }
    }

    #[test]
    fn a_key_that_sends_a_sequence_is_not_escape_and_what_is_typed_behind_it_counts() {
        for sequence in [&b"\x1b[1;5C"[..], b"\x1b[15~", b"\x1bx", b"\x1b["] {
            assert_eq!(keys(sequence), [], "{sequence:?}");
        }
        assert_eq!(keys(b"\x1b[15~r"), [Key::Reset]);
        assert_eq!(keys("ü€".as_bytes()), []);
    }
}
