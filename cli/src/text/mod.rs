//! The text view: a line per hop, in order, each as soon as nothing more will become known about
//! it. On a terminal all hops stand there as they are known, and are drawn again when that changes;
//! those that don't fit the screen as in a pipe. When its size changes, they are drawn anew below
//! what stood there.

mod compare;
mod graph;
mod layout;
mod outcome;
mod paint;
mod row;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use compare::Column;
pub(crate) use row::Host;
pub(crate) use view::View;
