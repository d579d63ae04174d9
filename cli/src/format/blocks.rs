//! Text: the only host is shown while it becomes known, several are blocks with an empty line
//! between them.

use super::results::Format;
use crate::args::Args;
use crate::console::print;
use crate::names::Names;
use crate::text::View;
use hopshot_linux::{Route, Trace};
use std::io;
use std::net::IpAddr;

pub(super) struct Blocks<'a> {
    args: &'a Args,
    /// The block that has been begun.
    view: Option<View>,
    is_first: bool,
}

impl<'a> Blocks<'a> {
    pub(super) const fn new(args: &'a Args) -> Self {
        Self {
            args,
            view: None,
            is_first: true,
        }
    }

    fn view(
        &mut self,
        host: &str,
        target: IpAddr,
        source: IpAddr,
        flow: Option<u16>,
    ) -> io::Result<View> {
        if let Some(view) = self.view.take() {
            return Ok(view);
        }
        if !self.is_first {
            print(b"\n")?;
        }
        self.is_first = false;
        let mut view = View::new(target, self.args);
        view.header(host, source, flow, self.args.probing.max)?;
        Ok(view)
    }
}

impl Format for Blocks<'_> {
    fn update(&mut self, trace: &Trace, names: &Names) -> io::Result<()> {
        let mut view = self.view(trace.host(), trace.target(), trace.source(), trace.flow())?;
        view.update(trace.route().hops(), |probe| trace.extensions(probe), names)?;
        self.view = Some(view);
        Ok(())
    }

    fn finish(&mut self, route: &Route, names: &Names) -> io::Result<()> {
        let summary = route.summary();
        let mut view = self.view(&summary.host, summary.target, summary.source, route.flow())?;
        view.finish(route, route.stop_reason(), names)?;
        view.conclude(route)
    }
}
