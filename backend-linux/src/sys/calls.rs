//! The system calls that a trace makes while it runs, and what any program makes to write its
//! output, to allocate and to end.

mod lookups;

pub(crate) use lookups::{of_lookups, unseen};

/// A system call that is permitted if all its tests are passed; or another entry's of the same
/// number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: i64,
    pub(crate) tests: [Test; 3],
}

/// A test of one of the arguments, which count from 0; only their low 32 bits are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// Always passed.
    Pass,
    /// The argument is this.
    Is(u8, u32),
    /// Of the bits of the first number, the argument has those of the second.
    Has(u8, u32, u32),
    /// The argument is the id of this process.
    IsOwnProcess(u8),
    /// The argument is the id of this thread.
    IsOwnThread(u8),
}

use Test::{Has, Is, IsOwnProcess, IsOwnThread, Pass};

const fn any(number: libc::c_long) -> Call {
    when(number, Pass)
}

const fn when(number: libc::c_long, test: Test) -> Call {
    both(number, test, Pass)
}

const fn both(number: libc::c_long, one: Test, other: Test) -> Call {
    all(number, [one, other, Pass])
}

#[allow(
    clippy::unnecessary_cast,
    reason = "a C long isn't 64 bits wide everywhere"
)]
const fn all(number: libc::c_long, tests: [Test; 3]) -> Call {
    Call {
        number: number as i64,
        tests,
    }
}

/// The argument has none of these bits.
const fn lacks(index: u8, bits: u32) -> Test {
    Has(index, bits, 0)
}

/// Memory that isn't to be executed.
const NO_CODE: Test = lacks(2, libc::PROT_EXEC as u32);

/// An option of sockets.
const fn option(call: libc::c_long, level: i32, number: i32) -> Call {
    both(call, Is(1, level as u32), Is(2, number as u32))
}

/// The calls on every architecture that has a filter. None of them opens, makes or starts anything.
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
const EVERYWHERE: &[Call] = &[
    // Packets, and output; questions to the kernel about the next hop (rtnetlink): the socket is
    // open, and without privileges it can only ask.
    any(libc::SYS_sendmsg),
    any(libc::SYS_recvmsg),
    any(libc::SYS_sendto),
    any(libc::SYS_recvfrom),
    any(libc::SYS_read),
    any(libc::SYS_readv),
    any(libc::SYS_write),
    any(libc::SYS_writev),
    any(libc::SYS_close),
    any(libc::SYS_shutdown),
    any(libc::SYS_fstat),
    any(libc::SYS_lseek),
    // Asking for a source: the sockets that are made for it can't send. Of the others only TCP
    // sockets gain by being connected, and Landlock says to which port.
    any(libc::SYS_connect),
    any(libc::SYS_bind),
    any(libc::SYS_getsockname),
    option(
        libc::SYS_setsockopt,
        libc::SOL_SOCKET,
        libc::SO_BINDTOIFINDEX,
    ),
    option(
        libc::SYS_setsockopt,
        libc::SOL_SOCKET,
        libc::SO_BINDTODEVICE,
    ),
    // The size of a terminal, who is in its foreground, and whether it is one; the flags of a
    // descriptor.
    when(libc::SYS_ioctl, Is(1, libc::TIOCGWINSZ as u32)),
    when(libc::SYS_ioctl, Is(1, libc::TIOCGPGRP as u32)),
    when(libc::SYS_ioctl, Is(1, libc::TCGETS as u32)),
    when(libc::SYS_fcntl, Is(1, libc::F_GETFD as u32)),
    when(libc::SYS_fcntl, Is(1, libc::F_GETFL as u32)),
    option(
        libc::SYS_setsockopt,
        libc::SOL_SOCKET,
        libc::SO_TIMESTAMPING,
    ),
    option(libc::SYS_getsockopt, libc::SOL_SOCKET, libc::SO_MEMINFO),
    // Waiting, and time.
    any(libc::SYS_ppoll),
    any(libc::SYS_epoll_pwait),
    any(libc::SYS_clock_gettime),
    any(libc::SYS_gettimeofday),
    any(libc::SYS_clock_nanosleep),
    any(libc::SYS_nanosleep),
    any(libc::SYS_futex),
    any(libc::SYS_sched_yield),
    any(libc::SYS_restart_syscall),
    // Memory.
    any(libc::SYS_brk),
    any(libc::SYS_munmap),
    any(libc::SYS_mremap),
    any(libc::SYS_madvise),
    when(libc::SYS_mmap, NO_CODE),
    when(libc::SYS_mprotect, NO_CODE),
    any(libc::SYS_getrandom),
    // Signals, who one is, and the end.
    any(libc::SYS_rt_sigaction),
    any(libc::SYS_rt_sigprocmask),
    any(libc::SYS_rt_sigreturn),
    any(libc::SYS_sigaltstack),
    any(libc::SYS_getpid),
    any(libc::SYS_gettid),
    any(libc::SYS_getuid),
    any(libc::SYS_geteuid),
    any(libc::SYS_getgid),
    any(libc::SYS_getegid),
    // Whether privileges are gone: who confines a process once more is told the truth.
    any(libc::SYS_capget),
    any(libc::SYS_getresuid),
    any(libc::SYS_getresgid),
    when(libc::SYS_prctl, Is(0, libc::PR_GET_NO_NEW_PRIVS as u32)),
    when(libc::SYS_prctl, Is(0, libc::PR_GET_DUMPABLE as u32)),
    // By which the C libraries raise a signal. Before Linux 6.12 nothing else keeps it from other
    // processes.
    when(libc::SYS_tgkill, IsOwnProcess(0)),
    when(libc::SYS_tkill, IsOwnThread(0)),
    any(libc::SYS_wait4),
    any(libc::SYS_waitid),
    any(libc::SYS_exit),
    any(libc::SYS_exit_group),
];

/// Others call some of these by other names, and have no filter.
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
const EVERYWHERE: &[Call] = &[];

/// What an older architecture calls in addition.
#[cfg(target_arch = "x86_64")]
const HERE: &[Call] = &[
    any(libc::SYS_poll),
    any(libc::SYS_epoll_wait),
    any(libc::SYS_time),
];
#[cfg(not(target_arch = "x86_64"))]
const HERE: &[Call] = &[];

/// Setting what a terminal does with what is typed, and dropping what was, as tcsetattr does: for
/// standard input alone.
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
const ON_TERMINAL: &[Call] = &[
    both(
        libc::SYS_ioctl,
        Is(0, libc::STDIN_FILENO as u32),
        Is(1, libc::TCSETSF as u32),
    ),
    both(
        libc::SYS_ioctl,
        Is(0, libc::STDIN_FILENO as u32),
        Is(1, libc::TCSETSF2 as u32),
    ),
];
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
const ON_TERMINAL: &[Call] = &[];

/// Making connections of sockets that are open: how far each goes, what has become of it, and the
/// timer for those that come to nothing.
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
const CONNECTING: &[Call] = &[
    option(libc::SYS_setsockopt, libc::IPPROTO_IP, libc::IP_TTL),
    option(
        libc::SYS_setsockopt,
        libc::IPPROTO_IPV6,
        libc::IPV6_UNICAST_HOPS,
    ),
    option(libc::SYS_getsockopt, libc::SOL_SOCKET, libc::SO_ERROR),
    option(libc::SYS_getsockopt, libc::IPPROTO_TCP, libc::TCP_INFO),
    any(libc::SYS_timerfd_settime),
];
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
const CONNECTING: &[Call] = &[];

/// Permissions that only some traces need.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beside {
    /// Restores the settings of a terminal.
    pub(crate) terminal: bool,
    /// Makes connections to these TCP ports.
    pub(crate) ports: Vec<u16>,
}

/// The calls of a trace.
pub(crate) fn of_traces(beside: &Beside) -> impl Iterator<Item = Call> + use<> {
    let on_terminal = if beside.terminal { ON_TERMINAL } else { &[] };
    let connecting = if beside.ports.is_empty() {
        &[]
    } else {
        CONNECTING
    };
    let common = EVERYWHERE.iter().chain(HERE);
    common.chain(on_terminal).chain(connecting).copied()
}
