//! `--filter KEY=VALUE`: all that the server can filter by, in one flag.

use crate::cli::names::{self, Named};
use crate::cli::parse::{self, Since};
use crate::domain::Timestamp;
use crate::proto::v1::{JobFilter, JobState, JobTrigger};

/// One `KEY=VALUE`. Terms of the same key add up where a job may be any of several; else the last one counts.
#[derive(Debug, Clone)]
pub struct Term {
    text: String,
    key: Key,
}

/// What a term says.
#[derive(Debug, Clone)]
enum Key {
    Types(Vec<String>),
    Categories(Vec<String>),
    States(Vec<JobState>),
    Queues(Vec<String>),
    Ids(Vec<String>),
    Triggers(Vec<JobTrigger>),
    Label(String, String),
    Owner(String),
    Subject(String),
    ExternalId(String),
    Worker(String),
    CreatedBy(String),
    Since(Since),
    Until(Since),
    EndedSince(Since),
    EndedUntil(Since),
}

impl Term {
    /// Reads a term.
    ///
    /// # Errors
    ///
    /// A text that is none, with what is wrong about it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(_, value)| !value.is_empty());
        let (key, value) = parts.ok_or("want KEY=VALUE, for instance type=sync")?;
        let any = || value.split(',').map(ToOwned::to_owned).collect();
        let one = || value.to_owned();
        let moment = || parse::since(value);
        let key = match key {
            "type" => Key::Types(any()),
            "category" => Key::Categories(any()),
            "state" => Key::States(named(value)?),
            "queue" => Key::Queues(any()),
            "id" => Key::Ids(any()),
            "trigger" => Key::Triggers(named(value)?),
            "label" => parse::label(value).map(|(key, value)| Key::Label(key, value))?,
            "owner" => Key::Owner(one()),
            "subject" => Key::Subject(one()),
            "external-id" => Key::ExternalId(one()),
            "worker" => Key::Worker(one()),
            "created-by" => Key::CreatedBy(one()),
            "since" => Key::Since(moment()?),
            "until" => Key::Until(moment()?),
            "ended-since" => Key::EndedSince(moment()?),
            "ended-until" => Key::EndedUntil(moment()?),
            _ => return Err(format!("there is no filter by {key:?}; see --help")),
        };
        Ok(Self { text: text.to_owned(), key })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is about states.
    #[must_use]
    pub const fn is_state(&self) -> bool {
        matches!(self.key, Key::States(_))
    }

    /// Whether it is about what a whole type has: its name, its category.
    #[must_use]
    pub const fn is_of_type(&self) -> bool {
        matches!(self.key, Key::Types(_) | Key::Categories(_))
    }

    /// Adds it to a filter.
    pub fn put(&self, filter: &mut JobFilter, now: Timestamp) {
        let wire = |since: &Since| Some(parse::wire_moment(since.moment(now)));
        match &self.key {
            Key::Types(any) => filter.types.extend_from_slice(any),
            Key::Categories(any) => filter.categories.extend_from_slice(any),
            Key::States(any) => filter.states.extend(any.iter().copied().map(i32::from)),
            Key::Queues(any) => filter.queues.extend_from_slice(any),
            Key::Ids(any) => filter.job_ids.extend_from_slice(any),
            Key::Triggers(any) => filter.triggers.extend(any.iter().copied().map(i32::from)),
            Key::Label(key, value) => {
                filter.labels.insert(key.clone(), value.clone());
            }
            Key::Owner(owner) => filter.owner.clone_from(owner),
            Key::Subject(subject) => filter.subject.clone_from(subject),
            Key::ExternalId(id) => filter.external_id.clone_from(id),
            Key::Worker(worker) => filter.worker_id.clone_from(worker),
            Key::CreatedBy(caller) => filter.created_by.clone_from(caller),
            Key::Since(since) => filter.create_time_after = wire(since),
            Key::Until(until) => filter.create_time_before = wire(until),
            Key::EndedSince(since) => filter.end_time_after = wire(since),
            Key::EndedUntil(until) => filter.end_time_before = wire(until),
        }
    }
}

/// Values of an enum, with commas between them.
fn named<E: Named>(value: &str) -> Result<Vec<E>, String> {
    value.split(',').map(names::parse::<E>).collect()
}
