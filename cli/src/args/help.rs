//! What the command says of itself: help, man page and completions, all from the definitions of the
//! options.

use super::about::Page;
use super::line::command;
use crate::watch::keys::KEYS;
use clap::{ArgAction, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::fmt::Write as _;

/// Options of `-h`, which fits a screen, each in one line.
const USUAL: [(&str, &str); 14] = [
    ("tcp", "Probe by TCP, port 443, -p for another; -U for UDP"),
    ("ipv4", "Use IPv4 only; -6 for IPv6"),
    ("max", "The farthest hop to probe [default: 32]"),
    ("attempts", "Answers to ask for at each hop [default: 3]"),
    ("wait", "The longest wait for an answer [default: 2]"),
    ("numeric", "Show addresses only"),
    ("asn", "Show the AS of each address"),
    ("watch", "Trace again and again: loss, times, what changes"),
    (
        "paths",
        "Show all paths that load balancers share traffic over",
    ),
    ("mtu", "Find the largest packets that the path carries"),
    ("targets", "Trace the hosts of a file, one a line"),
    ("format", "text, json, csv, markdown, svg, ... (see --help)"),
    (
        "long_help",
        "Everything: all options, marks, exit status, files",
    ),
    ("version", "The version"),
];

/// A list of things and what they mean.
struct Section {
    title: &'static str,
    entries: &'static [(&'static str, &'static str)],
}

const EXAMPLES: Section = Section {
    title: "Examples",
    entries: &[
        ("hopshot example.com", "the path to a host"),
        (
            "hopshot -n -q 1 2001:db8::1",
            "addresses only, one probe at each hop",
        ),
        ("hopshot -f 3 -m 12 example.com", "hops 3 to 12 only"),
        ("hopshot -A example.com", "with the AS of each address"),
        (
            "hopshot --watch example.com",
            "the path again and again: loss, times, what changes",
        ),
        (
            "hopshot --paths example.com",
            "all paths that traffic is balanced over",
        ),
        (
            "hopshot --compare example.com",
            "ICMP, UDP and TCP side by side, and what differs",
        ),
        (
            "hopshot --tcp -p 22 example.com",
            "whether port 22 is open, by which path",
        ),
        (
            "hopshot --udp -p 53 192.0.2.53",
            "the path of DNS questions to a server",
        ),
        (
            "hopshot --json example.com",
            "a JSON document on standard output",
        ),
        (
            "hopshot --json --targets FILE",
            "the hosts of a file, a document a line",
        ),
        (
            "hopshot --format svg example.com",
            "a picture on standard output",
        ),
    ],
};

const SHORT_EXAMPLES: Section = Section {
    title: "Examples",
    entries: &[
        ("hopshot example.com", "the path to a host"),
        (
            "hopshot --compare example.com",
            "ICMP, UDP and TCP side by side",
        ),
    ],
};

const AFTER: [Section; 7] = [
    Section {
        title: "Marks",
        entries: &[
            ("*", "no answer"),
            (
                "5 of 7 lost",
                "on a terminal: no answer to 5 of the 7 probes here",
            ),
            (
                "2/3",
                "on a narrow terminal: the fastest of 2 answers to 3 probes",
            ),
            (
                "ack",
                "by TCP: the answer was lost, and a later probe has drawn another; the time is too long",
            ),
            (
                "[open]",
                "by TCP or UDP: the target's port accepts connections, or has answered",
            ),
            (
                "[closed]",
                "by TCP or UDP: the target says that nobody listens there",
            ),
            (
                "[filtered]",
                "by TCP or UDP, with --watch: somebody says that a firewall forbids it",
            ),
            (
                "[proxied]",
                "by TCP or UDP: a proxy answers in the target's name; [open?] where that isn't certain",
            ),
            ("!H", "host unreachable"),
            ("!N", "network unreachable"),
            ("!P", "protocol unreachable"),
            ("!X", "forbidden by an administrator"),
            ("!S", "source route failed, or out of scope"),
            ("!V, !C", "precedence too low, or cut off (IPv4)"),
            ("!F-1400", "too big for a link, whose MTU is 1400"),
            (
                "!<6>, !<4-0>",
                "any other code of unreachable; type and code of another error",
            ),
            (
                "?, !H?",
                "nothing proves that this answers the probe: it may be forged",
            ),
            ("! REASON", "it failed on this machine, for this reason"),
            ("rate limited?", "the hop answered, and then stopped"),
            (
                "answers for A",
                "the target answered for A from this address",
            ),
            (
                "shared: 60 of 64",
                "of several hosts: not probed; 60 of 64 others met this router",
            ),
            (
                "shared",
                "the same, where it isn't known well enough who is there",
            ),
            ("F=1400", "with --mtu: from here on packets of 1400 octets"),
        ],
    },
    Section {
        title: "Colours",
        entries: &[
            (
                "green",
                "the fastest answer; less than 25 ms after that of the hop before",
            ),
            (
                "yellow",
                "25 to 100 ms after it, as from country to country",
            ),
            ("red", "more than that, as from continent to continent"),
        ],
    },
    Section {
        title: "Keys of --watch",
        entries: &KEYS,
    },
    Section {
        title: "Exit status",
        entries: &[
            (
                "0",
                "the target answered; of several hosts, all did; with --watch, in the last round;",
            ),
            (
                "",
                "with --compare, every side by TCP got there, or without TCP any side",
            ),
            (
                "1",
                "it did not; of several hosts, one did not or could not be traced, or",
            ),
            ("", "the list was interrupted"),
            ("2", "hopshot could not run; standard error says why"),
            (
                "130",
                "a second SIGINT or SIGTERM ended it at once, or one when nobody",
            ),
            ("", "had read the output for a second"),
            ("141", "nobody reads the output any more"),
        ],
    },
    Section {
        title: "Bounds",
        entries: &[
            (
                "",
                "For users other than root, where the privilege comes with the program",
            ),
            ("", "(setcap, set-user-ID); root (sudo) has none:"),
            ("--rate", "at most 1000, which is the rate of --mtu then"),
            ("--size", "at most 1500"),
            ("--mark", "not permitted"),
        ],
    },
    Section {
        title: "Files",
        entries: &[
            (
                "~/.config/hopshot/config",
                "default options, one a line, as on the",
            ),
            (
                "",
                "command line, which wins; # begins a comment; --no-sandbox has no place in it",
            ),
        ],
    },
    Section {
        title: "Environment",
        entries: &[
            ("HOPSHOT_CONFIG", "another file of options"),
            (
                "XDG_CONFIG_HOME",
                "where it is looked for, if not in ~/.config",
            ),
            ("NO_COLOR", "no colours, unless --color always"),
        ],
    },
];

impl Section {
    fn help(&self) -> String {
        let width = self
            .entries
            .iter()
            .map(|(what, _)| what.len())
            .max()
            .unwrap_or(0);
        let mut text = format!("{}:\n", self.title);
        for (what, meaning) in self.entries {
            let _ = writeln!(text, "  {what:<width$}  {meaning}");
        }
        text
    }

    fn man(&self, page: &mut Roff) {
        page.control("SH", [self.title.to_uppercase().as_str()]);
        for (what, meaning) in self.entries {
            if !what.is_empty() {
                page.control("TP", []);
                page.text([bold(*what)]);
            }
            page.text([roman(*meaning)]);
        }
    }
}

/// Returns a text, as wide as the terminal.
pub(super) fn help(page: Page) -> String {
    match page {
        Page::Usual => short_help(None),
        Page::Whole => long_help(None),
        Page::Man => man(),
        Page::Completions(shell) => completions(shell),
    }
}

/// Returns the help that fits a screen.
fn short_help(width: Option<usize>) -> String {
    let usual = |arg: clap::Arg| match USUAL.iter().find(|(id, _)| arg.get_id() == id) {
        Some((_, help)) => {
            let (takes_values, arg) = (
                arg.get_action().takes_values(),
                arg.help(*help).help_heading(None::<&str>),
            );
            // Clap panics at what makes no sense without a value.
            if takes_values {
                arg.hide_default_value(true).hide_possible_values(true)
            } else {
                arg
            }
        }
        None => arg.hide(true),
    };
    rendered(
        command().mut_args(usual).before_help(SHORT_EXAMPLES.help()),
        width,
    )
}

fn long_help(width: Option<usize>) -> String {
    let after = AFTER
        .iter()
        .map(Section::help)
        .collect::<Vec<_>>()
        .join("\n");
    rendered(
        command().before_help(EXAMPLES.help()).after_help(after),
        width,
    )
}

/// As wide as the terminal, if no width is given.
fn rendered(command: Command, width: Option<usize>) -> String {
    let mut command = width.into_iter().fold(command, Command::term_width);
    format!("{}\n", command.render_help().to_string().trim_end())
}

fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    // Shells offer again what may be given twice.
    let mut once = command().mut_arg("targets", |arg| arg.action(ArgAction::Set));
    clap_complete::generate(shell, &mut once, "hopshot", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn man() -> String {
    let (man, mut page) = (Man::new(command()).title("HOPSHOT"), Vec::new());
    // Writing to memory doesn't fail.
    let _ = man.render_title(&mut page);
    let _ = man.render_name_section(&mut page);
    let _ = man.render_synopsis_section(&mut page);
    let _ = man.render_description_section(&mut page);
    let _ = man.render_options_section(&mut page);
    let mut rest = Roff::new();
    [EXAMPLES]
        .iter()
        .chain(&AFTER)
        .for_each(|section| section.man(&mut rest));
    rest.control("SH", ["SEE ALSO"]);
    rest.text([
        bold("traceroute"),
        roman("(1), "),
        bold("mtr"),
        roman("(8), "),
        bold("ping"),
        roman("(8), "),
        bold("setcap"),
        roman("(8)"),
    ]);
    let _ = rest.to_writer(&mut page);
    String::from_utf8_lossy(&page).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_help_fits_a_screen_of_24_lines_with_a_prompt() {
        let help = short_help(Some(80));
        assert!(help.lines().count() < 24, "{help}");
        assert!(help.lines().all(|line| line.chars().count() < 80), "{help}");
    }

    #[test]
    fn the_long_help_has_examples_first_and_every_option() {
        let help = long_help(Some(100));
        let place = |what: &str| help.find(what).unwrap_or_else(|| panic!("{what}: {help}"));
        assert!(place("Examples:") < place("Probes:") && place("Probes:") < place("Output:"));
        assert!(place("Output:") < place("Marks:") && place("Marks:") < place("Exit status:"));
        for arg in command().get_arguments().filter(|arg| !arg.is_hide_set()) {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            place(&long.or(short).unwrap_or_else(|| "HOST".to_owned()));
        }
    }

    #[test]
    fn the_man_page_names_every_option_and_begins_lines_with_no_dot_by_accident() {
        let page = man();
        for arg in command().get_arguments().filter(|arg| !arg.is_hide_set()) {
            let Some(long) = arg.get_long() else { continue };
            assert!(
                page.contains(&format!("\\-\\-{}", long.replace('-', "\\-"))),
                "{long}: {page}"
            );
        }
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXAMPLES",
            "\"EXIT STATUS\"",
            "FILES",
        ] {
            assert!(
                page.contains(&format!(".SH {section}")),
                "{section}: {page}"
            );
        }
    }
}
