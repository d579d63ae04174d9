//! Words that several errors are made of.

use hopshot_core::SendError;
use hopshot_core::wire::AddressFamily;
use std::io;

/// The text of an error without its number, which the standard library appends: the words are
/// enough for a person.
pub(crate) fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// The words for an error of sending.
pub(crate) fn send_error(error: SendError) -> String {
    without_number(&io::Error::from_raw_os_error(error.0.into()))
}

/// The name of a family.
pub(crate) const fn family_name(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::V4 => "IPv4",
        AddressFamily::V6 => "IPv6",
    }
}
