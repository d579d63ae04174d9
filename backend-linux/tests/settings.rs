//! What a library's user is told of settings that can't be.

use hopshot_linux::{ConfigError, Error, Traceroute, Version};

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
fn no_text_of_an_error_names_a_letter_of_the_command_line() {
    let error = Traceroute::new("192.0.2.1").family(Version::V6).start().err().unwrap();
    assert_eq!(error.to_string(), "'192.0.2.1' has no IPv6 address; ask for the other family, or for either");
}
