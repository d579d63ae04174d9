//! What a library's user is told of settings that can't be.

use hopshot_linux::{AddressFamily, ConfigError, Error, Traceroute};

#[test]
fn a_setting_out_of_its_range_is_refused_before_a_name_is_looked_up() {
    let nowhere = || Traceroute::new("nowhere.invalid");
    for (traceroute, named) in [
        (nowhere().flow(0), "checksum"),
        (nowhere().flow(65_535), "checksum"),
        (nowhere().max_hops(65), "max_hops"),
        (nowhere().first_hop(0), "first_hop"),
        (nowhere().attempts(11), "attempts"),
        (nowhere().retries(11), "retries"),
    ] {
        let refused = traceroute.start().err();
        assert!(
            matches!(&refused, Some(Error::Config(ConfigError::OutOfRange { parameter, .. })) if *parameter == named),
            "{named}: {refused:?}"
        );
    }
}

#[test]
fn a_size_must_hold_the_headers_of_its_family_and_what_an_answer_is_known_by() {
    for (host, family, least) in [
        ("nowhere.invalid", None, 38),
        ("nowhere.invalid", Some(AddressFamily::V6), 58),
        ("::1", None, 58),
    ] {
        let mut traceroute = Traceroute::new(host).size(least - 1);
        traceroute = family.into_iter().fold(traceroute, Traceroute::family);
        let refused = traceroute.start().err();
        assert!(
            matches!(refused, Some(Error::Size { given, .. }) if given == least - 1),
            "{host}: {refused:?}"
        );
    }
}

#[test]
fn no_text_of_an_error_names_a_letter_of_the_command_line() {
    let error = Traceroute::new("192.0.2.1")
        .family(AddressFamily::V6)
        .start()
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "'192.0.2.1' has no IPv6 address; ask for the other family, or for either"
    );
}
