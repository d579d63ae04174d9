//! The system calls that a trace makes while it runs, and what any program makes to write its output, to allocate and to end.

/// A system call that is permitted, with what must hold for one of its arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: i64,
    pub(crate) condition: Condition,
}

/// What must hold for the arguments, which count from 0; only their low 32 bits are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    Any,
    /// An argument has none of these bits.
    Lacks(u8, u32),
    /// An argument is one of these.
    IsOneOf(u8, &'static [u32]),
    /// Two arguments are these.
    Are([(u8, u32); 2]),
}

const fn any(number: libc::c_long) -> Call {
    when(number, Condition::Any)
}

#[allow(clippy::unnecessary_cast, reason = "a C long isn't 64 bits wide everywhere")]
const fn when(number: i64, condition: Condition) -> Call {
    Call { number: number as i64, condition }
}

/// Memory that isn't to be executed.
const NO_CODE: Condition = Condition::Lacks(2, libc::PROT_EXEC as u32);
/// Asking for the size of a terminal, who is in its foreground, and whether it is one.
const OF_TERMINALS: Condition =
    Condition::IsOneOf(1, &[libc::TIOCGWINSZ as u32, libc::TIOCGPGRP as u32, libc::TCGETS as u32]);
/// Asking for the flags of a descriptor.
const OF_FLAGS: Condition = Condition::IsOneOf(1, &[libc::F_GETFD as u32, libc::F_GETFL as u32]);

const fn option(number: i32) -> Condition {
    Condition::Are([(1, libc::SOL_SOCKET as u32), (2, number as u32)])
}

/// The calls on every architecture that has a filter. None of them opens, makes or starts anything.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
const EVERYWHERE: &[Call] = &[
    // Packets, and output.
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
    // Asking for a source: the sockets that are made for it can't send, and of the others none gains by being connected.
    any(libc::SYS_connect),
    any(libc::SYS_getsockname),
    when(libc::SYS_setsockopt, option(libc::SO_BINDTODEVICE)),
    when(libc::SYS_ioctl, OF_TERMINALS),
    when(libc::SYS_fcntl, OF_FLAGS),
    when(libc::SYS_setsockopt, option(libc::SO_TIMESTAMPING)),
    when(libc::SYS_getsockopt, option(libc::SO_MEMINFO)),
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
    // By which the C libraries raise a signal.
    any(libc::SYS_tgkill),
    any(libc::SYS_tkill),
    any(libc::SYS_wait4),
    any(libc::SYS_waitid),
    any(libc::SYS_exit),
    any(libc::SYS_exit_group),
];

/// Others call some of these by other names, and have no filter.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
const EVERYWHERE: &[Call] = &[];

/// What an older architecture calls in addition.
#[cfg(target_arch = "x86_64")]
const HERE: &[Call] = &[any(libc::SYS_poll), any(libc::SYS_epoll_wait), any(libc::SYS_time)];
#[cfg(not(target_arch = "x86_64"))]
const HERE: &[Call] = &[];

/// Setting what a terminal does with what is typed, and dropping what was, as tcsetattr does: for standard input alone.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
const ON_TERMINAL: &[Call] = &[
    when(libc::SYS_ioctl, Condition::Are([(0, libc::STDIN_FILENO as u32), (1, libc::TCSETSF as u32)])),
    when(libc::SYS_ioctl, Condition::Are([(0, libc::STDIN_FILENO as u32), (1, libc::TCSETSF2 as u32)])),
];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
const ON_TERMINAL: &[Call] = &[];

/// All of them; with what restoring a terminal takes if there is one to be restored.
pub(crate) fn permitted(terminal: bool) -> impl Iterator<Item = Call> {
    let on_terminal = if terminal { ON_TERMINAL } else { &[] };
    EVERYWHERE.iter().chain(HERE).chain(on_terminal).copied()
}
