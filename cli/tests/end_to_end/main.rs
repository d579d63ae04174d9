//! The command as its users run it. Tests that need network namespaces say so and skip where the
//! kernel doesn't permit them; with `HOPSHOT_NO_SKIP` in the environment they fail instead.

mod asn;
mod errors;
mod field;
mod formats;
mod local;
mod lookups;
mod mtu;
mod outage;
mod outage_ends;
mod outage_of_names;
mod output;
mod paths;
mod policy;
mod privileges;
mod refusals;
mod routes;
mod survey;
mod sweeper;
mod unproven;
mod watch;
mod world;
