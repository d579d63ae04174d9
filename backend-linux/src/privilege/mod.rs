//! Least privilege: what a process gives up once its sockets are open.
//!
//! A trace reads what strangers send. Should one of them ever find a way into it, there should be
//! nothing to find. [`renounce`] gives up privileges and the way back to them; [`confine`] gives up
//! everything but the descriptors that are open: from then on no file, no socket and no program can
//! be opened. [`confine_to_lookups`] is for a process of its own that asks for names, which takes
//! files and sockets. A library must not do so to its host by itself, so nothing here happens
//! unless it is called.
//!
//! Privileges that can't be given up are an error. A sandbox that isn't to be had (Landlock before
//! Linux 5.13, a seccomp filter for an architecture that isn't known here) is left out, and told:
//! [`Shortfalls`].
//!
//! All of it holds for the calling thread and those that it starts later, and can't be undone. Call
//! it before there are other threads.

mod domain;
mod filter;
#[cfg(test)]
mod promises;
mod shortfalls;
#[cfg(test)]
mod tests;

pub use shortfalls::{Shortfall, Shortfalls};

use crate::error::Error;
use crate::sys::calls::{self, Beside};
use crate::sys::{self, start};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Gid, Uid, dumpable_behavior, getgid, getuid, set_dumpable_behavior,
};
use rustix::thread::{self, CapabilitySet, CapabilitySets};
use std::io;
use std::path::Path;

/// The user and the group that own nothing, by the number that the kernel has for those that it
/// can't name (`overflowuid`).
const NOBODY: u32 = 65_534;

/// Resolvers that are asked by a socket among files: nscd and nslcd, systemd-resolved, Avahi and
/// its like for names of the local network, sssd, and D-Bus, by which older modules reach
/// systemd-resolved.
const RESOLVERS: [&str; 11] = [
    "/run/nscd/socket",
    "/var/run/nscd/socket",
    "/run/nslcd/socket",
    "/var/run/nslcd/socket",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/avahi-daemon/socket",
    "/var/run/avahi-daemon/socket",
    "/var/run/mdnsd",
    "/var/lib/sss/pipes/nss",
    "/run/dbus/system_bus_socket",
    "/var/run/dbus/system_bus_socket",
];

/// Returns whether the program's file brought privileges that its user doesn't have: capabilities
/// (setcap), set-user-ID or set-group-ID. Whatever they permit is then permitted to every user of
/// this machine, so a program should permit less.
///
/// It says `false` for root, and where the privileges are the caller's: sudo, ambient capabilities.
#[doc(alias = "AT_SECURE")]
#[must_use]
pub fn came_with_the_program() -> bool {
    // Security modules set AT_SECURE also where they let a process into another domain, root's too.
    start::is_secure() && !getuid().is_root()
}

/// Keeps other processes of this user from taking descriptors and memory of this one (ptrace(2),
/// pidfd_getfd(2)), and the kernel from writing its memory to a file. A program that is started has
/// this no more. Sockets that took a privilege want it before they are opened; [`renounce`] does it
/// too.
///
/// # Errors
/// [`Error::Privileges`] if the kernel refuses, which it has no reason for.
#[doc(alias = "PR_SET_DUMPABLE")]
pub fn conceal() -> Result<(), Error> {
    let concealed = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let is_concealed = dumpable_behavior() == Ok(DumpableBehavior::NotDumpable);
    gone(
        "the way in for other processes of this user",
        is_concealed,
        concealed,
    )
}

/// Gives up the privileges of this thread, and the way to get any: all capabilities (also those of
/// the bounding and the ambient set), the effective ids that a set-user-ID program was given, and
/// what a program may gain by being executed (`no_new_privs`). Root becomes nobody (user and group
/// 65534, no other groups), unless this namespace has no such user or root may not become another:
/// then it stays, without a capability. Others keep their groups. What is open keeps working. Doing
/// it twice is harmless.
///
/// # Errors
/// [`Error::Privileges`] if one of them is there still.
#[doc(alias = "capabilities")]
pub fn renounce() -> Result<(), Error> {
    give_up(getuid().is_root())
}

/// The same; a process that may become nobody does, whoever it is, if that is wanted.
fn give_up(becomes_nobody: bool) -> Result<(), Error> {
    empty_bounding_set();
    let taken = if becomes_nobody {
        become_nobody()
    } else {
        Err(Errno::PERM)
    };
    let ids = taken.or_else(|_| become_user(getuid(), getgid()));
    let none = CapabilitySet::empty();
    // Not on kernels before Linux 4.3, which have no such set.
    let _ = thread::clear_ambient_capability_set();
    let nothing = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    let capabilities = thread::set_capabilities(None, nothing);
    let new = thread::set_no_new_privs(true);
    // Last: the kernel resets it when ids change.
    conceal()?;
    // What the calls said matters less than what is so.
    let is_same = |[real, effective, saved]: [u32; 3]| real == effective && real == saved;
    let (users, groups) =
        sys::ids().map_err(Error::system("can't read the ids of this process"))?;
    gone(
        "the rights of the program's owner",
        is_same(users) && is_same(groups),
        ids,
    )?;
    let left = thread::capabilities(None).map_err(Error::system("can't read the capabilities"))?;
    gone(
        "capabilities",
        (left.effective | left.permitted | left.inheritable).is_empty(),
        capabilities,
    )?;
    gone(
        "the way to new privileges",
        thread::no_new_privs() == Ok(true),
        new,
    )
}

/// What is to be said of privileges: whether they are gone, and else what the kernel said when they
/// should go.
fn gone(what: &'static str, is_gone: bool, said: Result<(), Errno>) -> Result<(), Error> {
    if is_gone {
        return Ok(());
    }
    let reason = said.err().map_or_else(
        || io::Error::other("the kernel didn't do it, and gave no reason"),
        Into::into,
    );
    Err(Error::Privileges { what, reason })
}

/// Becomes this user, for good.
fn become_user(user: Uid, group: Gid) -> Result<(), Errno> {
    // The group first: whoever isn't root any more can't change it.
    thread::set_thread_res_gid(group, group, group)?;
    thread::set_thread_res_uid(user, user, user)
}

fn become_nobody() -> Result<(), Errno> {
    // Without the capability for it none of the three is done.
    thread::set_thread_groups(&[])?;
    become_user(Uid::from_raw(NOBODY), Gid::from_raw(NOBODY))
}

/// Removes every capability from the bounding set. Who may not do that (without `CAP_SETPCAP`)
/// can't gain any either, once `no_new_privs` is set.
fn empty_bounding_set() {
    for bit in 0..u64::BITS {
        match thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit))
        {
            Ok(()) => {}
            // EINVAL: this kernel doesn't know so many.
            Err(_) => break,
        }
    }
}

/// [`renounce`], and then everything but what is open already: a Landlock domain that permits
/// nothing, and a seccomp filter that permits the system calls of a running trace, of writing,
/// allocating and ending. Any other call fails with EPERM. A trace on TCP sockets can send nothing
/// after this: it needs [`Running::confine`](crate::Running::confine).
///
/// # Errors
/// As [`renounce`].
#[doc(alias = "sandbox")]
#[doc(alias = "landlock")]
#[doc(alias = "seccomp")]
pub fn confine() -> Result<Shortfalls, Error> {
    confine_but(&Beside::default())
}

/// The same for a program that has changed the settings of its terminal: it may still set those of
/// standard input (`tcsetattr` with `TCSAFLUSH`), to restore them when it ends.
///
/// # Errors
/// As [`renounce`].
pub fn confine_on_terminal() -> Result<Shortfalls, Error> {
    confine_but(&Beside {
        terminal: true,
        ..Beside::default()
    })
}

/// The same with what only some traces need.
pub(crate) fn confine_but(beside: &Beside) -> Result<Shortfalls, Error> {
    renounce()?;
    let mut shortfalls = Shortfalls::default();
    shortfalls.note(other_threads());
    shortfalls.note(domain::close(&beside.ports));
    shortfalls.note(filter::permit(calls::of_traces(beside)));
    Ok(shortfalls)
}

/// [`renounce`], as nobody where this process may become that whoever it is, and then what
/// resolvers don't need. Landlock leaves their files and libraries to be read, none to be written,
/// and no other process to be signalled. A seccomp filter permits threads and no process or
/// program; sockets of UDP and TCP and the kernel's tables of addresses; and sockets among
/// files (`AF_UNIX`) only if one of a resolver is there now. Such sockets reach whatever this user
/// may connect to.
///
/// # Errors
/// As [`renounce`].
pub fn confine_to_lookups() -> Result<Shortfalls, Error> {
    give_up(true)?;
    let mut shortfalls = Shortfalls::default();
    shortfalls.note(other_threads());
    shortfalls.note(domain::leave_lookups(getuid().is_root()));
    let has_resolver = RESOLVERS.iter().any(|socket| Path::new(socket).exists());
    shortfalls.note(filter_lookups(has_resolver));
    Ok(shortfalls)
}

fn filter_lookups(has_resolver: bool) -> Result<(), Shortfall> {
    filter::deny_existence(calls::unseen())?;
    filter::permit(calls::of_lookups(has_resolver))
}

/// Finds threads beside this one.
fn other_threads() -> Result<(), Shortfall> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        Err(Shortfall::OtherThreads(threads - 1))
    } else {
        Ok(())
    }
}
