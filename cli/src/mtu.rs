//! `--mtu`: the path to a host, and where it carries only smaller packets.

use crate::args::{Args, Format};
use crate::failure::Failure;
use crate::format::json;
use crate::names::{Names, replying};
use crate::reading::last_passed;
use crate::session::Session;
use crate::text::View;
use hopshot_linux::path_mtu::{Limit, MtuRoute, PathMtu, Stretch, Trial};
use hopshot_linux::{AddressFamily, Hop, Step, StopReason};
use std::io;

/// Searches for the path MTU and shows it with the path. Returns whether the target answered.
pub(crate) fn run(args: &Args, host: &str) -> Result<bool, Failure> {
    let plan = args.settings().path_mtu(host);
    let (mut session, mut search) = Session::start(args, host, &plan, |opened, address| {
        let mut search = opened.start_at(address)?;
        search.launch().map(|()| search)
    })?;
    let mut text = match args.output.format() {
        Format::Json => None,
        _ => Some(Text::begin(args, host, &search).map_err(Failure::Output)?),
    };
    session.confine(
        [search.socket()],
        &search.lacks(AddressFamily::of(search.target())),
        || search.confine(),
    )?;
    let followed = session.follow(&mut search, |search, names, step| {
        let running = search
            .sweep()
            .into_iter()
            .flat_map(|(_, route)| replying(route.hops()));
        let found = search
            .stretches()
            .iter()
            .flat_map(|stretch| replying(stretch.hops()));
        let sketched = replying(search.sketch());
        running
            .chain(found)
            .chain(sketched)
            .for_each(|address| names.ask(address));
        match &mut text {
            Some(text) if step != Step::Done => text.update(search, names),
            _ => Ok(()),
        }
    });
    // What ends it early is told when all that is known has been shown.
    let failed = match followed {
        Err(Failure::Trace(error)) => Some(error),
        followed => followed.map(|()| None)?,
    };
    let route = search.finish();
    session.wait_for_names(|| replying(route.hops().map(|(_, hop)| hop)), |_| Ok(()))?;
    let shown = match text {
        Some(text) => text.finish(&route, &session.names),
        None => json::path_mtu(args, &route, &session.names),
    };
    shown.map_err(Failure::Output)?;
    let summary = route.summary();
    session.explain(
        summary.reasons,
        route.tally().forged.into(),
        summary.rejected,
    );
    failed.map_or_else(
        || Ok(route.last().route.reached()),
        |error| Err(error.into()),
    )
}

/// The path as text, with a mark where packets get smaller.
struct Text {
    view: View,
    /// The size that was marked last.
    marked: Option<u16>,
    /// Stretches that are printed for good.
    printed: usize,
}

impl Text {
    fn begin(args: &Args, host: &str, search: &PathMtu) -> io::Result<Self> {
        let mut view = View::new(search.target(), args);
        view.header(host, search.source(), Some(search.flow()), args.probing.max)?;
        Ok(Self {
            view,
            marked: None,
            printed: 0,
        })
    }

    /// Prints the stretches whose names are known, and shows how far the sweep has got that runs.
    fn update(&mut self, search: &PathMtu, names: &Names) -> io::Result<()> {
        while let Some(stretch) = search.stretches().get(self.printed) {
            if names.patience(replying(stretch.hops())).is_some() {
                return Ok(());
            }
            self.print(stretch, names)?;
        }
        self.view.set_status(&trial(search.trial()));
        let Some((size, route)) = search.sweep() else {
            let hops: Vec<Hop<'_>> = search.sketch().collect();
            return self
                .view
                .sketch(&hops, |probe| search.extensions(probe), names);
        };
        // Where packets are too big for a link, smaller ones will go on.
        let passed = last_passed(route.hops());
        let mut hops = route.hops().filter(|hop| hop.number() <= passed).peekable();
        if let Some(first) = hops.peek() {
            self.mark(size, first.number());
        }
        self.view
            .update(hops, |probe| search.extensions(probe), names)
    }

    fn print(&mut self, stretch: &Stretch, names: &Names) -> io::Result<()> {
        let hops: Vec<Hop<'_>> = stretch.hops().collect();
        if let Some(first) = hops.first() {
            self.mark(stretch.size, first.number());
        }
        self.printed += 1;
        self.view.append(&stretch.route, &hops, names)
    }

    fn mark(&mut self, size: u16, hop: u8) {
        if self.marked != Some(size) {
            self.marked = Some(size);
            self.view.note(hop, format!("F={size}"));
        }
    }

    /// Prints what is left, and what is known of the path's MTU.
    fn finish(mut self, route: &MtuRoute, names: &Names) -> io::Result<()> {
        let last = route.last();
        for stretch in route.stretches().iter().skip(self.printed) {
            if std::ptr::eq(stretch, last) {
                break;
            }
            self.print(stretch, names)?;
        }
        let is_first = self.marked.is_none();
        // What only was to show whether silence is a matter of size is no limit.
        let is_limit = |hop| is_first || route.limits().iter().any(|limit| limit.hop == hop);
        if let Some(first) = last.hops().next().filter(|hop| is_limit(hop.number())) {
            self.mark(last.size, first.number());
        }
        let view = &mut self.view;
        view.finish(&last.route, Some(route.stop_reason()), names)?;
        for doubt in route.limits().iter().filter_map(doubt) {
            view.say(&doubt)?;
        }
        view.say(&verdict(route))?;
        view.conclude_search(route)
    }
}

/// Describes the search's present trial, for the line that is shown while it runs.
fn trial(trial: Trial) -> String {
    match trial {
        Trial::Sweep { size } => format!("trying packets of {size} octets ..."),
        Trial::Check { hop, silent, size } => {
            format!("hop {hop} does not answer packets of {silent} octets: trying {size} ...")
        }
        Trial::Narrow {
            hop,
            passes,
            fails,
            size,
        } if size == fails => {
            format!("hop {hop}: {passes} octets pass: trying {size} once more ...")
        }
        Trial::Narrow {
            hop,
            passes,
            fails,
            size,
        } => {
            format!("hop {hop}: {passes} octets pass, {fails} don't: trying {size} ...")
        }
        _ => "trying another size ...".to_owned(),
    }
}

fn verdict(route: &MtuRoute) -> String {
    let (least, most) = route.bounds();
    if route.stop_reason() == StopReason::Interrupted && !route.is_exact() {
        return format!("path MTU: at least {least}, at most {most} (interrupted)");
    }
    let less_than = route.limits().last().and_then(|limit| limit.less_than);
    match (route.path_mtu(), less_than) {
        (None, _) => format!("path MTU unknown: at least {least}, at most {most}"),
        (Some(mtu), _) if route.is_exact() => format!("path MTU {mtu}"),
        (Some(mtu), Some(less_than)) => format!("path MTU at least {mtu}, less than {less_than}"),
        (Some(mtu), None) => {
            format!("path MTU at least {mtu}, larger packets were not tried (--size)")
        }
    }
}

/// Says what is uncertain about a limit, if anything is.
fn doubt(limit: &Limit) -> Option<String> {
    let Limit {
        hop,
        mtu,
        less_than,
        from,
        ..
    } = *limit;
    let less_than = less_than?;
    let why = match from {
        Some(router) => format!("{router} names no size that was confirmed"),
        None => "no router confirmed it".to_owned(),
    };
    Some(format!(
        "Hop {hop}: packets of {mtu} octets pass, packets of {less_than} don't; {why}."
    ))
}
