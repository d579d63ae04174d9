//! One descriptor for several.

use rustix::event::epoll;
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A descriptor that is readable when any of these is.
pub(crate) fn any<'f>(mut fds: impl Iterator<Item = BorrowedFd<'f>>) -> Result<OwnedFd, Errno> {
    let any = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let data = epoll::EventData::new_u64(0);
    fds.try_for_each(|fd| epoll::add(&any, fd, data, epoll::EventFlags::IN))?;
    Ok(any)
}
