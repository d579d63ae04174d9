//! One descriptor for several.

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Returns a descriptor that is readable when any of these is.
pub(crate) fn readable_with_any<'f>(
    mut fds: impl Iterator<Item = BorrowedFd<'f>>,
) -> Result<OwnedFd, Errno> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let data = EventData::new_u64(0);
    fds.try_for_each(|fd| epoll::add(&epoll, fd, data, EventFlags::IN))?;
    Ok(epoll)
}
