//! hopshot's peers, each with the settings that suit this job best: the path once, or with a few
//! attempts, as soon as possible.

use super::formats::Format;
use hopshot_core::wire::AddressFamily;
use hopshot_lab::Protocol;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// The way in which tsubame's library is asked: what its own command prints, with attempts to
/// choose.
const TSUBAME: &str = "\
import sys
from tsubame.traceroute import traceroute
for hop, replies in enumerate(traceroute().probe(sys.argv[1], 30, int(sys.argv[2])), 1):
    print(hop, *[reply[0] if reply else '*' for reply in replies])
    if any(reply and reply[2] for reply in replies):
        break
";

/// A tool with its settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool {
    /// The command, as short as it can be told.
    pub(super) label: &'static str,
    /// What is installed.
    pub(super) program: &'static str,
    /// How many probes each hop gets where all answer.
    pub(super) attempts: u8,
    /// Whether its probes are meant to keep to one path where load is balanced by flow.
    pub(super) one_flow: bool,
    /// What its probes are.
    pub(super) protocol: Protocol,
    /// Whether it is in the picture.
    pub(super) pictured: bool,
    /// Whether it traces the target twice, and the second trace alone counts.
    pub(super) again: bool,
    /// More options for `hopshot-lab run`, where it needs some.
    pub(super) lab: &'static [&'static str],
    /// Its arguments; `{t}` is the target's address, `{p}` a port. Empty where it can't.
    pub(super) v4: &'static str,
    pub(super) v6: &'static str,
    pub(super) format: Format,
}

impl Tool {
    /// The label for a picture, where nothing else tells the attempts.
    pub(super) fn pictured_label(&self) -> String {
        match self.attempts {
            1 => self.label.to_owned(),
            attempts => format!("{} ({attempts} probes per hop)", self.label),
        }
    }
}

pub(super) const PLAIN: Tool = Tool {
    label: "",
    program: "",
    attempts: 1,
    one_flow: false,
    protocol: Protocol::Icmp,
    pictured: true,
    again: false,
    lab: &[],
    v4: "",
    v6: "",
    format: Format::Lines,
};

pub(super) const HOPSHOT: Tool = Tool {
    program: "hopshot",
    one_flow: true,
    format: Format::Hopshot,
    ..PLAIN
};
pub(super) const TRACEROUTE: Tool = Tool {
    program: "traceroute",
    ..PLAIN
};
pub(super) const SCAMPER: Tool = Tool {
    program: "scamper",
    one_flow: true,
    ..PLAIN
};

/// All that trace by ICMP. Arguments are separated by `|`, since some have spaces.
pub(super) const TOOLS: &[Tool] = &[
    Tool {
        label: "hopshot --burst -q 1",
        v4: "-n|--json|--burst|-q|1|{t}",
        v6: "-n|--json|--burst|-q|1|{t}",
        ..HOPSHOT
    },
    Tool {
        label: "hopshot -q 1",
        v4: "-n|--json|-q|1|{t}",
        v6: "-n|--json|-q|1|{t}",
        ..HOPSHOT
    },
    Tool {
        label: "hopshot",
        attempts: 3,
        v4: "-n|--json|{t}",
        v6: "-n|--json|{t}",
        ..HOPSHOT
    },
    Tool {
        label: "traceroute -I -q1 -N30",
        v4: "-I|-n|-q1|-N30|{t}",
        v6: "-6|-I|-n|-q1|-N30|{t}",
        ..TRACEROUTE
    },
    Tool {
        label: "traceroute -I -q1 -N30 -w 5,3,2",
        v4: "-I|-n|-q1|-N30|-w|5,3,2|{t}",
        v6: "-6|-I|-n|-q1|-N30|-w|5,3,2|{t}",
        ..TRACEROUTE
    },
    Tool {
        label: "traceroute -I",
        attempts: 3,
        pictured: false,
        v4: "-I|-n|{t}",
        v6: "-6|-I|-n|{t}",
        ..TRACEROUTE
    },
    Tool {
        label: "mtr -c1 -i0.1 -G1",
        program: "mtr",
        v4: "-n|-r|-w|-c1|-i0.1|-G1|{t}",
        v6: "-6|-n|-r|-w|-c1|-i0.1|-G1|{t}",
        ..PLAIN
    },
    Tool {
        label: "mtr -c1 -i0.01 -G0.2",
        program: "mtr",
        pictured: false,
        v4: "-n|-r|-w|-c1|-i0.01|-G0.2|{t}",
        v6: "-6|-n|-r|-w|-c1|-i0.01|-G0.2|{t}",
        ..PLAIN
    },
    Tool {
        label: "scamper -N 4 -w 1 -q 1",
        pictured: false,
        v4: "-p|1000|-I|trace -P icmp-paris -N 4 -w 1 -q 1 {t}",
        v6: "-p|1000|-I|trace -P icmp-paris -N 4 -w 1 -q 1 {t}",
        ..SCAMPER
    },
    Tool {
        label: "scamper -N 30 -g 31 -w 1 -q 1",
        v4: "-p|1000|-I|trace -P icmp-paris -N 30 -g 31 -m 30 -w 1 -q 1 {t}",
        v6: "-p|1000|-I|trace -P icmp-paris -N 30 -g 31 -m 30 -w 1 -q 1 {t}",
        ..SCAMPER
    },
    Tool {
        label: "tsubame (1 attempt)",
        program: "tsubame",
        v4: "{t}|1",
        ..PLAIN
    },
    Tool {
        label: "tsubame (3 attempts)",
        program: "tsubame",
        attempts: 3,
        pictured: false,
        v4: "{t}|3",
        ..PLAIN
    },
    Tool {
        label: "ftr",
        program: "ftr",
        format: Format::Ftr,
        v4: "--json|--no-enrich|--no-rdns|--protocol|icmp|--socket-mode|raw|{t}",
        v6: "-6|--json|--no-enrich|--no-rdns|--protocol|icmp|--socket-mode|raw|{t}",
        ..PLAIN
    },
    Tool {
        label: "trip -C1 -i 1ms -T 3s -g 20ms",
        program: "trip",
        format: Format::Trippy,
        v4: "-m|json|-C1|-i|1ms|-T|3s|-g|20ms|{t}",
        v6: "-6|-m|json|-C1|-i|1ms|-T|3s|-g|20ms|{t}",
        ..PLAIN
    },
];

/// A tool that is installed here.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    /// Which it is.
    pub(super) tool: Tool,
    /// What it says about its version.
    pub(super) version: String,
    /// How it is started, without the arguments.
    start: Vec<String>,
}

impl Installed {
    /// The whole command for a target of this family, which the lab fills in; `None` if the tool
    /// doesn't know the family.
    pub(super) fn command(&self, family: AddressFamily) -> Option<Vec<String>> {
        let (arguments, target) = match family {
            AddressFamily::V4 => (self.tool.v4, "{4}"),
            AddressFamily::V6 => (self.tool.v6, "{6}"),
        };
        let filled = arguments
            .split('|')
            .map(|argument| argument.replace("{t}", target));
        (!arguments.is_empty()).then(|| self.start.iter().cloned().chain(filled).collect())
    }

    /// The program alone, where it is started by itself.
    pub(super) fn program(&self) -> &str {
        self.start.first().map_or(self.tool.program, String::as_str)
    }

    /// The command as a person would type it; tsubame's is a call of its library.
    pub(super) fn shown(&self, family: AddressFamily) -> Option<String> {
        let command = self.command(family)?;
        let arguments = command.get(self.start.len()..)?.iter();
        if self.tool.program == "tsubame" {
            return Some(format!(
                "traceroute().probe(TARGET, 30, {})",
                self.tool.attempts
            ));
        }
        let quoted = |word: &String| {
            if word.contains(' ') {
                format!("\"{word}\"")
            } else {
                word.clone()
            }
        };
        let words = [self.tool.program.to_owned()]
            .into_iter()
            .chain(arguments.map(quoted))
            .collect::<Vec<_>>();
        Some(
            words
                .join(" ")
                .replace("{4}", "TARGET")
                .replace("{6}", "TARGET")
                .replace("{p}", "PORT"),
        )
    }

    /// How its output is read.
    pub(super) const fn format(&self) -> Format {
        self.tool.format
    }
}

/// The tools that are here, of those that are wanted: by program or label, all if none is named.
pub(super) fn installed(tools: &[Tool], wanted: &[String], hopshot: &Path) -> Vec<Installed> {
    let is_wanted = |tool: &Tool| {
        wanted.is_empty()
            || wanted
                .iter()
                .any(|name| name == tool.program || name == tool.label)
    };
    let mut found: Vec<Installed> = Vec::new();
    for tool in tools.iter().filter(|tool| is_wanted(tool)) {
        // Asked once for each program, not for each way to call it.
        let known = found
            .iter()
            .find(|known| known.tool.program == tool.program);
        let known = known.map(|known| (known.start.clone(), known.version.clone()));
        if let Some((start, version)) = known.or_else(|| look_for(tool.program, hopshot)) {
            found.push(Installed {
                tool: *tool,
                version,
                start,
            });
        }
    }
    found
}

/// How a program is started and which version it is, if it is here.
fn look_for(program: &str, hopshot: &Path) -> Option<(Vec<String>, String)> {
    if program == "tsubame" {
        // The interpreter itself: a script in front of it would be measured too.
        let ask = "import importlib.metadata as m, sys; from tsubame.traceroute import traceroute; \
                   print(sys.executable, m.version('tsubame'))";
        let answer = ask_version(Path::new("python3"), &["-c", ask])?;
        let (python, version) = answer.rsplit_once(' ')?;
        return Some((
            vec![python.into(), "-c".into(), TSUBAME.into()],
            format!("tsubame {version}"),
        ));
    }
    let path = if program == "hopshot" {
        hopshot.to_owned()
    } else {
        find(program)?
    };
    let switch = if program == "scamper" {
        "-v"
    } else {
        "--version"
    };
    let version = ask_version(&path, &[switch])?;
    let version = version
        .replace(" version ", " ")
        .replace("Modern traceroute for Linux,", "traceroute");
    Some((vec![path.display().to_string()], version))
}

/// A program in the path, or where only root's path leads.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    places
        .map(|place| place.join(program))
        .find(|path| fs::metadata(path).is_ok_and(|found| found.is_file()))
}

/// The first line that a program prints.
fn ask_version(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let said = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&said)
        .lines()
        .next()?
        .trim()
        .replace("version ", "");
    (output.status.success() || line.contains(char::is_numeric)).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(tool: Tool) -> Installed {
        Installed {
            tool,
            version: String::new(),
            start: vec!["x".to_owned()],
        }
    }

    fn all() -> impl Iterator<Item = Tool> {
        [TOOLS, super::super::transport::TOOLS]
            .into_iter()
            .flatten()
            .copied()
    }

    #[test]
    fn every_command_names_the_target_and_looks_up_no_names() {
        for tool in all() {
            for (family, target) in [(AddressFamily::V4, "{4}"), (AddressFamily::V6, "{6}")] {
                let Some(command) = here(tool).command(family) else {
                    assert!(
                        tool.program == "tsubame" && family == AddressFamily::V6,
                        "{}",
                        tool.label
                    );
                    continue;
                };
                assert!(
                    command.iter().any(|argument| argument.contains(target)),
                    "{command:?}"
                );
                let quiet = ["-n", "--no-rdns", "-I"]
                    .iter()
                    .any(|quiet| command.iter().any(|word| word == quiet));
                // trippy can't be told; tsubame's library never does.
                assert!(
                    quiet || ["trip", "tsubame"].contains(&tool.program),
                    "{command:?}"
                );
            }
        }
    }

    #[test]
    fn arguments_may_have_spaces() {
        let tool = TOOLS.iter().find(|tool| tool.program == "scamper").unwrap();
        let command = here(*tool).command(AddressFamily::V4).unwrap();
        assert_eq!(
            command,
            [
                "x",
                "-p",
                "1000",
                "-I",
                "trace -P icmp-paris -N 4 -w 1 -q 1 {4}"
            ]
        );
    }

    #[test]
    fn labels_are_unique() {
        for tool in all() {
            let same = all().filter(|other| other.label == tool.label);
            assert_eq!(same.count(), 1, "{}", tool.label);
        }
    }

    #[test]
    fn what_is_not_here_is_left_out() {
        for wanted in ["hopshot", "no such tool"] {
            let found = installed(TOOLS, &[wanted.to_owned()], Path::new("/no/such/hopshot"));
            assert!(found.is_empty(), "{wanted}");
        }
    }
}
