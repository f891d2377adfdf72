//! The settings of the server as docs/SETTINGS.md shows them.

use std::fmt::Write as _;

use clap::{Args as _, Command};

/// A table of every flag of `serve`, its variable and its default.
#[must_use]
pub fn render() -> String {
    let command = super::Args::augment_args(Command::new("serve"));
    let mut table =
        String::from("| flag | variable | default | what it does |\n|---|---|---|---|\n");
    for flag in command.get_arguments() {
        let long = flag.get_long().unwrap_or_default();
        let value = flag.get_value_names().and_then(|names| names.first());
        let value = value.map(|name| format!(" {name}")).unwrap_or_default();
        let variable = flag.get_env().map(|name| format!("`{}`", name.to_string_lossy()));
        let defaults = flag.get_default_values().iter();
        let defaults: Vec<_> =
            defaults.map(|value| format!("`{}`", value.to_string_lossy())).collect();
        let help = flag.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "| `--{long}{value}` | {} | {} | {help} |",
            variable.unwrap_or_default(),
            defaults.join(" ")
        );
    }
    table
}
