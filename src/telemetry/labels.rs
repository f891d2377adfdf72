//! Label values, as many as there may be.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// What everything beyond the bound counts as.
pub(super) const OTHER: &str = "other";

/// A name as a label's value; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Label(Arc<str>);

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&&*self.0, encoder)
    }
}

/// The first so many names that come get a label of their own, the rest share one.
#[derive(Debug)]
pub(super) struct Labels {
    max: usize,
    known: RwLock<HashMap<Arc<str>, Label>>,
    other: Label,
}

impl Labels {
    pub(super) fn new(max: usize) -> Self {
        Self { max, known: RwLock::default(), other: Label(OTHER.into()) }
    }

    /// The label of `name`.
    pub(super) fn of(&self, name: &str) -> Label {
        {
            let known = self.known.read();
            if let Some(label) = known.get(name) {
                return label.clone();
            }
            if known.len() >= self.max {
                return self.other.clone();
            }
        }
        let mut known = self.known.write();
        if known.len() >= self.max && !known.contains_key(name) {
            return self.other.clone();
        }
        let name: Arc<str> = name.into();
        known.entry(name.clone()).or_insert(Label(name)).clone()
    }
}
