//! Options that ask for a text in place of a trace.

use clap::{Args, ValueEnum};
use clap_complete::Shell;

/// Options for a text in place of a trace.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Other",
    disable_help_flag = true,
    disable_version_flag = true
)]
pub(super) struct About {
    /// The most usual options
    #[arg(short)]
    help: bool,

    /// Everything: examples, all options, marks, exit status, files
    #[arg(long = "help")]
    long_help: bool,

    /// The version
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,

    /// Print the man page, or completions for a shell
    #[arg(long, value_name = "WHAT", value_enum)]
    generate: Option<Generate>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Generate {
    Man,
    Bash,
    Zsh,
    Fish,
}

/// A text that the command has of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// The help that fits a screen.
    Usual,
    /// The help on everything.
    Whole,
    Man,
    Completions(Shell),
}

impl About {
    /// The text that was asked for, if one was.
    pub(super) const fn page(&self) -> Option<Page> {
        match self.generate {
            _ if self.help => Some(Page::Usual),
            _ if self.long_help => Some(Page::Whole),
            Some(Generate::Man) => Some(Page::Man),
            Some(Generate::Bash) => Some(Page::Completions(Shell::Bash)),
            Some(Generate::Zsh) => Some(Page::Completions(Shell::Zsh)),
            Some(Generate::Fish) => Some(Page::Completions(Shell::Fish)),
            None => None,
        }
    }
}
