//! The files and processes that are within reach: a domain of Landlock.

use super::shortfalls::Shortfall;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use std::fs;
use std::path::{Path, PathBuf};

/// What this library knows of Landlock; a kernel may know less.
const KNOWN: ABI = ABI::V6;

/// Where libraries and their data are, and what resolvers keep: everybody may read that.
const READABLE: &[&str] = &[
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/run/avahi-daemon",
    "/run/dbus",
    "/run/nscd",
    "/run/nslcd",
    "/run/systemd/resolve",
    "/var/run/avahi-daemon",
    "/var/run/dbus",
    "/var/run/nscd",
    "/var/run/nslcd",
    "/var/lib/sss",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/sys/devices/system/cpu",
];

/// The files by which resolvers are configured. They may be links to elsewhere.
const CONFIGURATION: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];

/// All of that folder but for what only root may read.
const ETC: &str = "/etc";

/// The files of [`ETC`] that resolvers read beside [`CONFIGURATION`], for a process that is root
/// still.
const ETC_OF_ROOT: &[&str] = &[
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/machine-id",
    "/etc/mdns.allow",
    "/etc/networks",
    "/etc/nscd.conf",
    "/etc/protocols",
    "/etc/services",
];

/// Enters a domain in which no file can be opened, no TCP port bound, none connected to but these,
/// and no process outside reached.
pub(super) fn close(ports: &[u16]) -> Result<(), Shortfall> {
    entered(|| {
        let ruleset = ruleset()
            .handle_access(AccessFs::from_all(KNOWN))?
            .handle_access(AccessNet::from_all(KNOWN))?
            .scope(Scope::from_all(KNOWN))?
            .create()?;
        let rule = |port: &u16| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::ConnectTcp));
        let ruleset = ruleset.add_rules(ports.iter().map(rule))?;
        Ok(ruleset.restrict_self()?.ruleset)
    })
}

/// Enters a domain in which only what resolvers need can be read, and no process outside reached
/// but by sockets that are files.
pub(super) fn leave_lookups(is_root: bool) -> Result<(), Shortfall> {
    entered(|| {
        let ruleset = ruleset()
            .handle_access(AccessFs::from_all(KNOWN))?
            .scope(Scope::from_all(KNOWN))?
            .create()?;
        let rules = path_beneath_rules(readable(is_root), AccessFs::ReadFile | AccessFs::ReadDir);
        Ok(ruleset.add_rules(rules)?.restrict_self()?.ruleset)
    })
}

/// What may be read; of files that aren't there nothing is said.
fn readable(is_root: bool) -> Vec<PathBuf> {
    let etc = if is_root { ETC_OF_ROOT } else { &[ETC] };
    let fixed = READABLE
        .iter()
        .chain(&CONFIGURATION)
        .chain(etc)
        .map(PathBuf::from);
    // A file that is replaced while lookups run is a new one, which only its folder leads to.
    let folders = CONFIGURATION
        .into_iter()
        .filter_map(|file| folder(file.as_ref()));
    fixed.chain(folders.filter(|_| !is_root)).collect()
}

/// Where a file really is.
fn folder(file: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(file).ok()?.parent()?.to_owned();
    // All files would be too many.
    (folder != Path::new("/")).then_some(folder)
}

fn ruleset() -> Ruleset {
    Ruleset::default().set_compatibility(CompatLevel::BestEffort)
}

fn entered(domain: impl FnOnce() -> Result<RulesetStatus, RulesetError>) -> Result<(), Shortfall> {
    match domain() {
        Ok(RulesetStatus::FullyEnforced) => Ok(()),
        Ok(RulesetStatus::PartiallyEnforced) => Err(Shortfall::PartialLandlock),
        Ok(RulesetStatus::NotEnforced) => Err(Shortfall::NoLandlock),
        Err(error) => Err(Shortfall::Landlock(error.to_string())),
    }
}
