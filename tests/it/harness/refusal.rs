//! What a refused caller is told.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The facts of a refusal.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// The reason of its `ErrorInfo`.
    pub reason: String,
    /// The metadata of its `ErrorInfo`.
    pub facts: HashMap<String, String>,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// The fields that are wrong.
    pub fields: Vec<String>,
}

impl Refusal {
    /// Reads a status.
    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let fields = details.bad_request().map(|bad| {
            bad.field_violations.iter().map(|violation| violation.field.clone()).collect()
        });
        Self {
            code: status.code(),
            reason: info.map_or_else(
                || format!("{:?}: {}", status.code(), status.message()),
                |info| info.reason.clone(),
            ),
            facts: info.map(|info| info.metadata.clone()).unwrap_or_default(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            fields: fields.unwrap_or_default(),
        }
    }

    /// Reads a status that came in a message.
    pub fn of_message(status: &tonic_types::pb::Status) -> Self {
        use prost::Message as _;
        let code = Code::from_i32(status.code);
        let details = status.encode_to_vec();
        Self::of(&Status::with_details(code, status.message.clone(), details.into()))
    }

    /// A fact, empty if it was not told.
    pub fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }
}

/// Answers that ought to be refusals.
pub trait Told {
    /// The refusal.
    fn refusal(self) -> Refusal;
    /// The reason of the refusal.
    fn reason(self) -> String;
}

impl<T: std::fmt::Debug> Told for Result<T, Status> {
    fn refusal(self) -> Refusal {
        match self {
            Ok(answer) => panic!("was not refused: {answer:?}"),
            Err(status) => Refusal::of(&status),
        }
    }

    fn reason(self) -> String {
        self.refusal().reason
    }
}
