//! The file of options that always hold: one a line, as on the command line, which wins.

use super::command;
use clap::error::ErrorKind;
use rustix::process::{getegid, geteuid, getgid, getuid};
use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// No file of options is longer.
const LONGEST: u64 = 8192;

/// The lines of a file: of each the option, and its value if it has one.
pub(super) struct Config(Vec<Vec<String>>);

impl Config {
    /// The file that the environment names, or the usual one if there is one. Who got the rights of another user or
    /// group by starting this would read their files: for them there is none.
    pub(super) fn read() -> Result<Option<Self>, String> {
        if (getuid(), getgid()) != (geteuid(), getegid()) {
            return Ok(None);
        }
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = variable("HOPSHOT_CONFIG") {
            return match text(&path) {
                Ok(text) => Self::parse(&path, &text).map(Some),
                Err(error) => Err(format!("can't read the options of '{}' (HOPSHOT_CONFIG): {error}", path.display())),
            };
        }
        let home = || variable("HOME").map(|home| home.join(".config"));
        // One that isn't absolute is to be ignored (XDG Base Directory Specification).
        let folder = variable("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute()).or_else(home);
        let Some(path) = folder.map(|folder| folder.join("hopshot/config")) else { return Ok(None) };
        match text(&path) {
            Ok(text) => Self::parse(&path, &text).map(Some),
            Err(error) if is_not_for_us(error.kind()) => Ok(None),
            Err(error) => {
                Err(format!("can't read the options of '{}': {error} (--no-config goes without)", path.display()))
            }
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let mut lines: Vec<Vec<String>> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let words = words(line);
            if words.is_empty() {
                continue;
            }
            check(&lines, &words).map_err(|why| format!("{}, line {number}: {why}", path.display()))?;
            lines.push(words);
        }
        Ok(Self(lines))
    }

    /// The command line with the options before it: where one is given twice, the latter counts. An option of the file that
    /// can't be beside those of the command line gives way.
    pub(super) fn with(&self, arguments: &[OsString]) -> Vec<OsString> {
        let (name, arguments) = arguments.split_at(arguments.len().min(1));
        let mut before = name.to_vec();
        for words in &self.0 {
            let mut longer = before.clone();
            longer.extend(words.iter().map(OsString::from));
            let tried = command().try_get_matches_from(longer.iter().chain(arguments));
            if !tried.is_err_and(|error| error.kind() == ErrorKind::ArgumentConflict) {
                before = longer;
            }
        }
        before.extend_from_slice(arguments);
        before
    }
}

/// Whether a line is an option that a file may have, and one that can be beside those of the lines before it.
fn check(before: &[Vec<String>], words: &[String]) -> Result<(), String> {
    let option = words.first().map_or("", String::as_str);
    if !option.starts_with('-') {
        return Err(format!("'{option}' is no option; one stands on each line, as on the command line"));
    }
    let about = ["-h", "--help", "-V", "--version", "--generate", "--no-config"];
    if about.contains(&option.split('=').next().unwrap_or(option)) {
        return Err(format!("'{option}' is for the command line only"));
    }
    let words = before.iter().flatten().chain(words).map(String::as_str);
    match command().try_get_matches_from(["hopshot", "host"].into_iter().chain(words)) {
        // It may want another option beside it, which another line or the command line has.
        Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => Err(super::one_line(&error)),
        _ => Ok(()),
    }
}

/// Whether there is none, or the home is another user's, as after `su` or `setpriv`.
const fn is_not_for_us(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied)
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    match File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)? {
        length if length as u64 > LONGEST => Err(io::ErrorKind::FileTooLarge.into()),
        _ => Ok(text),
    }
}

/// A line as the arguments that it stands for: the option, and all that follows as its value.
fn words(line: &str) -> Vec<String> {
    let comment = line
        .char_indices()
        .find(|(at, c)| *c == '#' && line[..*at].chars().next_back().is_none_or(char::is_whitespace));
    let line = line[..comment.map_or(line.len(), |(at, _)| at)].trim();
    let (option, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    [option, value.trim()].into_iter().filter(|word| !word.is_empty()).map(str::to_owned).collect()
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
        config.with(&arguments).join(" ".as_ref()).into_string().expect("it is text")
    }

    #[test]
    fn a_line_is_an_option_and_its_value_and_may_have_a_comment() {
        assert_eq!(words("-q 1"), ["-q", "1"]);
        assert_eq!(words("  --wait=0.5\t# half a second"), ["--wait=0.5"]);
        assert_eq!(words("--targets  a file#1 "), ["--targets", "a file#1"]);
        assert_eq!([words(""), words("# -n"), words("   ")], [(); 3].map(|()| Vec::<String>::new()));
    }

    #[test]
    fn options_of_the_file_come_before_those_of_the_command_line() {
        assert_eq!(with("-n\n\n-q 1 # one\n", "hopshot -q 2 ::1"), "hopshot -n -q 1 -q 2 ::1");
        assert_eq!(with("", "hopshot ::1"), "hopshot ::1");
    }

    #[test]
    fn an_option_of_the_file_gives_way_to_one_that_it_can_not_be_beside() {
        assert_eq!(with("-4\n-n", "hopshot -6 ::1"), "hopshot -n -6 ::1");
        assert_eq!(with("-4", "hopshot ::1"), "hopshot -4 ::1");
    }

    #[test]
    fn a_mistake_is_told_with_the_file_and_the_line() {
        for (text, why) in [
            ("-n\n-q 11", "file, line 2: invalid value '11' for '--attempts <N>'"),
            ("--nosuch", "file, line 1: unexpected argument '--nosuch' found"),
            ("-q", "file, line 1: a value is required for '--attempts <N>'"),
            ("-4\n-n\n-6", "file, line 3: the argument '-4' cannot be used with '-6'"),
            ("example.com", "file, line 1: 'example.com' is no option"),
            ("--help", "file, line 1: '--help' is for the command line only"),
            ("# yes\n--generate=man", "file, line 2: '--generate=man' is for the command line only"),
        ] {
            let said = config(text).err().unwrap_or_default();
            assert!(said.starts_with(why), "{said}");
        }
    }
}
