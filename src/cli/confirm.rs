//! What is asked before much is changed.

use std::io::{IsTerminal as _, Write as _};

use super::exit::Failure;

/// Asks the person at the terminal; without one, only `--yes` says so. `what` stands in the refusal then, before
/// ": add it to": `120 jobs match`.
///
/// # Errors
///
/// Nobody is there to be asked.
pub fn agreed(question: &str, what: &str, verb: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("--yes", format!("{what}: add it to {verb} them")));
    }
    let mut answer = String::new();
    let mut terminal = std::io::stderr();
    let asked = write!(terminal, "{question}? [y/N] ").and_then(|()| terminal.flush());
    let read = asked.and_then(|()| std::io::stdin().read_line(&mut answer));
    Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}
