//! From waiting jobs to waiting workers.
//!
//! Owns: what is known of where jobs wait ([`Line`]), single calls that wait for jobs ([`Waiter`]),
//! and the rounds that match both ([`Dispatcher`]): lock candidates, pick (pure), start, commit, hand
//! out.
//! Does not own: who is attached (`session`), the rules of picking (`domain::admission`).
//! Invariants: a job is handed out only after its start is durable; a start that cannot be handed out
//! is released at once; a hint that is lost is made good by the poll.

mod line;
mod round;
mod taker;
mod waiter;

pub use line::Line;
pub(super) use round::Dispatcher;
pub use waiter::Waiter;
pub(super) use waiter::Waiters;
