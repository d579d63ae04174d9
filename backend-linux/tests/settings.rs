//! What a library's user is told of settings that can't be.

use hopshot_linux::compare::Side;
use hopshot_linux::{AddressFamily, ConfigError, Error, ProbeProtocol, Settings, SocketKind};
use hopshot_linux::{TcpOptions, UdpPayload};

#[test]
fn a_setting_out_of_its_range_is_refused_before_a_name_is_looked_up() {
    for (settings, named) in [
        (Settings::new().flow(0), "checksum"),
        (Settings::new().flow(65_535), "checksum"),
        (Settings::new().max_hops(65), "max_hops"),
        (Settings::new().first_hop(0), "first_hop"),
        (Settings::new().attempts(11), "attempts"),
        (Settings::new().retries(11), "retries"),
    ] {
        let refused = settings.trace("nowhere.invalid").start().err();
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
        let settings = Settings::new().size(least - 1);
        let settings = family.into_iter().fold(settings, Settings::family);
        let refused = settings.trace(host).start().err();
        assert!(
            matches!(refused, Some(Error::Size { given, .. }) if given == least - 1),
            "{host}: {refused:?}"
        );
    }
}

#[test]
fn no_text_of_an_error_names_a_letter_of_the_command_line() {
    let error = Settings::new()
        .family(AddressFamily::V6)
        .trace("192.0.2.1")
        .start()
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "'192.0.2.1' has no IPv6 address; ask for the other family, or for either"
    );
}

#[test]
fn a_ping_socket_is_refused_to_tcp_and_udp_by_every_job_with_the_remedy() {
    let [tcp, udp] = [
        ProbeProtocol::Tcp {
            port: 443,
            options: TcpOptions::Mss,
        },
        ProbeProtocol::Udp {
            port: 53,
            payload: UdpPayload::Dns,
        },
    ];
    for (kind, protocol, told) in [
        (SocketKind::Ping, tcp, "ping sockets send no probes of TCP"),
        (SocketKind::Ping, udp, "ping sockets send no probes of UDP"),
        (SocketKind::Udp, tcp, "udp sockets send no probes of TCP"),
        (
            SocketKind::Udp,
            ProbeProtocol::Icmp,
            "udp sockets send no probes of ICMP",
        ),
    ] {
        let settings = Settings::new().protocol(protocol).socket(kind);
        let host = "127.0.0.1";
        let errors = [
            settings.trace(host).start().err(),
            settings.paths(host).start().err(),
            settings.path_mtu(host).start().err(),
            settings.many([host]).start().err(),
            // Of a comparison each side counts, and not the protocol beside it.
            Settings::new()
                .socket(kind)
                .compare(host, [Side::Protocol(protocol); 2])
                .start()
                .err(),
        ];
        for error in errors {
            let error = error.expect("a socket of this kind sends no such probes");
            assert!(matches!(error, Error::WrongSocket { protocol: of, .. } if of == protocol));
            assert!(error.to_string().starts_with(told), "{error}");
        }
    }
}
