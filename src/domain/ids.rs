//! Identities and names. A name that exists is a valid name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::limits::NAME_BYTES_MAX;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// A job: a UUIDv7 made by the server, so ids sort by creation.
    JobId
);
uuid_id!(
    /// One attach of one worker process.
    SessionId
);
uuid_id!(
    /// One commit of the write path; written into the change log with it.
    BatchId
);

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`NAME_BYTES_MAX`].
    #[error("must have at most {NAME_BYTES_MAX} characters, has {0}")]
    TooLong(usize),
    /// A character outside the alphabet, or a first one that is no letter or digit.
    #[error("must match [A-Za-z0-9][A-Za-z0-9._:/-]*, {0:?} does not fit")]
    Character(char),
    /// The prefix `jobplane.` belongs to the server.
    #[error("must not start with the reserved prefix \"jobplane.\"")]
    Reserved,
}

/// The prefix of names that only the server gives.
pub const RESERVED_PREFIX: &str = "jobplane.";

/// Checks a name that a caller gives.
fn check_name(text: &str) -> Result<(), NameError> {
    check_any(text)?;
    if text.starts_with(RESERVED_PREFIX) { Err(NameError::Reserved) } else { Ok(()) }
}

/// Checks a name that may be one of the server's own.
fn check_any(text: &str) -> Result<(), NameError> {
    let Some(first) = text.chars().next() else {
        return Err(NameError::Empty);
    };
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong(text.len()));
    }
    if !first.is_ascii_alphanumeric() {
        return Err(NameError::Character(first));
    }
    match text
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '/' | '-')))
    {
        Some(stranger) => Err(NameError::Character(stranger)),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` against the rule for names.
            ///
            /// # Errors
            /// [`NameError`] says which part of the rule it breaks.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check_name(text).map(|()| Self(text.into()))
            }

            /// A name as it is stored or filtered by: one of the server's own, too.
            ///
            /// # Errors
            /// [`NameError`] says which part of the rule it breaks.
            pub fn any(text: &str) -> Result<Self, NameError> {
                check_any(text).map(|()| Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether it is one of the server's own.
            #[must_use]
            pub fn is_reserved(&self) -> bool {
                self.0.starts_with(RESERVED_PREFIX)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of a kind of work.
    JobType
);
impl JobType {
    /// The type of the jobs that run bulk commands.
    #[must_use]
    pub fn bulk() -> Self {
        Self("jobplane.bulk".into())
    }
}

name!(
    /// Where jobs wait.
    QueueName
);
impl QueueName {
    /// Where the jobs wait that run bulk commands: no worker can name it.
    #[must_use]
    pub fn bulk() -> Self {
        Self("jobplane.bulk".into())
    }
}

name!(
    /// A coarse group of types.
    Category
);
name!(
    /// An outside quota.
    QuotaName
);
name!(
    /// A worker's name, for people; liveness never hangs on it.
    WorkerName
);
impl WorkerName {
    /// What runs bulk commands: the server itself.
    #[must_use]
    pub fn bulk() -> Self {
        Self("jobplane.bulk".into())
    }
}

const QUEUE_DEFAULT: &str = "default";

impl Default for QueueName {
    fn default() -> Self {
        Self(QUEUE_DEFAULT.into())
    }
}

impl QueueName {
    /// Whether it is the one of jobs that name none.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.as_str() == QUEUE_DEFAULT
    }
}

/// A worker process: a UUID chosen by the worker, fresh for each process start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// Accepts an empty text (an unnamed process) or a UUID: names are used again by the next
    /// process of the same pod or host, and liveness must not hang on them.
    ///
    /// # Errors
    /// If it is neither.
    pub fn new(text: &str) -> Result<Self, uuid::Error> {
        if !text.is_empty() {
            Uuid::try_parse(text)?;
        }
        Ok(Self(text.into()))
    }

    /// The id as text, empty if the process gave none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
