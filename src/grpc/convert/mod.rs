//! From messages to the domain and back.
//!
//! Owns: the check of every field at the door, with the bounds of [`limits`](crate::domain::limits).
//! Does not own: what is done with a request.
//! Entry: `<noun>::from_proto`, which notes everything that is wrong in a
//! [`Violations`](crate::domain::validate::Violations) and answers `None` if anything was; and
//! `<noun>::to_proto`, which cannot fail.
//! Invariants: a value that came through is within its bounds; the path of a wrong field is spelled
//! out only when it is wrong; no more is noted than a message of bounded length can say.

pub mod attempt;
pub mod cancel;
pub mod defaults;
pub mod enums;
pub mod error;
pub mod event;
pub mod filter;
pub mod ids;
pub mod job;
pub mod job_type;
pub mod labels;
pub mod logs;
pub mod names;
pub mod number;
pub mod opaque;
pub mod path;
pub mod progress;
pub mod queue;
pub mod quota;
pub mod rate;
pub mod retry;
pub mod schedule;
pub mod spec;
pub mod stats;
pub mod status;
pub mod text;
pub mod time;
pub mod usage;
pub mod worker;

#[cfg(test)]
mod tests;

pub use job::View;
pub use path::Path;
