//! Why a command of the lab doesn't run.

use core::fmt;

/// Why a command didn't run.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The kernel doesn't give this user what is needed.
    NotPermitted(String),
    /// Something else in the lab failed.
    Lab(String),
    /// The command couldn't be started.
    Command(String, u8),
}

impl Failure {
    /// The exit status: 77 means "skipped" to test harnesses; the others are those of env(1).
    pub(crate) const fn status(&self) -> u8 {
        match self {
            Self::NotPermitted(_) => 77,
            Self::Lab(_) => 125,
            Self::Command(_, status) => *status,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted(reason) => write!(
                f,
                "no private network here: {reason}. Run as root, or let users make namespaces \
                 (sysctl kernel.unprivileged_userns_clone=1, or kernel.apparmor_restrict_unprivileged_userns=0)"
            ),
            Self::Lab(reason) | Self::Command(reason, _) => f.write_str(reason),
        }
    }
}

/// Turns an error into a [`Failure`] that says what was tried.
pub(super) trait Context<T> {
    fn context(self, what: &str) -> Result<T, Failure>;
}

impl<T, E: Into<std::io::Error>> Context<T> for Result<T, E> {
    fn context(self, what: &str) -> Result<T, Failure> {
        self.map_err(|error| {
            let error = error.into();
            let reason = format!("{what}: {error}");
            match error.kind() {
                std::io::ErrorKind::PermissionDenied => Failure::NotPermitted(reason),
                _ => Failure::Lab(reason),
            }
        })
    }
}
