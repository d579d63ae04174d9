//! Sides that are families, and those that can't begin.

use super::{ALL, ICMP, path, plan, run};
use crate::FAMILIES;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{Compare, Comparison, ProbeProtocol, Side, SocketKind};
use hopshot_lab::{Error, Failing, Failure, Machine};
use std::time::Duration;

fn by_family(change: impl Fn(&mut Machine), fails: bool, protocol: ProbeProtocol) -> Comparison {
    let mut machine = Machine::new(&path(), SocketKind::Raw, 1).speaking_all(&[protocol]);
    change(&mut machine);
    let sides = FAMILIES.map(|family| {
        let target = machine.internet().target(family);
        let is_there = !fails || family == AddressFamily::V4;
        let target = is_there.then_some(target).ok_or(Error::NoSuchName);
        plan(Side::Family(family), protocol, target, 3)
    });
    run(Compare::start(machine, "target", sides.into(), true).unwrap()).0
}

#[test]
fn families_have_different_addresses_and_their_paths_do_not_part() {
    for protocol in ALL {
        let alike = by_family(|_| (), false, protocol);
        assert_eq!(alike.verdict().parting(), None);
        assert!(
            alike.verdict().is_alike() && alike.reached(),
            "{protocol:?}"
        );
        let silent = by_family(
            |machine| {
                let span = Duration::ZERO..Duration::from_secs(60);
                let what = Failing::Probes;
                machine.fail_for(Failure { span, what }, |target| target.is_ipv6());
            },
            false,
            protocol,
        );
        let sentences = silent.verdict().sentences();
        assert!(
            sentences[0].starts_with("IPv4 gets there: "),
            "{sentences:?}"
        );
        let told = "IPv6 is not answered at all: filtered, or down";
        assert_eq!(sentences[1..], [told]);
        assert_eq!(silent.reached(), !protocol.is_tcp());
    }
}

#[test]
fn a_side_that_can_not_begin_does_not_keep_the_others_from_it() {
    for protocol in ALL {
        let one = by_family(|_| (), true, protocol);
        assert!(one.sides()[0].reached() && !one.sides()[1].reached());
        assert_eq!(one.sides()[1].route.as_ref().err().unwrap(), "NoSuchName");
        let sentences = one.verdict().sentences();
        assert_eq!(sentences[1..], ["IPv6 failed: NoSuchName"]);
        assert_eq!(one.reached(), !protocol.is_tcp());
    }
    let machine = Machine::new(&path(), SocketKind::Raw, 1);
    let none = plan(Side::Protocol(ICMP), ICMP, Err(Error::NoSuchName), 3);
    let error = Compare::start(machine, "target", vec![none], true).err();
    assert!(matches!(error, Some(Error::NoSuchName)), "{error:?}");
}
