//! The file of options that always hold: one a line, as on the command line, which wins.

mod lines;
#[cfg(test)]
mod properties;

use super::line::{Args, Read, one_line, read};
use crate::console::visible;
use clap::error::ErrorKind;
use lines::{decode, options};
use rustix::process::{getegid, geteuid, getgid, getuid};
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// No file of options is longer.
const LONGEST: u64 = 8192;

/// Nor has it more options: to look at each costs time before every trace.
const MOST: usize = 64;

/// The number of `/dev/null`: major 1, minor 3.
const NULL: u64 = 0x103;

/// The lines of a file: of each the option, and its value if it has one.
pub(super) struct Config {
    path: PathBuf,
    lines: Vec<Vec<String>>,
}

impl Config {
    /// The file that the environment names, or the usual one if there is one. Who got the rights of
    /// another user or group by starting this would read their files: for them there is none.
    pub(super) fn read() -> Result<Option<Self>, String> {
        if (getuid(), getgid()) != (geteuid(), getegid()) {
            return Ok(None);
        }
        let variable = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        if let Some(path) = variable("HOPSHOT_CONFIG") {
            return match text(&path) {
                Ok(text) => Self::parse(&path, &text).map(Some),
                Err(error) => {
                    let path = path.display();
                    Err(format!(
                        "can't read the options of '{path}' (HOPSHOT_CONFIG): {error} (--no-config goes without)"
                    ))
                }
            };
        }
        let home = || variable("HOME").map(|home| home.join(".config"));
        // One that isn't absolute is to be ignored (XDG Base Directory Specification).
        let folder = variable("XDG_CONFIG_HOME")
            .filter(|folder| folder.is_absolute())
            .or_else(home);
        let Some(path) = folder.map(|folder| folder.join("hopshot/config")) else {
            return Ok(None);
        };
        match text(&path) {
            Ok(text) => Self::parse(&path, &text).map(Some),
            Err(error) if is_not_for_us(error.kind()) => Ok(None),
            Err(error) => Err(format!(
                "can't read the options of '{}': {error} (--no-config goes without)",
                path.display()
            )),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let mut lines: Vec<Vec<String>> = Vec::new();
        for (number, words) in options(text) {
            if lines.len() == MOST {
                return Err(format!(
                    "{}, line {number}: there are more than {MOST} options",
                    path.display()
                ));
            }
            check(&lines, &words)
                .map_err(|why| format!("{}, line {number}: {why}", path.display()))?;
            lines.push(words);
        }
        let path_buf = path.to_owned();
        if lines.is_empty() {
            return Ok(Self {
                path: path_buf,
                lines,
            });
        }
        let all = ["hopshot", "host"]
            .into_iter()
            .chain(lines.iter().flatten().map(String::as_str));
        match understand(&all.map(OsString::from).collect::<Vec<_>>()) {
            Err((None, why)) => Err(format!("{}: {why}", path.display())),
            _ => Ok(Self {
                path: path_buf,
                lines,
            }),
        }
    }

    /// Whether it has no options.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The command line with the options before it: where one is given twice, the latter counts. An
    /// option of the file that can't be beside those of the command line, or says nothing
    /// without others, gives way.
    pub(super) fn with(&self, arguments: &[OsString]) -> Vec<OsString> {
        self.line(arguments, &self.holding(arguments))
    }

    /// The file, and which of its options hold beside those of the command line: a text that is
    /// such a file, too.
    pub(super) fn text(&self, arguments: &[OsString]) -> String {
        let mut text = format!("# {}\n", self.path.display());
        for (words, holds) in self.lines.iter().zip(self.holding(arguments)) {
            let gives_way = if holds { "" } else { "# gives way: " };
            text += &format!("{gives_way}{}\n", visible(&words.join(" ")));
        }
        text
    }

    /// The command line with those options that hold.
    fn line(&self, arguments: &[OsString], holds: &[bool]) -> Vec<OsString> {
        let (name, arguments) = arguments.split_at(arguments.len().min(1));
        let options = self
            .lines
            .iter()
            .zip(holds)
            .filter(|(_, holds)| **holds)
            .flat_map(|(words, _)| words);
        name.iter()
            .cloned()
            .chain(options.map(OsString::from))
            .chain(arguments.iter().cloned())
            .collect()
    }

    /// Returns whether each option holds beside those of the command line.
    fn holding(&self, arguments: &[OsString]) -> Vec<bool> {
        let all = vec![true; self.lines.len()];
        if understand(&self.line(arguments, &all)).is_ok() {
            return all;
        }
        let mut holds = vec![false; self.lines.len()];
        // Twice, because an option may want another that stands below it.
        for number in (0..holds.len()).chain(0..holds.len()) {
            if !holds[number] {
                holds[number] = true;
                holds[number] = understand(&self.line(arguments, &holds)).is_ok();
            }
        }
        holds
    }
}

/// Arguments that can be beside each other.
fn understand(line: &[OsString]) -> Result<Args, Mistake> {
    judge(read(line))
}

/// The kind of what is wrong if the parser says so, and why.
type Mistake = (Option<ErrorKind>, String);

fn judge(read: clap::error::Result<Read>) -> Result<Args, Mistake> {
    let refused = |error: clap::Error| (Some(error.kind()), one_line(&error));
    let (args, dependent) = read.map_err(refused)?;
    args.check_beside(dependent)
        .map_err(|why| (Some(ErrorKind::MissingRequiredArgument), why))?;
    args.check().map(|()| args).map_err(|why| (None, why))
}

/// Whether a line is an option that a file may have, and one that can be beside those of the lines
/// before it.
fn check(before: &[Vec<String>], words: &[String]) -> Result<(), String> {
    let option = words.first().map_or("", String::as_str);
    if !option.starts_with('-') {
        return Err(format!(
            "'{option}' is no option; one stands on each line, as on the command line"
        ));
    }
    let not_here = || {
        let more = words.get(1).filter(|word| word.starts_with("--"));
        let more = more.map_or(String::new(), |more| format!(" with '{more}'"));
        Err(format!("'{option}'{more} is for the command line only"))
    };
    if option == "--" {
        return not_here();
    }
    if option == "-" {
        return Err("'-' is no value of '-', and hosts are for the command line only".to_owned());
    }
    for before in [&[][..], before] {
        let line = ["hopshot", "host"]
            .into_iter()
            .chain(before.iter().flatten().chain(words).map(String::as_str));
        let read = read(&line.map(OsString::from).collect::<Vec<_>>());
        // Before what the options want of each other: a line may have several, and no mistake in
        // one hides another.
        if read
            .as_ref()
            .is_ok_and(|(args, _)| args.is_for_command_line())
        {
            return not_here();
        }
        match judge(read) {
            Err((Some(ErrorKind::DisplayVersion), _)) => return not_here(),
            Ok(Args { hosts, .. }) => {
                if let [_, host, ..] = hosts.as_slice() {
                    return Err(format!(
                        "'{host}' is no value of '{option}', and hosts are for the command line only"
                    ));
                }
            }
            // Another line or the command line may have it, or what it needs to be right.
            Err((None | Some(ErrorKind::MissingRequiredArgument), _)) => {}
            Err((_, why)) => return Err(why),
        }
    }
    Ok(())
}

/// Whether there is none, or the home is another user's, as after `su` or `setpriv`.
const fn is_not_for_us(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
    )
}

fn text(path: &Path) -> io::Result<String> {
    // Opening a FIFO waits for whoever writes to it, and a device may wait as well, or do
    // something. One is usual: it is empty.
    let kind = fs::metadata(path)?;
    let is_null = kind.file_type().is_char_device() && kind.rdev() == NULL;
    if !kind.is_file() && !is_null {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let mut octets = Vec::new();
    if File::open(path)?
        .take(LONGEST + 1)
        .read_to_end(&mut octets)? as u64
        > LONGEST
    {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    decode(octets).map_err(|line| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("line {line} isn't text (UTF-8)"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("file"), text)
    }

    /// What the command line becomes.
    fn with(text: &str, arguments: &str) -> String {
        let arguments: Vec<OsString> = arguments.split(' ').map(OsString::from).collect();
        let config = config(text).unwrap_or_else(|why| panic!("{why}"));
        config
            .with(&arguments)
            .join(" ".as_ref())
            .into_string()
            .expect("it is text")
    }

    #[test]
    fn what_is_no_text_is_told_with_its_line_and_what_is_too_long_as_that() {
        let path = env::temp_dir().join(format!("hopshot-options-{}", std::process::id()));
        let said = |octets: &[u8]| {
            fs::write(&path, octets).unwrap();
            text(&path).map_err(|error| error.to_string())
        };
        assert_eq!(
            said("-n # größer\n".as_bytes()),
            Ok("-n # größer\n".to_owned())
        );
        assert_eq!(
            said(b"-n\n-q 1 # gr\xf6\xdfer\n"),
            Err("line 2 isn't text (UTF-8)".to_owned())
        );
        // Cut off within a letter.
        assert_eq!(
            said(&["#".as_bytes(), "ö".repeat(5000).as_bytes()].concat()),
            Err("file too large".to_owned())
        );
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn there_are_not_too_many_options() {
        assert!(config(&"-n\n".repeat(64)).is_ok());
        assert_eq!(
            config(&"-n\n".repeat(65)).err().unwrap(),
            "file, line 65: there are more than 64 options"
        );
    }

    #[test]
    fn options_of_the_file_come_before_those_of_the_command_line() {
        assert_eq!(
            with("-n\n\n-q 1 # one\n", "hopshot -q 2 ::1"),
            "hopshot -n -q 1 -q 2 ::1"
        );
        assert_eq!(with("", "hopshot ::1"), "hopshot ::1");
    }

    #[test]
    fn what_is_printed_of_a_file_is_one_that_says_the_same() {
        let arguments = ["hopshot", "--print-config", "::1"].map(OsString::from);
        let text = config("--numeric # names are slow\n--count 5\n")
            .unwrap()
            .text(&arguments);
        assert_eq!(text, "# file\n--numeric\n# gives way: --count 5\n");
        assert_eq!(with(&text, "hopshot ::1"), "hopshot --numeric ::1");
    }

    #[test]
    fn an_option_of_the_file_gives_way_to_one_that_it_can_not_be_beside() {
        assert_eq!(with("-4\n-n", "hopshot -6 ::1"), "hopshot -n -6 ::1");
        assert_eq!(with("-4", "hopshot ::1"), "hopshot -4 ::1");
    }

    #[test]
    fn an_option_of_the_file_gives_way_where_it_does_not_apply() {
        assert_eq!(with("--count 5\n-n", "hopshot ::1"), "hopshot -n ::1");
        assert_eq!(
            with("--count 5\n-n", "hopshot --watch ::1"),
            "hopshot --count 5 -n --watch ::1"
        );
        assert_eq!(
            with("--count 5\n--watch", "hopshot ::1"),
            "hopshot --count 5 --watch ::1"
        );
        assert_eq!(with("--at-once 9\n--every 2", "hopshot ::1"), "hopshot ::1");
        assert_eq!(
            with("--at-once 9\n--every 2", "hopshot ::1 ::2"),
            "hopshot --at-once 9 ::1 ::2"
        );
        assert_eq!(with("--watch", "hopshot ::1 ::2"), "hopshot ::1 ::2");
        assert_eq!(
            with("--format markdown", "hopshot --mtu ::1"),
            "hopshot --mtu ::1"
        );
        assert_eq!(
            with("--format markdown", "hopshot --paths ::1"),
            "hopshot --paths ::1"
        );
        assert_eq!(with("--format svg", "hopshot ::1 ::2"), "hopshot ::1 ::2");
        assert_eq!(with("-f 9", "hopshot -m 8 ::1"), "hopshot -m 8 ::1");
        assert_eq!(
            with("-f 40\n-m 64", "hopshot ::1"),
            "hopshot -f 40 -m 64 ::1"
        );
    }

    #[test]
    fn a_mistake_is_told_with_the_file_and_the_line() {
        for (text, why) in [
            (
                "-n\n-q 11",
                "file, line 2: invalid value '11' for '--attempts <N>'",
            ),
            (
                "--nosuch",
                "file, line 1: unexpected argument '--nosuch' found",
            ),
            (
                "-q",
                "file, line 1: a value is required for '--attempts <N>'",
            ),
            (
                "-4\n-n\n-6",
                "file, line 3: the argument '--ipv4' cannot be used with '--ipv6'",
            ),
            ("example.com", "file, line 1: 'example.com' is no option"),
            (
                "--help",
                "file, line 1: '--help' is for the command line only",
            ),
            (
                "-n 127.0.0.2",
                "file, line 1: '127.0.0.2' is no value of '-n', and hosts are for the command line only",
            ),
            (
                "--count 5\n-n ::1",
                "file, line 2: '::1' is no value of '-n'",
            ),
            ("-", "file, line 1: '-' is no value of '-'"),
            ("--", "file, line 1: '--' is for the command line only"),
            ("-nh", "file, line 1: '-nh' is for the command line only"),
            ("-nV", "file, line 1: '-nV' is for the command line only"),
            (
                "--no-config",
                "file, line 1: '--no-config' is for the command line only",
            ),
            (
                "-n\n--no-sandbox",
                "file, line 2: '--no-sandbox' is for the command line only",
            ),
            (
                "-n --no-sandbox",
                "file, line 1: '-n' with '--no-sandbox' is for the command line only",
            ),
            (
                "--count=5 --no-sandbox",
                "file, line 1: '--count=5' with '--no-sandbox' is for the command line only",
            ),
            (
                "--count=5 --no-config",
                "file, line 1: '--count=5' with '--no-config' is for the command line only",
            ),
            (
                "--mtu\n--format csv",
                "file: --mtu supports the formats text and json only",
            ),
            (
                "-n\n--targets a",
                "file, line 2: '--targets' is for the command line only",
            ),
            ("-f 9\n-m 8", "file: --first must be 1 to 8"),
            (
                "# yes\n--generate=man",
                "file, line 2: '--generate=man' is for the command line only",
            ),
        ] {
            let said = config(text).err().unwrap_or_default();
            assert!(said.starts_with(why), "{said}");
        }
        assert!(
            config("\u{feff}-n").is_ok(),
            "a mark of the encoding is no mistake"
        );
    }
}
