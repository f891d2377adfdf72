//! `jobplane man`: the manual, made of the same words as `--help`.

use std::path::PathBuf;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::exit::Failure;
use super::output::Out;

/// Where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write a page for each command into this folder, which is made if need be [default: print
    /// jobplane.1]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the page of the program, or writes all pages.
pub fn run(args: &Args, out: &mut Out) -> Result<(), Failure> {
    let mut command = super::Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(dir) = &args.dir else {
        let page = page(command)?;
        return out.lines(page.lines().map(str::to_owned));
    };
    let unwritable = |error: std::io::Error| {
        Failure::usage("--dir", format!("cannot write to {}: {error}", dir.display()))
    };
    std::fs::create_dir_all(dir).map_err(unwritable)?;
    let mut written = 0;
    for (name, command) in pages(&command) {
        std::fs::write(dir.join(format!("{name}.1")), page(command)?).map_err(unwritable)?;
        written += 1;
    }
    out.note(&format!(
        "jobplane: {written} pages in {0}; read one with `man {0}/jobplane.1`",
        dir.display()
    ))
}

/// The program and each of its commands with the name of its page.
fn pages(program: &Command) -> Vec<(String, Command)> {
    let commands: Vec<Command> = program.get_subcommands().cloned().collect();
    let named = commands.into_iter().filter(|command| !command.is_hide_set()).map(|command| {
        let name = format!("jobplane-{}", command.get_name());
        (name.clone(), command.display_name(name))
    });
    std::iter::once(("jobplane".to_owned(), program.clone())).chain(named).collect()
}

fn page(command: Command) -> Result<String, Failure> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page).map_err(Failure::Output)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
