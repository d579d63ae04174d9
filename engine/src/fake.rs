//! Errors for tests that have no machine.

use crate::error::{Fault, LinkError};
use std::fmt;

/// What fails on a machine that there isn't.
#[derive(Debug)]
pub(crate) enum Failure {
    NoRoute,
    Fault(Fault<Self>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Failure {}

impl From<Fault<Self>> for Failure {
    fn from(fault: Fault<Self>) -> Self {
        Self::Fault(fault)
    }
}

impl LinkError for Failure {
    fn may_pass(&self) -> bool {
        true
    }

    fn is_change(&self) -> bool {
        false
    }

    fn is_answer(&self) -> bool {
        false
    }

    fn reason(&self) -> String {
        "no route".to_owned()
    }
}
