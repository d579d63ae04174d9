//! What a way of writing results is told.

use crate::names::Names;
use hopshot_linux::{HostReply, Route, Trace};
use std::io;
use std::net::IpAddr;

/// A way of writing results on standard output. What happens to one host or to several is told as
/// it happens; most only want to know how it ended.
pub(crate) trait Format {
    /// A trace has begun.
    fn begin(
        &mut self,
        _host: &str,
        _target: IpAddr,
        _source: IpAddr,
        _flow: Option<u16>,
    ) -> io::Result<()> {
        Ok(())
    }

    /// An answer has come.
    fn reply(&mut self, _heard: &HostReply<'_>, _names: &Names) -> io::Result<()> {
        Ok(())
    }

    /// More may be known of addresses.
    fn update_names(&mut self, _names: &Names) -> io::Result<()> {
        Ok(())
    }

    /// More may be known of the trace, which is the only one: those of many are not followed.
    fn update(&mut self, _trace: &Trace, _names: &Names) -> io::Result<()> {
        Ok(())
    }

    /// A trace has ended, and nothing more will become known.
    fn finish(&mut self, route: &Route, names: &Names) -> io::Result<()>;

    /// One of several hosts can't be traced. Returns whether the output says so; else standard
    /// error has to.
    fn lose(&mut self, _host: &str, _why: &str) -> io::Result<bool> {
        Ok(false)
    }

    /// Ends the output, after the last result.
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}
