//! The model in real time: namespaces, devices and commands.

pub(crate) mod bench;
pub(crate) mod chain;
mod clock;
mod command;
pub(crate) mod demo;
mod failure;
mod link;
mod namespace;
mod neighbour;
mod netlink;
mod offload;
mod player;
pub(crate) mod refuse;
pub(crate) mod run;
mod serve;

pub(crate) use command::Conduct;
pub(crate) use failure::Failure;
pub(crate) use link::LinkKind;
