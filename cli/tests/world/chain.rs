//! A chain of real Linux routers, with each kind of socket in each family.

use crate::world::{HOPSHOT, Said, command_on_chain};

/// Each socket in each family: the kind of socket, the target of the chain, and an address on the
/// first link where nobody is.
const SOCKETS: [(&str, &str, &str); 4] = [
    ("raw", "10.4.0.1", "10.1.0.99"),
    ("ping", "10.4.0.1", "10.1.0.98"),
    ("raw", "2001:db8:4::1", "2001:db8:1::99"),
    ("ping", "2001:db8:4::1", "2001:db8:1::98"),
];

/// The kernel's verdict on a neighbour that doesn't answer.
pub(crate) const NOBODY: &str =
    "host unreachable, says this machine itself: the next hop doesn't answer on its link";

/// Runs a shell command on a chain of three routers, where `$0` is hopshot.
pub(crate) fn on_chain(script: &str) -> Option<Said> {
    command_on_chain(3, &["--ping"], &["sh", "-c", script, HOPSHOT])
}

/// Does the same for each kind of socket in each family at the same time.
pub(crate) fn on_each_socket(check: impl Fn(&str, &str, &str) + Sync) {
    std::thread::scope(|scope| {
        SOCKETS
            .iter()
            .for_each(|(socket, target, dead)| _ = scope.spawn(|| check(socket, target, dead)));
    });
}

/// The policy by which the kernel chooses among next hops, and whether the source is given.
const CHOICES: [(u8, bool); 3] = [(0, false), (1, false), (0, true)];

/// Does the same for each way in which the kernel may choose among next hops, too: with the command
/// that sets it, and an option.
pub(crate) fn on_each_choice(check: impl Fn(&str, &str, &str, &str) + Sync) {
    std::thread::scope(|scope| {
        for (policy, is_given) in CHOICES {
            let check = &check;
            scope.spawn(move || {
                on_each_socket(|socket, target, _| {
                    let own = if target.contains(':') { "2001:db8:1::fe" } else { "10.1.0.254" };
                    let source = if is_given { format!("-s {own}") } else { String::new() };
                    let setting = format!(
                        "echo {policy} | tee /proc/sys/net/ipv[46]/fib_multipath_hash_policy >/dev/null"
                    );
                    check(&setting, socket, target, &source);
                });
            });
        }
    });
}

/// Each socket in each family: the target at the end of a chain of three routers, the address of
/// this machine, the kind of socket.
pub(crate) const WAYS: [(&str, &str, &str); 4] = [
    ("10.4.0.1", "10.1.0.254", "raw"),
    ("10.4.0.1", "10.1.0.254", "ping"),
    ("2001:db8:4::1", "2001:db8:1::fe", "raw"),
    ("2001:db8:4::1", "2001:db8:1::fe", "ping"),
];
