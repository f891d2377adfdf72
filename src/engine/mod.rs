//! The use cases.

mod error;

pub use error::{Error, Result};
