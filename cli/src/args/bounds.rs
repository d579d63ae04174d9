//! Bounds where the program's file brought the privilege (setcap, set-user-ID): every user of the
//! machine has that then, and the network is other people's.

use super::line::Args;

/// Probes a second.
const RATE: u32 = 1000;

/// Octets of a probe: an Ethernet frame's.
const SIZE: u16 = 1500;

impl Args {
    /// Holds the options to the bounds, and refuses those that ask for more.
    ///
    /// The rate bounds whatever else multiplies probes: lists (`--at-once`), `--paths` and rounds
    /// of `--watch` (`--every`, `--count`) share one pace, of 1000 where no rate is given,
    /// however many probes `-q`, `-m` and `--burst` ask for. Two ways have no such
    /// pace. `--mtu` gets it here, for it sends large probes round after round; it may still begin
    /// with packets as large as the first link carries, since that is what it measures. A trace
    /// of one host sends at most `-q` 10 times `-m` 64 probes, and then waits.
    ///
    /// A source port may be another user's, or one that only root may have.
    ///
    /// The rest harms nobody: `--source` and `--interface` name what the user may send from anyway,
    /// `--tos` needs no privilege, `--ident` and `--flow` change no number of packets, and
    /// `--no-sandbox` keeps no privilege.
    pub(super) fn hold_to_bounds(&mut self) -> Result<(), String> {
        let probing = &mut self.probing;
        let refused = match *probing {
            _ if probing.rate.is_some_and(|rate| rate > RATE) => {
                format!("--rate may be at most {RATE}")
            }
            _ if probing.size.is_some_and(|size| size > SIZE) => {
                format!("--size may be at most {SIZE}")
            }
            _ if probing.mark.is_some() => "--mark is not permitted".to_owned(),
            _ if probing.protocol.source_port.is_some() => {
                "--source-port is not permitted".to_owned()
            }
            _ => {
                if probing.mtu {
                    probing.rate.get_or_insert(RATE);
                }
                return Ok(());
            }
        };
        Err(format!(
            "{refused} where the privilege comes with the program (setcap, set-user-ID); run it as root for more (sudo)"
        ))
    }
}

#[cfg(test)]
mod tests {
    use crate::args::read;
    use std::ffi::OsString;

    fn held(line: &str) -> Result<Option<u32>, String> {
        let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let (mut args, _) = read(&line).unwrap_or_else(|error| panic!("{error}"));
        args.hold_to_bounds().map(|()| args.probing.rate)
    }

    #[test]
    fn each_bound_is_named_and_what_is_within_it_stays() {
        for (line, bound) in [
            ("hopshot --rate 1001 ::1", "--rate may be at most 1000 "),
            (
                "hopshot --rate 1000000 ::1 ::2",
                "--rate may be at most 1000 ",
            ),
            (
                "hopshot --paths --rate 1001 ::1",
                "--rate may be at most 1000 ",
            ),
            ("hopshot --size 1501 ::1", "--size may be at most 1500 "),
            (
                "hopshot --mtu --size 9000 ::1",
                "--size may be at most 1500 ",
            ),
            ("hopshot --mark 0 ::1", "--mark is not permitted "),
            (
                "hopshot -T --source-port 50000 ::1",
                "--source-port is not permitted ",
            ),
        ] {
            let why = held(line).err().unwrap_or_default();
            assert!(
                why.starts_with(bound) && why.ends_with("run it as root for more (sudo)"),
                "{line}: {why}"
            );
        }
        assert_eq!(held("hopshot --rate 1000 --size 1500 ::1"), Ok(Some(1000)));
        assert_eq!(held("hopshot --burst -q 10 -m 64 ::1"), Ok(None));
    }

    #[test]
    fn a_search_for_the_path_mtu_gets_the_pace_that_it_has_not() {
        assert_eq!(held("hopshot --mtu ::1"), Ok(Some(1000)));
        assert_eq!(held("hopshot --mtu --rate 5 ::1"), Ok(Some(5)));
    }
}
