//! The paths as a JSON document. A field is never renamed or removed; new ones may come.

use crate::args::Args;
use crate::format::json::{self, Known};
use crate::format::settings::Settings;
use crate::names::Names;
use hopshot_linux::document::PathsDocument;
use hopshot_linux::paths::Paths;

pub(crate) type Document<'a> = json::Document<PathsDocument<'a, Known>>;

impl<'a> Document<'a> {
    pub(crate) fn new(args: &Args, paths: &'a Paths, names: &Names) -> Self {
        let document = PathsDocument::new(paths, names);
        Self::with(document, Settings::from(&args.probing))
    }
}
