//! Least privilege: what a process gives up once its sockets are open.
//!
//! A trace reads what strangers send. Should one of them ever find a way into it, there should be nothing to find. [`renounce`]
//! gives up privileges and the way back to them; [`confine`] gives up everything but the descriptors that are open: from then
//! on no file, no socket and no program can be opened. A library must not do so to its host by itself, so nothing here happens
//! unless it is called.
//!
//! All of it holds for the calling thread and those that it starts later, and can't be undone. Call it before there are other
//! threads. What a kernel doesn't have (Landlock before Linux 5.13, a seccomp filter for an architecture that isn't known
//! here) is left out, and said.

use crate::sys::calls::{self, Call, Condition};
use crate::sys::start;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgid, getuid};
use rustix::thread::{self, CapabilitySet, CapabilitySets};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// Returns whether the program's file brought privileges that its user doesn't have: capabilities (setcap), set-user-ID or
/// set-group-ID. Whatever they permit is then permitted to every user of this machine, so a program should permit less.
///
/// It says `false` for root, and where the privileges are the caller's: sudo, ambient capabilities.
#[doc(alias = "AT_SECURE")]
#[must_use]
pub fn came_with_the_program() -> bool {
    // Security modules set AT_SECURE also where they let a process into another domain, root's too.
    start::is_secure() && !getuid().is_root()
}

/// Gives up the privileges of this thread, and the way to get any: all capabilities (also those of the bounding and the
/// ambient set), supplementary groups and effective ids that a set-user-ID program was given, and what a program may gain by
/// being executed (`no_new_privs`). Open sockets keep working. Doing it twice is harmless.
///
/// Returns a sentence for each thing that could not be given up.
#[doc(alias = "capabilities")]
pub fn renounce() -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |what: &str, done: Result<(), Errno>| {
        if let Err(errno) = done {
            notes.push(format!("{what}: {}", std::io::Error::from(errno)));
        }
    };
    empty_bounding_set();
    let (user, group) = (getuid(), getgid());
    if (geteuid(), getegid()) != (user, group) {
        // Without the capability for it there are no groups but the user's own.
        let _ = thread::set_thread_groups(&[]);
        note("can't give up the effective group", thread::set_thread_res_gid(group, group, group));
        note("can't give up the effective user", thread::set_thread_res_uid(user, user, user));
    }
    let none = CapabilitySet::empty();
    // Not on kernels before Linux 4.3, which have no such set.
    let _ = thread::clear_ambient_capability_set();
    let nothing = CapabilitySets { effective: none, permitted: none, inheritable: none };
    note("can't give up capabilities", thread::set_capabilities(None, nothing));
    note("can't rule out new privileges", thread::set_no_new_privs(true));
    notes
}

/// Removes every capability from the bounding set. Who may not do that (without `CAP_SETPCAP`) can't gain any either, once
/// `no_new_privs` is set.
fn empty_bounding_set() {
    for bit in 0..u64::BITS {
        match thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            Ok(()) => {}
            // EINVAL: this kernel doesn't know so many.
            Err(_) => break,
        }
    }
}

/// [`renounce`], and then everything but what is open already: a Landlock domain that permits nothing, and a seccomp filter
/// that permits the system calls of a running trace, of writing, allocating and ending. Any other call fails with EPERM.
///
/// Returns a sentence for each thing that could not be given up.
#[doc(alias = "sandbox")]
#[doc(alias = "landlock")]
#[doc(alias = "seccomp")]
pub fn confine() -> Vec<String> {
    confine_but(false)
}

/// The same for a program that has changed the settings of its terminal: it may still set those of standard input
/// (`tcsetattr` with `TCSAFLUSH`), to restore them when it ends.
pub fn confine_on_terminal() -> Vec<String> {
    confine_but(true)
}

fn confine_but(terminal: bool) -> Vec<String> {
    let mut notes = renounce();
    if let Some(others) = other_threads() {
        notes.push(format!("{others} other threads were running already, and are not confined"));
    }
    notes.extend(restrict().err());
    notes.extend(filter(terminal).err());
    notes
}

/// [`renounce`], and then the right to write files and to start programs, for a process that looks names up: it can read files
/// and speak with servers, as resolvers must.
///
/// Returns a sentence for each thing that could not be given up.
pub fn confine_to_lookups() -> Vec<String> {
    let mut notes = renounce();
    let domain = || -> Result<RulesetStatus, RulesetError> {
        let ruleset = ruleset().handle_access(AccessFs::from_all(KNOWN))?.scope(Scope::Signal)?.create()?;
        let reading = path_beneath_rules(["/"], AccessFs::ReadFile | AccessFs::ReadDir);
        Ok(ruleset.add_rules(reading)?.restrict_self()?.ruleset)
    };
    notes.extend(entered(domain()).err());
    notes
}

/// How many threads there are beside this one, if any.
fn other_threads() -> Option<usize> {
    let others = std::fs::read_dir("/proc/self/task").ok()?.count().checked_sub(1)?;
    (others > 0).then_some(others)
}

/// What this library knows of Landlock; a kernel may know less.
const KNOWN: ABI = ABI::V6;

fn ruleset() -> Ruleset {
    Ruleset::default().set_compatibility(CompatLevel::BestEffort)
}

/// Enters a Landlock domain in which no file can be opened, no TCP port bound or connected to, and no process outside reached.
fn restrict() -> Result<(), String> {
    let domain = || -> Result<RulesetStatus, RulesetError> {
        let ruleset = ruleset()
            .handle_access(AccessFs::from_all(KNOWN))?
            .handle_access(AccessNet::from_all(KNOWN))?
            .scope(Scope::from_all(KNOWN))?;
        Ok(ruleset.create()?.restrict_self()?.ruleset)
    };
    entered(domain())
}

fn entered(domain: Result<RulesetStatus, RulesetError>) -> Result<(), String> {
    match domain {
        Ok(RulesetStatus::FullyEnforced) => Ok(()),
        Ok(RulesetStatus::PartiallyEnforced) => Err("this kernel's Landlock knows files, but not all else".to_owned()),
        Ok(RulesetStatus::NotEnforced) => Err("this kernel has no Landlock".to_owned()),
        Err(error) => Err(format!("no Landlock: {error}")),
    }
}

/// Lets only the system calls of [`calls::permitted`] through.
fn filter(terminal: bool) -> Result<(), String> {
    let no_filter = |error: &dyn std::fmt::Display| format!("no seccomp filter: {error}");
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| no_filter(&error))?;
    let program = program(arch, terminal).map_err(|error| no_filter(&error))?;
    seccompiler::apply_filter(&program).map_err(|error| no_filter(&error))
}

fn program(arch: TargetArch, terminal: bool) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for Call { number, condition } in calls::permitted(terminal) {
        rules.entry(number).or_default().extend(alternatives(condition)?);
    }
    let refused = SeccompAction::Errno(Errno::PERM.raw_os_error().unsigned_abs());
    SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)?.try_into()
}

/// The rules of which one must hold; none if the call is permitted whatever its arguments.
fn alternatives(condition: Condition) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let argument =
        |index, operator, value: u32| SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value.into());
    let is = |index, value| argument(index, SeccompCmpOp::Eq, value);
    match condition {
        Condition::Any => Ok(Vec::new()),
        Condition::Lacks(index, bits) => {
            let lacks = argument(index, SeccompCmpOp::MaskedEq(bits.into()), 0)?;
            Ok(vec![SeccompRule::new(vec![lacks])?])
        }
        Condition::IsOneOf(index, values) => {
            values.iter().map(|value| SeccompRule::new(vec![is(index, *value)?])).collect()
        }
        Condition::Are(both) => {
            let both = both.into_iter().map(|(index, value)| is(index, value)).collect::<Result<_, _>>()?;
            Ok(vec![SeccompRule::new(both)?])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::{PERMIT_PING, in_namespace};
    use crate::{Clock, SocketKind, Step, StopReason, Traceroute};
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
    use std::fs::File;
    use std::io::ErrorKind;
    use std::net::{TcpStream, UdpSocket};
    use std::process::Command;

    /// What is expected of a confined process: nothing new can be had, and life goes on.
    fn assert_confined() {
        let denied =
            |what: &str, kind: Option<ErrorKind>| assert_eq!(kind, Some(ErrorKind::PermissionDenied), "{what}");
        denied("a file to read", File::open("/proc/self/status").err().map(|error| error.kind()));
        denied("a file to write", File::create("/tmp/hopshot-confined").err().map(|error| error.kind()));
        denied("a directory", std::fs::read_dir("/").err().map(|error| error.kind()));
        denied("a UDP socket", UdpSocket::bind("127.0.0.1:0").err().map(|error| error.kind()));
        denied("a TCP socket", TcpStream::connect("127.0.0.1:1").err().map(|error| error.kind()));
        denied("a pipe", std::io::pipe().err().map(|error| error.kind()));
        denied("a thread", std::thread::Builder::new().spawn(|| ()).err().map(|error| error.kind()));
        let command = Command::new("/bin/true").spawn().err().map(|error| error.kind());
        denied("a program", command);
        for kind in [SocketKind::Raw, SocketKind::Ping] {
            assert!(Traceroute::new("127.0.0.1").socket(kind).start().is_err());
        }
        // Memory, time and output.
        assert_eq!(vec![1_u8; 64 << 20].iter().map(|octet| u64::from(*octet)).sum::<u64>(), 64 << 20);
        std::thread::sleep(std::time::Duration::from_millis(1));
        println!("confined");
    }

    #[test]
    fn a_confined_process_can_open_nothing() {
        in_namespace("privilege::tests::a_confined_process_can_open_nothing", "", || {
            let other = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR).unwrap();
            let settings = tcgetattr(&other).unwrap();
            let notes = confine();
            // The harness has threads, and an older kernel knows less of Landlock.
            let expected = ["other threads", "this kernel"];
            assert!(notes.iter().all(|note| expected.iter().any(|why| note.contains(why))), "{notes:?}");
            assert_confined();
            let set = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &settings);
            assert_eq!(set, Err(Errno::PERM));
            // Once more does no harm, and no good.
            assert!(!confine().is_empty());
        });
    }

    #[test]
    fn only_on_a_terminal_and_only_those_of_standard_input_can_settings_be_restored() {
        const TEST: &str =
            "privilege::tests::only_on_a_terminal_and_only_those_of_standard_input_can_settings_be_restored";
        in_namespace(TEST, "", || {
            let other = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
            let settings = tcgetattr(&other).unwrap();
            // It is none here: where that can be found out the call is permitted.
            let set = |action| tcsetattr(rustix::stdio::stdin(), action, &settings);
            confine_on_terminal();
            assert_confined();
            assert_eq!(set(OptionalActions::Flush), Err(Errno::NOTTY));
            assert_eq!(set(OptionalActions::Now), Err(Errno::PERM));
            assert_eq!(tcsetattr(&other, OptionalActions::Flush, &settings), Err(Errno::PERM));
        });
    }

    #[test]
    fn a_confined_trace_runs_to_its_end_on_either_socket() {
        in_namespace("privilege::tests::a_confined_trace_runs_to_its_end_on_either_socket", PERMIT_PING, || {
            let mut traces = Vec::new();
            for kind in [SocketKind::Raw, SocketKind::Ping] {
                for target in ["127.0.0.1", "::1"] {
                    for precise in [false, true] {
                        let traceroute = Traceroute::new(target).socket(kind).precise(precise).attempts(3);
                        traces.push((traceroute.start().unwrap(), precise));
                    }
                }
            }
            traces[0].0.confine();
            assert_confined();
            for (mut trace, precise) in traces {
                while trace.advance(None).unwrap() != Step::Done {}
                let route = trace.finish();
                assert_eq!((route.distance(), route.stop_reason()), (Some(1), Some(StopReason::Reached)));
                let clocks = route.hops().flat_map(|hop| hop.replies()).map(|reply| route.clocks(reply.probe));
                let sent: Vec<Clock> = clocks.map(|clocks| clocks.sent).collect();
                assert_eq!(sent, [if precise { Clock::Kernel } else { Clock::User }; 3]);
            }
        });
    }

    #[test]
    fn renouncing_keeps_files_and_sockets_and_gives_up_the_rest() {
        in_namespace("privilege::tests::renouncing_keeps_files_and_sockets_and_gives_up_the_rest", "", || {
            assert_eq!(renounce(), Vec::<String>::new());
            assert!(File::open("/proc/self/status").is_ok() && UdpSocket::bind("127.0.0.1:0").is_ok());
            let sets = thread::capabilities(None).unwrap();
            assert!(sets.permitted.is_empty() && sets.effective.is_empty() && sets.inheritable.is_empty());
            assert!(!thread::capability_is_in_bounding_set(CapabilitySet::NET_RAW).unwrap());
            assert!(Traceroute::new("127.0.0.1").socket(SocketKind::Raw).start().is_err());
        });
    }

    #[test]
    fn who_looks_names_up_can_read_and_ask_but_neither_write_nor_start_programs() {
        const TEST: &str = "privilege::tests::who_looks_names_up_can_read_and_ask_but_neither_write_nor_start_programs";
        in_namespace(TEST, "", || {
            let notes = confine_to_lookups();
            assert!(File::open("/etc/nsswitch.conf").is_ok() && UdpSocket::bind("127.0.0.1:0").is_ok());
            assert!(crate::resolve("localhost", None).is_ok());
            let refused = TcpStream::connect("127.0.0.1:1").err().map(|error| error.kind());
            assert_eq!(refused, Some(ErrorKind::ConnectionRefused));
            if notes.iter().any(|note| note.contains("no Landlock")) {
                return eprintln!("SKIPPED in part: {notes:?}");
            }
            let denied = [File::create("/tmp/hopshot-confined").err(), Command::new("/bin/true").spawn().err()];
            let denied = denied.map(|error| error.map(|error| error.kind()));
            assert_eq!(denied, [Some(ErrorKind::PermissionDenied); 2]);
        });
    }
}
