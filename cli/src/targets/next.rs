//! What a list of hosts gives when it is asked for the next.

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Host(String),
    /// What names no host: the number of its line, or none if it is of the command line; and why
    /// not.
    Bad(Option<usize>, String),
    /// Nothing yet: there is more when the input is readable.
    Later,
    End,
}

/// A line that isn't empty, by its number.
pub(super) fn next_of(number: usize, found: Result<String, String>) -> Next {
    found.map_or_else(|why| Next::Bad(Some(number), why), Next::Host)
}
