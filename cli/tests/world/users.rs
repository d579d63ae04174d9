//! Users of this machine without privileges, and copies of the program that have some.

use crate::world::{HOPSHOT, skip};
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// A user without any privilege, who is neither root nor nobody, and whom a program may give some.
pub(crate) const USER: [&str; 7] = [
    "setpriv", "--reuid", "12345", "--regid", "12345", "--groups", "23456",
];

/// A user without any privilege, and without a way to one.
pub(crate) const NOBODY: [&str; 8] = [
    "setpriv",
    "--reuid",
    "65534",
    "--regid",
    "65534",
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
];

/// A copy of hopshot that every user may execute, as long as this lives.
pub(crate) struct Copy(PathBuf);

impl Copy {
    pub(crate) fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("hopshot-test-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        let copy = Self(folder.join("hopshot"));
        fs::copy(HOPSHOT, &copy.0).unwrap();
        copy.permit(0o755);
        copy
    }

    pub(crate) fn permit(&self, mode: u32) {
        fs::set_permissions(&self.0, Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = self.0.parent().map(fs::remove_dir_all);
    }
}

/// Whether this may become another user, which takes root.
pub(crate) fn can_be_nobody(test: &str) -> bool {
    let [setpriv, args @ ..] = NOBODY;
    match Command::new(setpriv).args(args).arg("true").output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => skip(test, String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => skip(test, &format!("setpriv: {error}")),
    }
    false
}
