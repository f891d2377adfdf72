//! `--filter KEY=VALUE`: all that the server can filter by, in one flag.

use std::mem;

use crate::cli::exit::Failure;
use crate::cli::names::{self, Named};
use crate::cli::parse::{self, Since};
use crate::domain::Timestamp;
use crate::proto::v1::{JobFilter, JobState, JobTrigger};

/// One `KEY=VALUE`, or a flag that says the same. Terms of the same key add up where a job may be any of several; else
/// there is one ([`join`]).
#[derive(Debug, Clone)]
pub struct Term {
    text: String,
    key: Key,
    /// The flag that it was written behind.
    flag: &'static str,
}

/// What a term says.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    /// Any of these types.
    Types(Vec<String>),
    /// Any of these categories.
    Categories(Vec<String>),
    /// Any of these states.
    States(Vec<JobState>),
    /// Any of these queues.
    Queues(Vec<String>),
    /// Any of these jobs.
    Ids(Vec<String>),
    /// Made in any of these ways.
    Triggers(Vec<JobTrigger>),
    /// With this label.
    Label(String, String),
    /// For this owner.
    Owner(String),
    /// About this.
    Subject(String),
    /// With this id elsewhere.
    ExternalId(String),
    /// At this worker.
    Worker(String),
    /// Made by this caller.
    CreatedBy(String),
    /// Created since.
    Since(Since),
    /// Created before.
    Until(Since),
    /// Ended since.
    EndedSince(Since),
    /// Ended before.
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
        Ok(Self { text: text.to_owned(), key, flag: "--filter" })
    }

    /// What a flag of its own says.
    #[must_use]
    pub fn of_flag(flag: &'static str, text: String, key: Key) -> Self {
        Self { text, key, flag }
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

    /// Whether another says something else of what a job has one of.
    fn contradicts(&self, other: &Self) -> bool {
        let alike = mem::discriminant(&self.key) == mem::discriminant(&other.key);
        alike && self.key != other.key && self.key.is_single(&other.key)
    }

    fn put(&self, filter: &mut JobFilter, now: Timestamp) {
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

impl Key {
    /// Whether a filter holds only one of it and `other`, which is of the same kind.
    fn is_single(&self, other: &Self) -> bool {
        match self {
            Self::Types(_)
            | Self::Categories(_)
            | Self::States(_)
            | Self::Queues(_)
            | Self::Ids(_)
            | Self::Triggers(_) => false,
            Self::Label(key, _) => matches!(other, Self::Label(of, _) if of == key),
            Self::Owner(_)
            | Self::Subject(_)
            | Self::ExternalId(_)
            | Self::Worker(_)
            | Self::CreatedBy(_)
            | Self::Since(_)
            | Self::Until(_)
            | Self::EndedSince(_)
            | Self::EndedUntil(_) => true,
        }
    }
}

/// All of them as one filter.
///
/// # Errors
///
/// A usage error that names both if two say different things of what a job has one of.
pub fn join(terms: &[Term], now: Timestamp) -> Result<JobFilter, Failure> {
    let mut filter = JobFilter::default();
    for (at, term) in terms.iter().enumerate() {
        if let Some(other) = terms[..at].iter().find(|other| term.contradicts(other)) {
            let with = format!("{} {}", other.flag, other.text);
            return Err(Failure::usage(
                format!("{} {}", term.flag, term.text),
                format!("cannot be used with {with}: only one of the two can be asked for"),
            ));
        }
        term.put(&mut filter, now);
    }
    Ok(filter)
}

/// Values of an enum, with commas between them.
fn named<E: Named>(value: &str) -> Result<Vec<E>, String> {
    value.split(',').map(names::parse::<E>).collect()
}
