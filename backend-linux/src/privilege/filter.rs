//! The filter of system calls.

use super::shortfalls::Shortfall;
use crate::sys::calls::{Call, Test};
use rustix::io::Errno;
use rustix::process::getpid;
use rustix::thread::gettid;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::fmt::Display;

/// Lets only these calls through. Any other fails with EPERM.
pub(super) fn permit(calls: impl Iterator<Item = Call>) -> Result<(), Shortfall> {
    apply(calls, errno(Errno::PERM), SeccompAction::Allow)
}

/// Makes these calls fail with ENOSYS, as on a kernel that doesn't have them. It comes before
/// [`permit`], which must let them through: of several filters the strictest counts, and of equal
/// ones the last.
pub(super) fn deny_existence(calls: impl Iterator<Item = Call>) -> Result<(), Shortfall> {
    apply(calls, SeccompAction::Allow, errno(Errno::NOSYS))
}

fn errno(errno: Errno) -> SeccompAction {
    SeccompAction::Errno(errno.raw_os_error().unsigned_abs())
}

fn apply(
    calls: impl Iterator<Item = Call>,
    others: SeccompAction,
    these: SeccompAction,
) -> Result<(), Shortfall> {
    let no_filter = |error: &dyn Display| Shortfall::Filter(error.to_string());
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| no_filter(&error))?;
    let program = program(calls, others, these, arch).map_err(|error| no_filter(&error))?;
    seccompiler::apply_filter(&program).map_err(|error| no_filter(&error))
}

fn program(
    calls: impl Iterator<Item = Call>,
    others: SeccompAction,
    these: SeccompAction,
    arch: TargetArch,
) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in calls {
        rules.entry(call.number).or_default().extend(rule(call)?);
    }
    SeccompFilter::new(rules, others, these, arch)?.try_into()
}

/// What the arguments of a call must be, if not anything.
fn rule(call: Call) -> Result<Option<SeccompRule>, BackendError> {
    let argument = |index, operator, value| {
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
    };
    let is = |index, value: u32| argument(index, SeccompCmpOp::Eq, value.into());
    let own = |id: rustix::process::Pid| id.as_raw_nonzero().get().unsigned_abs();
    let conditions: Vec<SeccompCondition> = call
        .tests
        .into_iter()
        .filter_map(|test| match test {
            Test::Pass => None,
            Test::Is(index, value) => Some(is(index, value)),
            Test::Has(index, bits, value) => Some(argument(
                index,
                SeccompCmpOp::MaskedEq(bits.into()),
                value.into(),
            )),
            Test::IsOwnProcess(index) => Some(is(index, own(getpid()))),
            Test::IsOwnThread(index) => Some(is(index, own(gettid()))),
        })
        .collect::<Result<_, _>>()?;
    if conditions.is_empty() {
        Ok(None)
    } else {
        SeccompRule::new(conditions).map(Some)
    }
}
