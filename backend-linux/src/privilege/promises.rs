//! Each call that a confined process may not make, tried from inside: as root, who might make it
//! otherwise.

use super::*;
use crate::namespace::{as_root_in_namespace, in_namespace};
use crate::sys::calls::Call;
use rustix::process::getpid;
use std::ffi::CStr;
use std::fs::File;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

/// Calls that neither a trace nor a lookup makes, each with arguments that would have another
/// error, or an effect, if it were permitted to root. `of_another` is the id of another process,
/// `file` the path of a file.
fn forbidden(of_another: i64, file: &CStr) -> Vec<(&'static str, i64, [i64; 6])> {
    let path = file.as_ptr() as i64;
    let here = i64::from(libc::AT_FDCWD);
    let number = i64::from;
    let socket = |family: i32, kind: i32, protocol: i32| {
        [number(family), number(kind), number(protocol), 0, 0, 0]
    };
    let open = |flags: i32| [here, path, number(flags | libc::O_CLOEXEC), 0o600, 0, 0];
    let (anonymous, code) = (
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        libc::PROT_READ | libc::PROT_EXEC,
    );
    let written_code = code | libc::PROT_WRITE;
    #[rustfmt::skip]
    let calls = vec![
        ("open for writing", libc::SYS_openat, open(libc::O_WRONLY)),
        ("open for both", libc::SYS_openat, open(libc::O_RDWR)),
        ("creat", libc::SYS_openat, open(libc::O_CREAT | libc::O_WRONLY)),
        ("open and empty", libc::SYS_openat, open(libc::O_TRUNC)),
        ("openat2", libc::SYS_openat2, [here, path, 0, 0, 0, 0]),
        ("chmod", libc::SYS_fchmodat, [here, path, 0o666, 0, 0, 0]),
        ("fchmod", libc::SYS_fchmod, [0, 0o666, 0, 0, 0, 0]),
        ("chown", libc::SYS_fchownat, [here, path, 1, 1, 0, 0]),
        ("setxattr", libc::SYS_setxattr, [path, path, path, 1, 0, 0]),
        ("unlink", libc::SYS_unlinkat, [here, path, 0, 0, 0, 0]),
        ("rename", libc::SYS_renameat2, [here, path, here, path, 0, 0]),
        ("mkdir", libc::SYS_mkdirat, [here, path, 0o700, 0, 0, 0]),
        ("mknod", libc::SYS_mknodat, [here, path, 0o600, 0, 0, 0]),
        ("link", libc::SYS_linkat, [here, path, here, path, 0, 0]),
        ("symlink", libc::SYS_symlinkat, [path, here, path, 0, 0, 0]),
        ("truncate", libc::SYS_truncate, [path, 0, 0, 0, 0, 0]),
        ("utimensat", libc::SYS_utimensat, [here, path, 0, 0, 0, 0]),
        ("mount", libc::SYS_mount, [path, path, path, 0, 0, 0]),
        ("umount", libc::SYS_umount2, [path, 0, 0, 0, 0, 0]),
        ("fsopen", libc::SYS_fsopen, [path, 0, 0, 0, 0, 0]),
        ("chroot", libc::SYS_chroot, [path, 0, 0, 0, 0, 0]),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, [here, 0, 0, 0, 0, 0]),
        ("raw socket", libc::SYS_socket, socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)),
        ("raw socket of IPv6", libc::SYS_socket, socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6)),
        ("ping socket", libc::SYS_socket, socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP)),
        ("packet socket", libc::SYS_socket, socket(libc::AF_PACKET, libc::SOCK_RAW, 0x300)),
        ("netlink: audit", libc::SYS_socket, socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT)),
        ("netlink: netfilter", libc::SYS_socket, socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER)),
        ("kernel cryptography", libc::SYS_socket, socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)),
        ("vsock", libc::SYS_socket, socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)),
        ("SCTP", libc::SYS_socket, socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP)),
        ("datagrams among files", libc::SYS_socket, socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0)),
        ("socketpair", libc::SYS_socketpair, socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)),
        ("listen", libc::SYS_listen, [0; 6]),
        ("accept", libc::SYS_accept4, [0; 6]),
        ("a filter of packets", libc::SYS_setsockopt, [0, number(libc::SOL_SOCKET), number(libc::SO_ATTACH_FILTER), 0, 0, 0]),
        ("a mark", libc::SYS_setsockopt, [0, number(libc::SOL_SOCKET), number(libc::SO_MARK), path, 4, 0]),
        ("fork", libc::SYS_clone, [number(libc::SIGCHLD), 0, 0, 0, 0, 0]),
        ("vfork", libc::SYS_clone, [number(libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD), 0, 0, 0, 0, 0]),
        ("clone into a namespace", libc::SYS_clone, [number(libc::CLONE_NEWUSER | libc::SIGCHLD), 0, 0, 0, 0, 0]),
        ("execve", libc::SYS_execve, [path, 0, 0, 0, 0, 0]),
        ("execveat", libc::SYS_execveat, [here, path, 0, 0, 0, 0]),
        ("ptrace", libc::SYS_ptrace, [libc::PTRACE_ATTACH.into(), of_another, 0, 0, 0, 0]),
        ("process_vm_readv", libc::SYS_process_vm_readv, [of_another, 0, 0, 0, 0, 0]),
        ("process_vm_writev", libc::SYS_process_vm_writev, [of_another, 0, 0, 0, 0, 0]),
        ("kill", libc::SYS_kill, [of_another, 0, 0, 0, 0, 0]),
        ("tgkill", libc::SYS_tgkill, [of_another, of_another, 0, 0, 0, 0]),
        ("tkill", libc::SYS_tkill, [of_another, 0, 0, 0, 0, 0]),
        ("rt_sigqueueinfo", libc::SYS_rt_sigqueueinfo, [of_another, 0, 0, 0, 0, 0]),
        ("pidfd_open", libc::SYS_pidfd_open, [of_another, 0, 0, 0, 0, 0]),
        ("pidfd_getfd", libc::SYS_pidfd_getfd, [0; 6]),
        ("pidfd_send_signal", libc::SYS_pidfd_send_signal, [0; 6]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0, 0]),
        ("bpf", libc::SYS_bpf, [0; 6]),
        ("perf_event_open", libc::SYS_perf_event_open, [0; 6]),
        ("keyctl", libc::SYS_keyctl, [0; 6]),
        ("add_key", libc::SYS_add_key, [path, path, path, 1, 0, 0]),
        ("memfd_create", libc::SYS_memfd_create, [path, 0, 0, 0, 0, 0]),
        ("userfaultfd", libc::SYS_userfaultfd, [1, 0, 0, 0, 0, 0]),
        ("unshare", libc::SYS_unshare, [number(libc::CLONE_FS), 0, 0, 0, 0, 0]),
        ("setns", libc::SYS_setns, [0; 6]),
        ("personality", libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]),
        ("PR_SET_DUMPABLE", libc::SYS_prctl, [number(libc::PR_SET_DUMPABLE), 1, 0, 0, 0, 0]),
        ("PR_SET_PTRACER", libc::SYS_prctl, [number(libc::PR_SET_PTRACER), -1, 0, 0, 0, 0]),
        ("PR_SET_SECCOMP", libc::SYS_prctl, [number(libc::PR_SET_SECCOMP), 1, 0, 0, 0, 0]),
        ("setuid", libc::SYS_setuid, [0; 6]),
        ("setresgid", libc::SYS_setresgid, [0; 6]),
        ("setgroups", libc::SYS_setgroups, [0; 6]),
        ("capset", libc::SYS_capset, [0; 6]),
        ("seccomp", libc::SYS_seccomp, [0; 6]),
        ("setrlimit of another", libc::SYS_prlimit64, [of_another, 0, path, 0, 0, 0]),
        ("setrlimit", libc::SYS_prlimit64, [0, 0, path, 0, 0, 0]),
        ("setpriority", libc::SYS_setpriority, [0, of_another, 0, 0, 0, 0]),
        ("init_module", libc::SYS_init_module, [0; 6]),
        ("finit_module", libc::SYS_finit_module, [0; 6]),
        ("kexec_load", libc::SYS_kexec_load, [0; 6]),
        ("reboot", libc::SYS_reboot, [0; 6]),
        ("TIOCSTI", libc::SYS_ioctl, [0, libc::TIOCSTI as i64, path, 0, 0, 0]),
        ("memory to run", libc::SYS_mmap, [0, 4096, number(code), number(anonymous), -1, 0]),
        ("memory to write and run", libc::SYS_mmap, [0, 4096, number(written_code), number(libc::MAP_PRIVATE), 0, 0]),
        ("memory made to run", libc::SYS_mprotect, [0, 4096, number(code), 0, 0, 0]),
    ];
    calls
}

/// All that a trace may do beside what every trace does.
fn all() -> Beside {
    Beside {
        terminal: true,
        ports: vec![443],
    }
}

/// Another process, of the same user.
fn parent() -> i64 {
    rustix::process::getppid()
        .unwrap()
        .as_raw_nonzero()
        .get()
        .into()
}

/// Tries all calls that there are but those of the list, and those of the list with arguments that
/// it doesn't have.
fn assert_no_call_beyond(list: &[Call], another: i64) {
    let file = c"/etc/hosts";
    let hidden: Vec<i64> = calls::unseen().map(|call| call.number).collect();
    // The kernel asks no filter about uretprobe and uprobe, and ends whoever calls them by himself.
    let asked =
        (0..512).filter(|number| !cfg!(target_arch = "x86_64") || !(335..=336).contains(number));
    for number in asked.filter(|number| list.iter().all(|call| call.number != *number)) {
        assert_eq!(
            sys::try_call(number, [0; 6]),
            Err(Errno::PERM),
            "call {number}"
        );
    }
    for (what, number, arguments) in forbidden(another, file) {
        assert_eq!(sys::try_call(number, arguments), Err(Errno::PERM), "{what}");
    }
    if list.iter().any(|call| hidden.contains(&call.number)) {
        assert_eq!(sys::try_call(libc::SYS_clone3, [0; 6]), Err(Errno::NOSYS));
    }
    // A signal to oneself, as abort(3) sends.
    let (process, thread) = (
        getpid().as_raw_nonzero().get().into(),
        thread::gettid().as_raw_nonzero().get().into(),
    );
    assert_eq!(
        sys::try_call(libc::SYS_tgkill, [process, thread, 0, 0, 0, 0]),
        Ok(0)
    );
}

#[test]
fn a_confined_trace_can_make_no_call_beyond_its_list() {
    const TEST: &str = "privilege::promises::a_confined_trace_can_make_no_call_beyond_its_list";
    in_namespace(TEST, "", || {
        let another = parent();
        // The filter alone, with all of root's capabilities: nothing else refuses.
        let filtered = move || {
            filter::permit(calls::of_traces(&all())).unwrap();
            assert_no_call_beyond(&calls::of_traces(&all()).collect::<Vec<_>>(), another);
        };
        std::thread::spawn(filtered).join().unwrap();
        let _ = confine().unwrap();
        let list: Vec<_> = calls::of_traces(&Beside::default()).collect();
        assert_no_call_beyond(&list, another);
        let here = i64::from(libc::AT_FDCWD);
        let open = [
            here,
            c"/etc/hosts".as_ptr() as i64,
            libc::O_CLOEXEC.into(),
            0,
            0,
            0,
        ];
        assert_eq!(sys::try_call(libc::SYS_openat, open), Err(Errno::PERM));
        assert_eq!(
            UnixStream::connect("/nowhere").unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
    });
}

#[test]
fn a_lookup_can_make_no_call_beyond_its_list_and_reads_no_file_that_resolvers_do_not() {
    const TEST: &str = "privilege::promises::a_lookup_can_make_no_call_beyond_its_list_and_reads_no_file_that_resolvers_do_not";
    in_namespace(TEST, "", || {
        let another = parent();
        let filtered = move || {
            filter_lookups(true).unwrap();
            assert_no_call_beyond(&calls::of_lookups(true).collect::<Vec<_>>(), another);
        };
        std::thread::spawn(filtered).join().unwrap();
        let _ = confine_to_lookups().unwrap();
        assert_no_call_beyond(&calls::of_lookups(false).collect::<Vec<_>>(), another);
        for path in ["/etc/hosts", "/etc/nsswitch.conf", "/dev/null"] {
            assert!(File::open(path).is_ok(), "{path}");
        }
        // Here it is root still, whom modes of files don't hold up.
        for path in [
            "/etc/shadow",
            "/etc/passwd",
            "/proc/self/status",
            "/root",
            "/tmp",
            "/var/log",
        ] {
            assert_eq!(
                File::open(path).unwrap_err().kind(),
                ErrorKind::PermissionDenied,
                "{path}"
            );
        }
        assert_eq!(
            UnixStream::connect("/nowhere").unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
        std::thread::spawn(|| assert!(crate::resolve("localhost", None).is_ok()))
            .join()
            .unwrap();
    });
}

/// A listener whose socket only root may connect to.
fn of_root_alone(path: &str) -> UnixListener {
    let listener = UnixListener::bind(path).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    listener
}

#[test]
fn lookups_of_root_are_those_of_nobody_and_reach_the_sockets_of_resolvers_and_none_of_root() {
    const TEST: &str = "privilege::promises::lookups_of_root_are_those_of_nobody_and_reach_the_sockets_of_resolvers_and_none_of_root";
    as_root_in_namespace(
        TEST,
        "mount -t tmpfs none /run; mkdir -m 755 /run/nscd",
        || {
            let nscd = UnixListener::bind("/run/nscd/socket").unwrap();
            std::fs::set_permissions("/run/nscd/socket", std::fs::Permissions::from_mode(0o666))
                .unwrap();
            let (_alone, _out) = (
                of_root_alone("/run/alone"),
                std::fs::write("/run/file", "").unwrap(),
            );
            let name = SocketAddr::from_abstract_name("hopshot-promises").unwrap();
            let _abstract = UnixListener::bind_addr(&name).unwrap();
            let another = parent();
            let _ = confine_to_lookups().unwrap();
            assert_eq!(sys::ids(), Ok(([NOBODY; 3], [NOBODY; 3])));
            assert_no_call_beyond(&calls::of_lookups(true).collect::<Vec<_>>(), another);
            assert!(UnixStream::connect("/run/nscd/socket").is_ok() && nscd.local_addr().is_ok());
            let denied = |kind: ErrorKind| assert_eq!(kind, ErrorKind::PermissionDenied);
            denied(UnixStream::connect("/run/alone").unwrap_err().kind());
            denied(UnixStream::connect_addr(&name).unwrap_err().kind());
            denied(File::open("/run/file").unwrap_err().kind());
            denied(File::open("/etc/shadow").unwrap_err().kind());
            denied(UnixListener::bind("/run/nscd/other").unwrap_err().kind());
            assert!(File::open("/etc/hosts").is_ok());
        },
    );
}

#[test]
fn root_who_renounces_is_nobody_without_groups_and_its_sockets_can_not_be_taken() {
    const TEST: &str = "privilege::promises::root_who_renounces_is_nobody_without_groups_and_its_sockets_can_not_be_taken";
    as_root_in_namespace(TEST, "", || {
        let before = File::open("/etc/shadow").unwrap();
        renounce().unwrap();
        assert_eq!(sys::ids(), Ok(([NOBODY; 3], [NOBODY; 3])));
        assert_eq!(rustix::process::getgroups().unwrap(), []);
        assert!(before.metadata().is_ok(), "what is open keeps working");
        assert_eq!(
            File::open("/etc/shadow").unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
        assert_eq!(
            thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT),
            Err(Errno::PERM)
        );
        renounce().unwrap();
    });
}

#[test]
fn capabilities_and_another_users_rights_that_stay_are_an_end() {
    as_root_in_namespace(
        "privilege::promises::capabilities_and_another_users_rights_that_stay_are_an_end",
        "",
        || {
            let refused = |call: i64, what: &'static str| {
                let call = Call {
                    number: call,
                    tests: [calls::Test::Pass; 3],
                };
                move || {
                    filter::deny_existence([call].into_iter()).unwrap();
                    let kept = confine().unwrap_err();
                    assert!(
                        matches!(kept, Error::Privileges { what: kept, .. } if kept == what),
                        "{kept}"
                    );
                }
            };
            let user = Uid::from_raw(12_345);
            let keep = refused(libc::SYS_capset, "capabilities");
            std::thread::spawn(move || {
                // Without CAP_SETUID root stays.
                let left = CapabilitySet::NET_RAW;
                let sets = CapabilitySets {
                    effective: left,
                    permitted: left,
                    inheritable: CapabilitySet::empty(),
                };
                thread::set_capabilities(None, sets).unwrap();
                keep();
            })
            .join()
            .unwrap();
            let keep = refused(libc::SYS_setresuid, "the rights of the program's owner");
            std::thread::spawn(move || {
                thread::set_thread_res_uid(user, Uid::ROOT, Uid::ROOT).unwrap();
                keep();
            })
            .join()
            .unwrap();
        },
    );
}

#[test]
fn privileges_that_are_there_still_are_an_error_that_says_which() {
    let kept = gone("capabilities", false, Err(Errno::PERM)).unwrap_err();
    let text = "can't give up capabilities: Operation not permitted (os error 1); start this as an ordinary user, or \
                without the set-user-ID bit and file capabilities";
    assert_eq!(kept.to_string(), text);
    assert!(
        gone("capabilities", false, Ok(())).is_err(),
        "a kernel that says it did, and didn't, isn't believed"
    );
    assert!(
        gone("capabilities", true, Err(Errno::PERM)).is_ok(),
        "nothing there to be given up"
    );
}
