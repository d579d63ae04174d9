//! Every format, octet by octet, read and written: from the RFCs, and as Linux routers write it.

mod captured;
mod extensions;
mod icmp;
mod ip;
#[path = "../network/mod.rs"]
mod network;
