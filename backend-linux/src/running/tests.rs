//! Traces of this machine, in network namespaces.

use crate::namespace::{PERMIT_PING, in_namespace};
use crate::{Settings, SocketKind, Step, StopReason, Trace};
use rustix::event::{PollFd, PollFlags};
use std::time::Duration;

#[test]
fn a_launch_sends_and_reads_nothing() {
    in_namespace(
        "running::tests::a_launch_sends_and_reads_nothing",
        "",
        || {
            let mut trace = Settings::new().trace("127.0.0.1").start().unwrap();
            trace.launch().unwrap();
            // Mostly loopback's answer to the first probe is there before the second could leave.
            assert!(trace.route().probes_sent() >= 1);
            assert_eq!(
                trace.route().hops().flat_map(|hop| hop.replies()).count(),
                0
            );
            while trace.advance(None).unwrap() != Step::Done {}
            assert_eq!(trace.finish().distance(), Some(1));
        },
    );
}

#[test]
fn an_event_loop_of_ones_own_needs_the_descriptor_and_two_calls() {
    in_namespace(
        "running::tests::an_event_loop_of_ones_own_needs_the_descriptor_and_two_calls",
        "",
        || {
            let mut trace = Settings::new().attempts(3).trace("::1").start().unwrap();
            while let Some(timeout) = trace.timeout() {
                let timeout = timeout.try_into().unwrap();
                let mut fds = [PollFd::new(&trace, PollFlags::IN)];
                rustix::event::poll(&mut fds, Some(&timeout)).unwrap();
                trace.work().unwrap();
            }
            assert_eq!(trace.finish().distance(), Some(1));
        },
    );
}

#[test]
fn after_its_first_probes_a_trace_is_not_woken_by_the_answers_of_others() {
    // Whatever goes there is lost.
    const SINK: &str = "
        ip link add sink type veth peer name far
        ip link set sink up; ip link set far up; ip address add 192.0.2.2/24 dev sink
        ip neighbour add 192.0.2.1 lladdr 02:00:00:00:00:02 dev sink nud permanent";
    let test =
        "running::tests::after_its_first_probes_a_trace_is_not_woken_by_the_answers_of_others";
    in_namespace(test, SINK, || {
        let mut trace = Settings::new().trace("192.0.2.1").start().unwrap();
        let other = || {
            assert!(
                Settings::new()
                    .trace("127.0.0.1")
                    .start()
                    .unwrap()
                    .all(|reply| reply.is_ok())
            );
        };
        let is_readable = |trace: &Trace| {
            let mut fds = [PollFd::new(trace, PollFlags::IN)];
            rustix::event::poll(&mut fds, Some(&rustix::event::Timespec::default())).unwrap() > 0
        };
        trace.launch().unwrap();
        other();
        assert!(
            is_readable(&trace),
            "nobody has said yet whose answers are wanted"
        );
        while trace.work().unwrap() == Step::Running && is_readable(&trace) {}
        other();
        assert!(!is_readable(&trace));
        assert!(trace.finish().summary().rejected.not_ours > 0);
    });
}

#[test]
fn a_next_hop_that_is_not_there_is_waited_for_unless_a_timeout_is_set_and_is_no_hop() {
    const LINK: &str = "
        ip link add near type veth peer name far; ip link set near up; ip link set far up
        ip address add 192.0.2.1/24 dev near; ip address add 2001:db8::1/64 dev near nodad";
    let test = "running::tests::a_next_hop_that_is_not_there_is_waited_for_unless_a_timeout_is_set_and_is_no_hop";
    in_namespace(test, &format!("{PERMIT_PING}{LINK}"), || {
        for (kind, hosts) in [
            (SocketKind::Raw, ["192.0.2.98", "2001:db8::98"]),
            (SocketKind::Ping, ["192.0.2.99", "2001:db8::99"]),
        ] {
            for host in hosts {
                let settings = Settings::new().socket(kind).max_hops(3);
                let route = settings
                    .clone()
                    .timeout(Duration::from_millis(500))
                    .trace(host)
                    .run()
                    .unwrap();
                assert_eq!(
                    (route.stop_reason(), route.failure()),
                    (Some(StopReason::Timeout), None),
                    "{host}"
                );
                let route = settings.trace(host).run().unwrap();
                assert_eq!(
                    route.stop_reason(),
                    Some(StopReason::Local),
                    "{kind:?} {host}"
                );
                assert!(
                    route
                        .failure()
                        .is_some_and(|failure| failure.is_host_unreachable())
                );
                assert_eq!(route.hops().flat_map(|hop| hop.replies()).count(), 0);
            }
        }
    });
}
