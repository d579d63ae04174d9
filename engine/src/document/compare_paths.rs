//! The document of a search for all paths on several sides.

use super::annotate::Annotate;
use super::paths::PathsDocument;
use super::value::{Target, milliseconds, timestamp};
use crate::compare::{Difference, ExploredSide, PathsComparison, RouterSet};
use serde::{Serialize, Serializer};
use std::net::IpAddr;

/// Searches for all paths that have ended.
#[derive(Debug, Serialize)]
pub struct PathsComparisonDocument<'a, K> {
    target: Target<'a>,
    started: String,
    duration_ms: f64,
    reached: bool,
    sides: Vec<SideDocument<'a, K>>,
    verdict: VerdictDocument<'a>,
}

/// A side, with the document of its search, or why there is none.
#[derive(Debug, Serialize)]
struct SideDocument<'a, K> {
    side: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    graph: Option<PathsDocument<'a, K>>,
}

#[derive(Debug, Serialize)]
struct VerdictDocument<'a> {
    differences: Vec<DifferenceDocument<'a>>,
    sentences: Vec<String>,
}

/// A hop at which sides have different routers.
#[derive(Debug, Serialize)]
struct DifferenceDocument<'a> {
    hop: u8,
    sets: Vec<SetDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct SetDocument<'a> {
    sides: Vec<String>,
    routers: &'a [IpAddr],
}

impl<'a, K: Default> PathsComparisonDocument<'a, K> {
    /// Makes the document of a comparison.
    #[must_use]
    pub fn new(comparison: &'a PathsComparison, annotations: &impl Annotate<Known = K>) -> Self {
        let mut targets = comparison.paths().map(|paths| paths.summary().target);
        // Of families each side has its own.
        let target = targets
            .next()
            .filter(|first| targets.all(|it| it == *first));
        let side = |side: &'a ExploredSide| SideDocument {
            side: side.side.name(),
            error: side.paths.as_ref().err().map(String::as_str),
            graph: side
                .paths
                .as_ref()
                .ok()
                .map(|paths| PathsDocument::new(paths, annotations)),
        };
        Self {
            target: Target::new(comparison.host(), target),
            started: timestamp(comparison.started()),
            duration_ms: milliseconds(comparison.duration()),
            reached: comparison.reached(),
            sides: comparison.sides().iter().map(side).collect(),
            verdict: VerdictDocument {
                differences: comparison
                    .differences()
                    .iter()
                    .map(DifferenceDocument::new)
                    .collect(),
                sentences: comparison.sentences(),
            },
        }
    }
}

impl Serialize for PathsComparison {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PathsComparisonDocument::new(self, &()).serialize(serializer)
    }
}

impl<'a> DifferenceDocument<'a> {
    fn new(difference: &'a Difference) -> Self {
        let set = |set: &'a RouterSet| SetDocument {
            sides: set.sides.iter().map(|side| side.name()).collect(),
            routers: &set.routers,
        };
        Self {
            hop: difference.hop,
            sets: difference.sets.iter().map(set).collect(),
        }
    }
}
