//! From waiting jobs to waiting workers.
//!
//! Owns: what is known of where jobs wait ([`Line`]), single calls that wait for jobs ([`Waiter`]),
//! and the rounds that match both ([`Dispatcher`]): claim what rules are about, lock candidates, admit
//! (pure), start or skip, commit, hand out; and the same for jobs that a worker starts by itself
//! ([`Starter`]).
//! Does not own: who is attached (`session`), the rules (`domain::admission`).
//! Invariants: a job is handed out only after its start is durable; a start that cannot be handed out
//! is released at once; a hint that is lost is made good by the poll; nothing starts past a rule, for
//! what a rule counts stands still while a round holds it.

mod depths;
mod hand_out;
mod line;
mod outlook;
mod round;
mod ruling;
mod starter;
mod taker;
mod waiter;

pub use line::Line;
pub(super) use round::Dispatcher;
pub(super) use ruling::{Ruled, Ruling};
pub(super) use starter::{Starter, Wish};
pub use waiter::Waiter;
pub(super) use waiter::Waiters;
