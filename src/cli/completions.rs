//! `jobplane completions`: what a shell needs to complete commands and flags.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::exit::Failure;
use super::output::Out;

/// Where to put the script.
const WHERE: &str =
    "For bash: jobplane completions bash > ~/.local/share/bash-completion/completions/jobplane
For zsh:  jobplane completions zsh > a folder of $fpath, as _jobplane
For fish: jobplane completions fish > ~/.config/fish/completions/jobplane.fish";

/// Which shell.
#[derive(Debug, clap::Args)]
#[command(after_help = WHERE)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args, out: &mut Out) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "jobplane", &mut script);
    out.lines(String::from_utf8_lossy(&script).lines().map(str::to_owned))
}
