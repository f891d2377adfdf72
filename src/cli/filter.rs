//! Which jobs: the flags that all views of many jobs share.

mod term;

use super::exit::Failure;
use super::parse::{self, Since};
use super::{format, names};
use crate::domain::Timestamp;
use crate::proto::v1::{JobFilter, JobState};

use term::Key;
pub use term::{Term, join};

#[cfg(test)]
mod tests;

/// Which jobs. Several of a kind mean any of them; different kinds, all of them.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Which jobs")]
pub struct Filter {
    /// Of any of these types; may be repeated, or separated by commas
    #[arg(long = "type", short, value_name = "TYPE", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Of any of these categories
    #[arg(long = "category", value_name = "CATEGORY", value_delimiter = ',')]
    pub categories: Vec<String>,
    /// In any of these states: pending, running, succeeded, failed, cancelled, skipped
    #[arg(long = "state", short, value_name = "STATE", value_delimiter = ',')]
    #[arg(value_parser = names::values::<JobState>(), hide_possible_values = true)]
    pub states: Vec<JobState>,
    /// In any of these queues
    #[arg(long = "queue", short, value_name = "QUEUE", value_delimiter = ',')]
    pub queues: Vec<String>,
    /// With every one of these labels
    #[arg(long = "label", short, value_name = "KEY=VALUE", value_parser = parse::label)]
    pub labels: Vec<(String, String)>,
    /// For this owner
    #[arg(long)]
    pub owner: Option<String>,
    /// Created since: so long ago (2h, 7d), or a moment (RFC 3339); `history` means ended since
    #[arg(long, value_name = "WHEN", value_parser = parse::since)]
    pub since: Option<Since>,
    /// By anything else: KEY=VALUE, repeated for several, commas for any of: type, category, state, queue, label
    /// (label=env=prod), owner, subject, external-id, worker, created-by, trigger, id, since, until, ended-since,
    /// ended-until
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = Term::parse)]
    pub terms: Vec<Term>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

impl Filter {
    /// The filter for the wire; `since` means created since.
    ///
    /// # Errors
    ///
    /// See [`join`].
    pub fn wire(&self, now: Timestamp) -> Result<JobFilter, Failure> {
        self.joined(Key::Since, now)
    }

    /// The filter for the wire; `since` means ended since.
    ///
    /// # Errors
    ///
    /// See [`join`].
    pub fn wire_ended(&self, now: Timestamp) -> Result<JobFilter, Failure> {
        self.joined(Key::EndedSince, now)
    }

    fn joined(&self, since: fn(Since) -> Key, now: Timestamp) -> Result<JobFilter, Failure> {
        let mut terms: Vec<Term> = Vec::new();
        let mut add = |flag, text: String, key| terms.push(Term::of_flag(flag, text, key));
        add("--type", self.types.join(","), Key::Types(self.types.clone()));
        add("--category", self.categories.join(","), Key::Categories(self.categories.clone()));
        add("--state", String::new(), Key::States(self.states.clone()));
        add("--queue", self.queues.join(","), Key::Queues(self.queues.clone()));
        for (key, value) in &self.labels {
            add("--label", format!("{key}={value}"), Key::Label(key.clone(), value.clone()));
        }
        if let Some(owner) = &self.owner {
            add("--owner", owner.clone(), Key::Owner(owner.clone()));
        }
        if let Some(moment) = self.since {
            add("--since", written(moment), since(moment));
        }
        terms.extend_from_slice(&self.terms);
        join(&terms, now)
    }

    /// Whether states are asked for.
    #[must_use]
    pub fn has_states(&self) -> bool {
        !self.states.is_empty() || self.terms.iter().any(Term::is_state)
    }

    /// Refuses states beside a flag that means some itself.
    ///
    /// # Errors
    ///
    /// A usage error that names the flag.
    pub fn without_states(&self, flag: &str) -> Result<(), Failure> {
        if self.has_states() {
            return Err(Failure::usage(flag, "cannot be used with states of a filter"));
        }
        Ok(())
    }

    /// At most so many, or as many as is usual for the command.
    #[must_use]
    pub fn at_most(&self, usual: usize) -> usize {
        self.limit.map_or(usual, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// Whether more is asked for than types and categories.
    #[must_use]
    pub fn narrows(&self) -> bool {
        let by_more = !self.states.is_empty() || !self.queues.is_empty() || !self.labels.is_empty();
        let by_terms = self.terms.iter().any(|term| !term.is_of_type());
        by_more || by_terms || self.owner.is_some() || self.since.is_some()
    }

    /// What is asked for, in words for people: ` of type a, b, in state FAILED`; empty if it is everything.
    #[must_use]
    pub fn words(&self) -> String {
        let states: Vec<&str> = self.states.iter().map(|state| names::short(*state)).collect();
        let labels = self.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let labels: Vec<String> = labels.collect();
        let terms: Vec<&str> = self.terms.iter().map(Term::text).collect();
        let parts = [
            ("of type", self.types.join(", ")),
            ("of category", self.categories.join(", ")),
            ("in state", states.join(", ")),
            ("in queue", self.queues.join(", ")),
            ("labelled", labels.join(", ")),
            ("for", self.owner.clone().unwrap_or_default()),
            ("since", self.since.map(since).unwrap_or_default()),
            ("with", terms.join(", ")),
        ];
        let said = parts.iter().filter(|(_, what)| !what.is_empty());
        let said: Vec<String> = said.map(|(how, what)| format!("{how} {what}")).collect();
        if said.is_empty() { String::new() } else { format::plain(&format!(" {}", said.join(" "))) }
    }
}

fn since(since: Since) -> String {
    match since {
        Since::Ago(_) => format!("{} ago", written(since)),
        Since::At(_) => written(since),
    }
}

fn written(since: Since) -> String {
    match since {
        Since::Ago(span) => format::span(span),
        Since::At(moment) => format::moment(&parse::wire_moment(moment), 0),
    }
}
