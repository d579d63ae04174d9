//! Programs that a test needs: without them some would pass and have shown nothing.

use crate::world::{command_on_chain, path};
use std::process::{Command, Stdio};

/// Fails if a program can't be started, or, of nft, if the kernel has no tables for it.
pub(crate) fn needs(program: &str) {
    let option = match program {
        "gtlsserver" => "--help",
        _ => "--version",
    };
    let said = Command::new(program)
        .arg(option)
        .env("PATH", path())
        .stdin(Stdio::null())
        .output();
    let is_there = said.is_ok_and(|said| said.status.success());
    assert!(is_there, "{program} is missing: see docs/install.md");
    if program == "nft" {
        let table = ["nft", "add", "table", "inet", "hopshot"];
        if let Some(said) = command_on_chain(1, &[], &table) {
            assert_eq!(said.status, 0, "nft: {}", said.stderr);
        }
    }
}
