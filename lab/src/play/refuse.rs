//! A command on a kernel that knows less, or permits less: system calls that a seccomp filter
//! refuses.

use super::failure::Failure;
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What is refused, each with the error that the kernel is to give.
pub(crate) struct Refused {
    /// Level and number of options of sockets, which can be neither set nor read.
    pub(crate) option: Vec<[u32; 3]>,
    /// Family and type of sockets.
    pub(crate) socket: Vec<[u32; 3]>,
    pub(crate) socketpair: Option<u32>,
}

/// Reads three numbers, such as `1:35:92`.
pub(crate) fn three(text: &str) -> Result<[u32; 3], String> {
    let numbers: Vec<u32> = text
        .split(':')
        .filter_map(|number| number.parse().ok())
        .collect();
    numbers
        .try_into()
        .map_err(|_| "three numbers, such as 1:35:92".to_owned())
}

/// Becomes the command. Returns only if that fails.
pub(crate) fn run(refused: &Refused, command: &[String]) -> Failure {
    match filter(refused) {
        Ok(()) => {}
        Err(error) => return Failure::NotPermitted(error.to_string()),
    }
    let Some((program, arguments)) = command.split_first() else {
        return Failure::Lab("no command".to_owned());
    };
    let error = Command::new(program).args(arguments).exec();
    Failure::Command(format!("{program}: {error}"), 126)
}

fn filter(refused: &Refused) -> Result<(), Box<dyn std::error::Error>> {
    // The type stands in the low bits; above are SOCK_CLOEXEC and SOCK_NONBLOCK.
    let kind = SeccompCmpOp::MaskedEq(0xf);
    let options = refused.option.iter().flat_map(|[level, number, errno]| {
        let tests = vec![
            (1, SeccompCmpOp::Eq, *level),
            (2, SeccompCmpOp::Eq, *number),
        ];
        [libc::SYS_setsockopt, libc::SYS_getsockopt].map(|call| (call, tests.clone(), *errno))
    });
    let sockets = refused.socket.iter().map(|[family, socket_type, errno]| {
        (
            libc::SYS_socket,
            vec![
                (0, SeccompCmpOp::Eq, *family),
                (1, kind.clone(), *socket_type),
            ],
            *errno,
        )
    });
    let pairs = refused
        .socketpair
        .iter()
        .map(|errno| (libc::SYS_socketpair, Vec::new(), *errno));
    for (call, tests, errno) in options.chain(sockets).chain(pairs) {
        let dword = SeccompCmpArgLen::Dword;
        let conditions: Result<Vec<_>, _> = tests
            .into_iter()
            .map(|(index, operator, value)| {
                SeccompCondition::new(index, dword.clone(), operator, value.into())
            })
            .collect();
        let conditions = conditions?;
        let rules = if conditions.is_empty() {
            Vec::new()
        } else {
            vec![SeccompRule::new(conditions)?]
        };
        let arch = TargetArch::try_from(std::env::consts::ARCH)?;
        // A filter has one error for all its rules, so there is one filter a rule.
        let filter = SeccompFilter::new(
            [(call, rules)].into(),
            SeccompAction::Allow,
            SeccompAction::Errno(errno),
            arch,
        )?;
        seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?;
    }
    Ok(())
}
