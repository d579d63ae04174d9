//! The system calls of a process that looks names up: those of the resolvers of glibc and of musl,
//! of the modules that glibc loads for them, and of its threads.

use super::{Call, NO_CODE, Test, all, any, both, lacks, option, when};
use Test::{Has, Is, IsOwnProcess};

/// What a descriptor may be opened with: nothing by which a file is written, made or emptied.
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
const fn read_only(index: u8) -> Test {
    let bits = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;
    lacks(index, bits as u32)
}

/// A thread, and neither a process nor a namespace.
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
const THREAD: Test = {
    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET;
    let shared = libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND;
    Has(0, (shared | namespaces) as u32, shared as u32)
};

/// A socket of this family, kind and protocol.
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
const fn socket(family: i32, kind: i32, protocol: i32) -> Call {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    all(
        libc::SYS_socket,
        [
            Is(0, family as u32),
            Has(1, !(flags as u32), kind as u32),
            Is(2, protocol as u32),
        ],
    )
}

#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
const fn set(level: i32, number: i32) -> Call {
    option(libc::SYS_setsockopt, level, number)
}

/// The calls on every architecture that has a filter. None of them writes a file, starts a process
/// or reaches one.
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
const EVERYWHERE: &[Call] = &[
    // Files to read: which of them is up to Landlock.
    when(libc::SYS_openat, read_only(2)),
    any(libc::SYS_read),
    any(libc::SYS_readv),
    any(libc::SYS_pread64),
    any(libc::SYS_lseek),
    any(libc::SYS_fstat),
    any(libc::SYS_newfstatat),
    any(libc::SYS_statx),
    any(libc::SYS_faccessat),
    any(libc::SYS_faccessat2),
    any(libc::SYS_readlinkat),
    any(libc::SYS_getdents64),
    any(libc::SYS_close),
    when(libc::SYS_fcntl, Is(1, libc::F_GETFD as u32)),
    when(libc::SYS_fcntl, Is(1, libc::F_SETFD as u32)),
    when(libc::SYS_fcntl, Is(1, libc::F_GETFL as u32)),
    when(libc::SYS_fcntl, Is(1, libc::F_SETFL as u32)),
    when(libc::SYS_fcntl, Is(1, libc::F_DUPFD_CLOEXEC as u32)),
    // Answers to this process's parent.
    any(libc::SYS_write),
    any(libc::SYS_writev),
    // Servers: by UDP and TCP, and the kernel, which is asked for addresses and interfaces.
    socket(libc::AF_INET, libc::SOCK_DGRAM, 0),
    socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDP),
    socket(libc::AF_INET, libc::SOCK_STREAM, 0),
    socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP),
    socket(libc::AF_INET6, libc::SOCK_DGRAM, 0),
    socket(libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_UDP),
    socket(libc::AF_INET6, libc::SOCK_STREAM, 0),
    socket(libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP),
    socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
    socket(libc::AF_NETLINK, libc::SOCK_DGRAM, libc::NETLINK_ROUTE),
    any(libc::SYS_bind),
    any(libc::SYS_connect),
    any(libc::SYS_getsockname),
    any(libc::SYS_getpeername),
    any(libc::SYS_sendto),
    any(libc::SYS_sendmsg),
    any(libc::SYS_sendmmsg),
    any(libc::SYS_recvfrom),
    any(libc::SYS_recvmsg),
    any(libc::SYS_recvmmsg),
    any(libc::SYS_shutdown),
    any(libc::SYS_getsockopt),
    set(libc::SOL_SOCKET, libc::SO_RCVTIMEO),
    set(libc::SOL_SOCKET, libc::SO_SNDTIMEO),
    set(libc::SOL_SOCKET, libc::SO_RCVBUF),
    set(libc::SOL_SOCKET, libc::SO_SNDBUF),
    set(libc::SOL_SOCKET, libc::SO_PASSCRED),
    set(libc::IPPROTO_IP, libc::IP_RECVERR),
    set(libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
    set(libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT),
    set(libc::IPPROTO_TCP, libc::TCP_NODELAY),
    when(libc::SYS_ioctl, Is(1, libc::FIONREAD as u32)),
    when(libc::SYS_ioctl, Is(1, libc::FIONBIO as u32)),
    when(libc::SYS_ioctl, Is(1, libc::TCGETS as u32)),
    when(libc::SYS_ioctl, Is(1, libc::SIOCGIFINDEX as u32)),
    when(libc::SYS_ioctl, Is(1, libc::SIOCGIFNAME as u32)),
    // Waiting, and time.
    any(libc::SYS_ppoll),
    any(libc::SYS_pselect6),
    any(libc::SYS_clock_gettime),
    any(libc::SYS_gettimeofday),
    any(libc::SYS_clock_nanosleep),
    any(libc::SYS_nanosleep),
    any(libc::SYS_futex),
    any(libc::SYS_sched_yield),
    any(libc::SYS_restart_syscall),
    // Threads. clone3, whose flags can't be seen from here, gets ENOSYS by a filter of its own,
    // and libc takes clone.
    when(libc::SYS_clone, THREAD),
    any(libc::SYS_clone3),
    any(libc::SYS_set_robust_list),
    any(libc::SYS_set_tid_address),
    any(libc::SYS_rseq),
    any(libc::SYS_sched_getaffinity),
    when(libc::SYS_prctl, Is(0, libc::PR_SET_NAME as u32)),
    // The size of a stack is asked for, and not set.
    both(libc::SYS_prlimit64, Is(0, 0), Is(2, 0)),
    // Memory. Code comes from files, since modules are loaded, and is never written to.
    any(libc::SYS_brk),
    any(libc::SYS_munmap),
    any(libc::SYS_mremap),
    any(libc::SYS_madvise),
    when(libc::SYS_mmap, NO_CODE),
    both(
        libc::SYS_mmap,
        lacks(2, libc::PROT_WRITE as u32),
        lacks(3, libc::MAP_ANONYMOUS as u32),
    ),
    when(libc::SYS_mprotect, NO_CODE),
    any(libc::SYS_getrandom),
    any(libc::SYS_sysinfo),
    any(libc::SYS_uname),
    // Signals, who one is, and the end.
    any(libc::SYS_rt_sigaction),
    any(libc::SYS_rt_sigprocmask),
    any(libc::SYS_rt_sigreturn),
    any(libc::SYS_sigaltstack),
    any(libc::SYS_getpid),
    any(libc::SYS_getppid),
    any(libc::SYS_gettid),
    any(libc::SYS_getuid),
    any(libc::SYS_geteuid),
    any(libc::SYS_getgid),
    any(libc::SYS_getegid),
    any(libc::SYS_getresuid),
    any(libc::SYS_getresgid),
    any(libc::SYS_capget),
    when(libc::SYS_prctl, Is(0, libc::PR_GET_NO_NEW_PRIVS as u32)),
    when(libc::SYS_prctl, Is(0, libc::PR_GET_DUMPABLE as u32)),
    when(libc::SYS_tgkill, IsOwnProcess(0)),
    when(libc::SYS_tkill, IsOwnProcess(0)),
    any(libc::SYS_exit),
    any(libc::SYS_exit_group),
];
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
const EVERYWHERE: &[Call] = &[];

/// What an older architecture calls in addition.
#[cfg(target_arch = "x86_64")]
const HERE: &[Call] = &[
    when(libc::SYS_open, read_only(1)),
    any(libc::SYS_stat),
    any(libc::SYS_lstat),
    any(libc::SYS_access),
    any(libc::SYS_readlink),
    any(libc::SYS_poll),
    any(libc::SYS_select),
    any(libc::SYS_time),
];
#[cfg(not(target_arch = "x86_64"))]
const HERE: &[Call] = &[];

/// A resolver on this machine, which is asked by a socket among its files.
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
const NEXT_DOOR: &[Call] = &[socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)];
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
const NEXT_DOOR: &[Call] = &[];

/// The calls that a filter can't look into, and for which the C libraries have another that it can.
pub(crate) fn unseen() -> impl Iterator<Item = Call> {
    [any(libc::SYS_clone3)].into_iter()
}

/// The calls of lookups; with what it takes to ask a resolver on this machine if there is one.
pub(crate) fn of_lookups(resolver: bool) -> impl Iterator<Item = Call> {
    let next_door = if resolver { NEXT_DOOR } else { &[] };
    EVERYWHERE.iter().chain(HERE).chain(next_door).copied()
}
