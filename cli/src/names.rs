//! Names of addresses, looked up side by side while the trace runs. A lookup may take as long as it likes: nothing waits for
//! it longer than [`PATIENCE`].

use std::collections::HashMap;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that a line waits for its names.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);
/// A name in DNS has at most 253 characters (RFC 1035, section 2.3.4).
const LONGEST: usize = 253;

enum Lookup {
    Pending(Instant),
    Done(Option<String>),
}

/// The names known so far.
pub(crate) struct Names {
    lookups: Arc<Mutex<HashMap<IpAddr, Lookup>>>,
    /// Written to when a name has come in; `None` if names are off.
    wake: Option<UnixStream>,
}

impl Names {
    /// Names, if they are wanted: `wake` is written to whenever one has come in.
    pub(crate) fn new(wake: Option<UnixStream>) -> Self {
        Self { lookups: Arc::default(), wake }
    }

    /// Starts a lookup, unless there was one.
    pub(crate) fn ask(&self, address: IpAddr) {
        let Some(wake) = self.wake.as_ref().and_then(|wake| wake.try_clone().ok()) else { return };
        let mut lookups = self.lookups();
        if lookups.contains_key(&address) {
            return;
        }
        let shared = Arc::clone(&self.lookups);
        let lookup = move || {
            let name = dns_lookup::lookup_addr(&address).ok().filter(|name| name.parse::<IpAddr>().is_err());
            let mut lookups = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            lookups.insert(address, Lookup::Done(name.map(|name| printable(&name))));
            let _ = (&wake).write(&[0]);
        };
        // At most one thread for each hop and each of its addresses; without a thread to be had there is no name.
        let state = match thread::Builder::new().name("name".into()).stack_size(256 * 1024).spawn(lookup) {
            Ok(_) => Lookup::Pending(Instant::now()),
            Err(_) => Lookup::Done(None),
        };
        lookups.insert(address, state);
    }

    /// The name of an address, if it is known.
    pub(crate) fn of(&self, address: IpAddr) -> Option<String> {
        match self.lookups().get(&address) {
            Some(Lookup::Done(name)) => name.clone(),
            _ => None,
        }
    }

    /// How much longer it is worth waiting for the name of one of these.
    pub(crate) fn patience(&self, addresses: impl Iterator<Item = IpAddr>) -> Option<Duration> {
        let lookups = self.lookups();
        let left = addresses.filter_map(|address| match lookups.get(&address) {
            Some(Lookup::Pending(asked)) => PATIENCE.checked_sub(asked.elapsed()),
            _ => None,
        });
        left.max()
    }

    fn lookups(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Lookup>> {
        self.lookups.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Whoever owns an address owns its name: what a terminal could take for a command is made visible.
fn printable(name: &str) -> String {
    let visible = |c: char| if c.is_ascii_graphic() { c.to_string() } else { c.escape_unicode().to_string() };
    name.chars().take(LONGEST).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_neither_move_the_cursor_nor_go_on_for_ever() {
        assert_eq!(printable("edge-1.example"), "edge-1.example");
        assert_eq!(printable("a\x1b[2Jb c\n\u{202e}"), r"a\u{1b}[2Jb\u{20}c\u{a}\u{202e}");
        assert_eq!(printable(&"a".repeat(9000)).len(), LONGEST);
    }

    #[test]
    fn names_that_are_off_are_not_waited_for() {
        let names = Names::new(None);
        let address = IpAddr::from([127, 0, 0, 1]);
        names.ask(address);
        assert_eq!(names.patience([address].into_iter()), None);
        assert_eq!(names.of(address), None);
    }
}
