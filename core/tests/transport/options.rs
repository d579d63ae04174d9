//! The options of a TCP header, whole and as a stranger may send them.

use hopshot_core::wire::tcp::{mss, options};

fn of(octets: &[u8]) -> Vec<&[u8]> {
    options(octets).collect()
}

/// As probes with all options have them.
const FULL: [u8; 20] = [
    2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7,
];

#[test]
fn options_come_in_order_without_padding_up_to_the_end_of_their_list() {
    let [largest, sack, stamps, scale] = [&FULL[..4], &FULL[4..6], &FULL[6..16], &FULL[17..]];
    assert_eq!(of(&FULL), [largest, sack, stamps, scale]);
    assert_eq!(mss(&FULL), Some(1460));
    // Behind the end there may be anything.
    assert_eq!(of(&[3, 3, 7, 1, 0, 2, 4, 5, 180]), [scale]);
    assert_eq!(mss(&[3, 3, 7, 1, 0, 2, 4, 5, 180]), None);
    for none in [&[][..], &[0], &[1], &[1, 1, 0, 9]] {
        assert_eq!(of(none), [[0_u8; 0]; 0], "{none:?}");
    }
}

#[test]
fn an_option_that_is_cut_is_told_as_far_as_it_is_there() {
    for len in 0..FULL.len() {
        let cut = &FULL[..len];
        let whole = of(&FULL);
        for (number, option) in of(cut).into_iter().enumerate() {
            assert!(whole[number].starts_with(option) && option.len() >= 2);
        }
        // A kind without its length isn't told.
        let begun = [0, 4, 6, 17].iter().filter(|begin| **begin + 1 < len);
        assert_eq!(of(cut).len(), begun.count(), "{len} octets");
        assert_eq!(mss(cut), (len >= 4).then_some(1460), "{len} octets");
    }
    assert_eq!(of(&[8, 255, 1]), [[8, 255, 1]]);
}

#[test]
fn an_impossible_length_holds_nothing_up() {
    for len in [0, 1] {
        let octets = [4, len, 3, 3, 7];
        assert_eq!(of(&octets), [&[4, len][..], &[3, 3, 7]]);
        let octets = [2, len, 2, 4, 5, 180];
        assert_eq!(of(&octets).len(), 2);
        assert_eq!(mss(&octets), Some(1460));
    }
    // Of another length than RFC 9293 says it is no maximum segment size.
    for (octets, read) in [
        (&[2, 3, 5, 2, 4, 5, 180][..], Some(1460)),
        (&[2, 5, 5, 180, 0, 2, 4, 2, 0], Some(512)),
        (&[2, 255, 5, 180], None),
    ] {
        assert_eq!(mss(octets), read, "{octets:?}");
    }
}

#[test]
fn any_octets_are_taken_and_each_option_is_told_once() {
    const OCTETS: [u8; 8] = [0, 1, 2, 3, 4, 5, 8, 255];
    for number in 0..OCTETS.len().pow(6) {
        let octets: Vec<u8> = (0..6)
            .map(|place| OCTETS[number / OCTETS.len().pow(place) % OCTETS.len()])
            .collect();
        let padding = |octets: &[u8]| octets.iter().take_while(|octet| **octet == 1).count();
        let mut all = options(&octets);
        let mut rest = &octets[padding(&octets)..];
        for option in all.by_ref() {
            assert!(option.len() >= 2 && rest.starts_with(option), "{octets:?}");
            assert!(option.len() == usize::from(option[1]).max(2) || option == rest);
            rest = &rest[option.len()..];
            rest = &rest[padding(rest)..];
        }
        assert!(matches!(rest, [] | [_] | [0, ..]), "{octets:?}");
        assert_eq!(all.next(), None);
    }
}
