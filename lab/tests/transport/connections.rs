//! What an open TCP port remembers: answers to SYNs one after another, as Linux gives them.

use crate::packets::{ACK, BOTH, PORT, Probe, RST, SYN, named, parsed, read, send};
use core::time::Duration;
use hopshot_lab::log::Fate;

const FIRST: u32 = 0x0102_0304;

#[test]
fn seqs_far_apart_get_one_syn_ack_one_challenge_and_then_silence() {
    for family in BOTH {
        let mut internet = named("wan");
        let syn = Probe::new(&internet, family, 30, 443);
        let far = |number: u32| {
            Probe {
                seq: FIRST.wrapping_add(number << 28),
                ..syn
            }
            .tcp()
        };
        let (flags, isn, ack) = send(&mut internet, 0, &far(0)).unwrap().numbers();
        assert_eq!((flags, ack), (SYN | ACK, FIRST + 1));
        let challenge = (ACK, isn.wrapping_add(1), FIRST + 1);
        assert_eq!(
            send(&mut internet, 1, &far(1)).unwrap().numbers(),
            challenge
        );
        for number in 2..10 {
            assert_eq!(send(&mut internet, 2, &far(number)), None);
            assert_eq!(internet.log().last().unwrap().fate, Fate::Limited);
        }
        assert_eq!(send(&mut internet, 500, &far(3)), None);
        assert_eq!(
            send(&mut internet, 501, &far(4)).unwrap().numbers(),
            challenge
        );
        // Another source port is another connection.
        let other = Probe {
            source_port: PORT + 1,
            ..syn
        };
        let (flags, other_isn, _) = send(&mut internet, 501, &other.tcp()).unwrap().numbers();
        assert_eq!(flags, SYN | ACK);
        assert_ne!(isn, other_isn);
    }
}

#[test]
fn the_same_seq_gets_the_same_syn_ack_and_a_near_one_a_reset() {
    for family in BOTH {
        let mut internet = named("wan");
        let syn = Probe::new(&internet, family, 30, 443);
        let near = |number| {
            Probe {
                seq: FIRST + number,
                ..syn
            }
            .tcp()
        };
        let first = send(&mut internet, 0, &near(0));
        assert_eq!(send(&mut internet, 1, &near(0)), first);
        // As often as a challenge, and the two together.
        assert_eq!(send(&mut internet, 2, &near(0)), None);
        assert_eq!(send(&mut internet, 2, &near(1 << 28)), None);
        assert_eq!(
            send(&mut internet, 2, &near(5)).unwrap().numbers(),
            (RST | ACK, 0, FIRST + 6)
        );
        let third = send(&mut internet, 3, &near(6)).unwrap().numbers();
        assert_eq!((third.0, third.2), (SYN | ACK, FIRST + 7));
    }
}

#[test]
fn a_reset_of_the_client_ends_the_connection_and_is_no_probe() {
    for family in BOTH {
        let mut internet = named("wan");
        let syn = Probe::new(&internet, family, 30, 443);
        let reset = Probe {
            seq: FIRST + 1,
            flags: RST,
            hop_limit: 64,
            ..syn
        };
        let again = Probe {
            seq: FIRST + (1 << 28),
            ..syn
        };
        let (_, isn, _) = send(&mut internet, 0, &syn.tcp()).unwrap().numbers();
        // One that belongs to no connection ends none.
        let stray = Probe { seq: 9, ..reset };
        assert_eq!(send(&mut internet, 80, &stray.tcp()), None);
        assert_eq!(send(&mut internet, 80, &reset.tcp()), None);
        let (flags, new_isn, ack) = send(&mut internet, 81, &again.tcp()).unwrap().numbers();
        assert_eq!((flags, ack), (SYN | ACK, again.seq + 1));
        assert_ne!(new_isn, isn);
        assert_eq!(internet.log().len(), 2);
    }
}

#[test]
fn the_clients_kernel_resets_what_it_has_not_asked_for() {
    for family in BOTH {
        for name in ["wan", "seq-nat", "port-nat"] {
            let mut internet = named(name);
            let syn = Probe::new(&internet, family, 30, 443);
            let far = Probe {
                seq: FIRST + (1 << 28),
                ..syn
            };
            let mut ask = |syn: Probe<'_>| {
                internet
                    .receive(Duration::ZERO, &syn.tcp())
                    .remove(0)
                    .packet
            };
            let (answer, challenge) = (ask(syn), ask(far));
            for (packet, seq) in [(&answer, FIRST + 1), (&challenge, FIRST + 1)] {
                let reset = hopshot_lab::reset(packet).unwrap();
                assert_eq!(read(&reset).numbers(), (RST, seq, 0));
                assert_eq!(hopshot_lab::reset(&reset), None);
                assert!(internet.receive(Duration::ZERO, &reset).is_empty());
            }
            let again = send(&mut internet, 0, &far.tcp()).unwrap().numbers();
            assert_eq!((again.0, again.2), (SYN | ACK, far.seq + 1));
            let mut wrong = answer;
            *wrong.last_mut().unwrap() ^= 1;
            assert_eq!(hopshot_lab::reset(&wrong), None);
            assert_eq!(hopshot_lab::reset(&syn.udp()), None);
        }
    }
}

#[test]
fn a_connection_can_be_made_and_ended() {
    const FIN: u8 = 1;
    for family in BOTH {
        let mut internet = parsed("target.resends = true");
        let syn = Probe::new(&internet, family, 64, 443);
        let (_, isn, _) = send(&mut internet, 0, &syn.tcp()).unwrap().numbers();
        let ack = Probe {
            seq: FIRST + 1,
            flags: ACK,
            ..syn
        };
        assert_eq!(send(&mut internet, 80, &ack.tcp()), None);
        assert_eq!(internet.next_unsolicited(), None, "it is acknowledged");
        let fin = Probe {
            flags: FIN | ACK,
            ..ack
        };
        assert_eq!(
            send(&mut internet, 90, &fin.tcp()).unwrap().numbers(),
            (FIN | ACK, isn.wrapping_add(1), FIRST + 2)
        );
        assert!(internet.log()[0].is_syn() && !internet.log()[1].is_syn());
    }
}

#[test]
fn a_connection_that_stands_challenges_what_does_not_belong_to_it() {
    for family in BOTH {
        for seq in [FIRST, FIRST + 5, FIRST + (1 << 28)] {
            for flags in [SYN, ACK] {
                let mut internet = named("wan");
                let syn = Probe::new(&internet, family, 64, 443);
                let (_, isn, _) = send(&mut internet, 0, &syn.tcp()).unwrap().numbers();
                let ack = Probe {
                    seq: FIRST + 1,
                    flags: ACK,
                    ..syn
                };
                send(&mut internet, 80, &ack.tcp());
                let other = Probe { seq, flags, ..syn };
                let expected = match (flags, seq - FIRST) {
                    // Empty, and within the window.
                    (ACK, 5) => None,
                    _ => Some((ACK, isn.wrapping_add(1), FIRST + 1)),
                };
                let answer = send(&mut internet, 90, &other.tcp());
                assert_eq!(answer.map(|answer| answer.numbers()), expected);
            }
        }
    }
}

#[test]
fn a_connection_that_nobody_ends_is_forgotten_after_63_s() {
    for family in BOTH {
        let mut internet = named("wan");
        let syn = Probe::new(&internet, family, 64, 443);
        let far = Probe {
            seq: FIRST + (1 << 28),
            ..syn
        };
        send(&mut internet, 0, &syn.tcp());
        let flags =
            [62_999, 63_000].map(|at| send(&mut internet, at, &far.tcp()).unwrap().numbers().0);
        assert_eq!(flags, [ACK, SYN | ACK]);
    }
}

#[test]
fn what_acknowledges_nothing_is_reset_where_it_says() {
    for family in BOTH {
        for (name, port, flags) in [
            ("wan", 443, ACK),
            ("wan", 443, SYN | ACK),
            ("wan", 81, ACK),
            ("seq-nat", 81, ACK),
        ] {
            let mut internet = named(name);
            let stray = Probe {
                flags,
                ..Probe::new(&internet, family, 64, port)
            };
            // It acknowledges 0, and a reset has nothing to acknowledge.
            assert_eq!(
                send(&mut internet, 0, &stray.tcp()).unwrap().numbers(),
                (RST, 0, 0)
            );
        }
    }
}

#[test]
fn a_syn_ack_is_sent_again_after_1_s_and_2_s_more_until_a_reset_comes() {
    for family in BOTH {
        let mut internet = parsed("target.resends = true");
        let syn = Probe::new(&internet, family, 30, 443);
        let answer = internet.receive(Duration::ZERO, &syn.tcp());
        let mut dues = Vec::new();
        for at in [1000, 3000] {
            let at = Duration::from_millis(at);
            assert_eq!(internet.next_unsolicited(), Some(at));
            assert!(
                internet
                    .unsolicited(at - Duration::from_nanos(1))
                    .is_empty()
            );
            for again in internet.unsolicited(at) {
                assert_eq!(again.packet, answer[0].packet);
                dues.push(again.due.as_millis());
            }
        }
        assert_eq!(dues, [1080, 3080]);
        let reset = Probe {
            seq: FIRST + 1,
            flags: RST,
            ..syn
        };
        internet.receive(Duration::from_secs(4), &reset.tcp());
        assert_eq!(internet.next_unsolicited(), None);
        // Without the switch: once.
        let mut internet = named("wan");
        internet.receive(Duration::ZERO, &syn.tcp());
        assert_eq!(internet.next_unsolicited(), None);
    }
}
