//! The comparison as a JSON document. A field is never renamed or removed; new ones may come.

use crate::args::Args;
use crate::format::json::{self, Known};
use crate::format::settings::Settings;
use crate::names::Names;
use hopshot_linux::compare::{Comparison, PathsComparison};
use hopshot_linux::document::{ComparisonDocument, PathsComparisonDocument};

pub(super) type Document<'a> = json::Document<ComparisonDocument<'a, Known>>;

impl<'a> Document<'a> {
    pub(super) fn new(args: &Args, comparison: &'a Comparison, names: &Names) -> Self {
        let document = ComparisonDocument::new(comparison, names);
        Self::with(document, Settings::from(&args.probing))
    }
}

pub(super) type PathsDocument<'a> = json::Document<PathsComparisonDocument<'a, Known>>;

impl<'a> PathsDocument<'a> {
    pub(super) fn new(args: &Args, comparison: &'a PathsComparison, names: &Names) -> Self {
        let document = PathsComparisonDocument::new(comparison, names);
        Self::with(document, Settings::from(&args.probing))
    }
}
