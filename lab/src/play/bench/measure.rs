//! One measurement: a tool in a lab of its own, in a process of its own, since a process enters its
//! namespaces once.

use super::formats::{Document, Found};
use super::judge::{Path, Trace};
use super::tools::Installed;
use crate::play::failure::Failure;
use hopshot_core::wire::AddressFamily;
use hopshot_lab::log::{self, Event};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{env, process};

/// When a tool is given up, in seconds.
pub(super) const TIME_LIMIT: u16 = 60;

/// Where measurements are made.
pub(super) struct Bench {
    pub(super) lab: PathBuf,
    place: PathBuf,
    pub(super) family: AddressFamily,
    number: AtomicUsize,
}

/// How to measure.
#[derive(Clone, Copy, Default)]
pub(super) struct How {
    /// What loss and load balancing are drawn from.
    pub(super) seed: u64,
    /// Whether to look for the memory, which costs a little time.
    pub(super) memory: bool,
    /// More options for `hopshot-lab run`.
    pub(super) options: &'static [&'static str],
    /// The port, for those that are told one.
    pub(super) port: u16,
}

impl Bench {
    pub(super) fn new(family: AddressFamily) -> Result<Self, Failure> {
        let lab = env::current_exe()
            .map_err(|error| Failure::Lab(format!("this program's own path: {error}")))?;
        let place = env::temp_dir().join(format!("hopshot-lab-bench-{}", process::id()));
        fs::create_dir_all(&place)
            .map_err(|error| Failure::Lab(format!("{}: {error}", place.display())))?;
        Ok(Self {
            lab,
            place,
            family,
            number: AtomicUsize::new(0),
        })
    }

    /// A place for files that go with this bench.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// Lets a tool trace a path once. `None` if the tool doesn't know the family.
    pub(super) fn trace(
        &self,
        path: &Path,
        tool: &Installed,
        how: How,
    ) -> Result<Option<Trace>, Failure> {
        let Some(command) = tool.command(self.family) else {
            return Ok(None);
        };
        let port = how.port.to_string();
        let command: Vec<String> = command
            .into_iter()
            .map(|word| word.replace("{p}", &port))
            .collect();
        let how = How {
            options: if how.options.is_empty() {
                tool.tool.lab
            } else {
                how.options
            },
            ..how
        };
        let (mut output, mut events) = self.once(path, &command, how)?;
        if tool.tool.again {
            (output, events) = again(&output, events).ok_or_else(|| {
                Failure::Lab(format!("{}: no second trace: {output}", tool.tool.label))
            })?;
        }
        let found = Found::parse(tool.format(), &output);
        let trace = path.judge(&events, &found);
        trace
            .map(Some)
            .ok_or_else(|| Failure::Lab(format!("{}: no end in the log", tool.tool.label)))
    }

    /// Lets a tool trace a path several times in the same lab, without a pause: what it found each
    /// time.
    pub(super) fn in_a_row(
        &self,
        path: &Path,
        tool: &Installed,
        times: u16,
    ) -> Result<Option<(Vec<Found>, Trace)>, Failure> {
        let Some(command) = tool.command(self.family) else {
            return Ok(None);
        };
        let place = self.file(&self.number.fetch_add(1, Ordering::Relaxed).to_string());
        let shell = "n=$1; shift; i=0; while [ $i -lt $n ]; do i=$((i+1)); \"$@\" >\"$0.$i\" 2>/dev/null; done";
        let prefix = place.display().to_string();
        let row = ["sh", "-c", shell, prefix.as_str(), &times.to_string()].map(str::to_owned);
        let row: Vec<String> = row.into_iter().chain(command).collect();
        let played = self.play(
            path,
            &row,
            &place,
            TIME_LIMIT * 3,
            How {
                seed: 1,
                ..How::default()
            },
        )?;
        let mut all = Vec::new();
        for number in 1..=times {
            let output = PathBuf::from(format!("{prefix}.{number}"));
            all.push(Found::parse(
                tool.format(),
                &fs::read_to_string(&output).unwrap_or_default(),
            ));
            let _ = fs::remove_file(output);
        }
        let events =
            log::parse(&played.log).map_err(|error| Failure::Lab(format!("log: {error}")))?;
        Ok(path
            .judge(&events, &Found::default())
            .map(|trace| (all, trace)))
    }

    /// Lets a command run once: what it printed, and what the lab saw.
    pub(super) fn once(
        &self,
        path: &Path,
        command: &[String],
        how: How,
    ) -> Result<(String, Vec<Event>), Failure> {
        let place = self.file(&self.number.fetch_add(1, Ordering::Relaxed).to_string());
        let played = self.play(path, command, &place, TIME_LIMIT, how)?;
        let events =
            log::parse(&played.log).map_err(|error| Failure::Lab(format!("log: {error}")))?;
        Ok((played.output, events))
    }

    fn play(
        &self,
        path: &Path,
        command: &[String],
        place: &std::path::Path,
        time_limit: u16,
        how: How,
    ) -> Result<Played, Failure> {
        let [log, out, err] = ["log", "out", "err"].map(|kind| place.with_extension(kind));
        let failed = |error: std::io::Error| Failure::Lab(format!("{}: {error}", place.display()));
        let mut lab = Command::new(&self.lab);
        lab.args([
            "run",
            &path.argument,
            "--seed",
            &how.seed.to_string(),
            "--time-limit",
            &time_limit.to_string(),
        ]);
        if how.memory {
            lab.arg("--memory");
        }
        lab.args(how.options);
        lab.arg("--log").arg(&log).arg("--").args(command);
        // Files, since a pipe would be held open by whatever a killed tool leaves behind.
        lab.stdin(Stdio::null())
            .stdout(File::create(&out).map_err(failed)?)
            .stderr(File::create(&err).map_err(failed)?);
        let status = lab.status().map_err(failed)?;
        let read = |path| {
            fs::read(path)
                .map(|octets| String::from_utf8_lossy(&octets).into_owned())
                .unwrap_or_default()
        };
        let (played, said) = (
            Played {
                output: read(&out),
                log: read(&log),
            },
            read(&err),
        );
        for file in [log, out, err] {
            let _ = fs::remove_file(file);
        }
        match status.code() {
            Some(77) if played.log.is_empty() => Err(Failure::NotPermitted(said.trim().to_owned())),
            _ if played.log.is_empty() => {
                Err(Failure::Lab(format!("{}: {}", path.name, said.trim())))
            }
            _ => Ok(played),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.place);
    }
}

/// Leaves the second of two traces by one hopshot: its document, its probes, and its time, which
/// has no start-up in it.
fn again(output: &str, mut events: Vec<Event>) -> Option<(String, Vec<Event>)> {
    let mut lines = output.lines();
    let (first, second) = (lines.next()?, lines.next()?);
    let sent = serde_json::from_str::<Document>(first).ok()?.probes_sent;
    let duration = serde_json::from_str::<Document>(second).ok()?.duration_ms;
    events.drain(..sent.min(events.len()));
    let Some(Event::Exit(exit)) = events.last_mut() else {
        return None;
    };
    exit.started_ns = exit.ended_ns.saturating_sub((duration * 1e6) as u64);
    Some((second.to_owned(), events))
}

/// What came out of a lab.
struct Played {
    output: String,
    log: String,
}

/// Does a job for each number below `count`, some at a time; the results in the order of the
/// numbers.
pub(super) fn each<T: Send>(
    count: usize,
    at_a_time: usize,
    job: impl Fn(usize) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_a_time.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let result = job(number);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopshot_lab::log::Exit;

    #[test]
    fn the_second_trace_is_left_alone() {
        let exit = |started_ns| {
            Event::Exit(Exit {
                started_ns,
                ended_ns: 300_000_000,
                status: 0,
                cpu_ns: 0,
                sleeps: 0,
                peak_memory: 0,
            })
        };
        let documents =
            "{\"duration_ms\":160.5,\"probes_sent\":1}\n{\"duration_ms\":80.5,\"probes_sent\":0}\n";
        // An event of the first trace, whatever it is.
        let (output, events) = again(documents, vec![exit(1), exit(2)]).unwrap();
        assert_eq!(output, "{\"duration_ms\":80.5,\"probes_sent\":0}");
        assert_eq!(events, [exit(219_500_000)]);
        for one in [documents.lines().next().unwrap(), ""] {
            assert_eq!(again(one, vec![exit(1), exit(2)]), None);
        }
    }

    #[test]
    fn jobs_come_back_in_order() {
        let squares = each(20, 4, |number| Ok(number * number)).unwrap();
        assert_eq!(
            squares,
            (0..20).map(|number| number * number).collect::<Vec<_>>()
        );
        let failed = each(3, 2, |number| {
            if number == 1 {
                Err(Failure::Lab("no".to_owned()))
            } else {
                Ok(())
            }
        });
        assert!(failed.is_err());
    }
}
