//! What is done when a run is due and another one of the type is not over.

/// What happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OverlapPolicy {
    /// The new one is recorded as SKIPPED with OVERLAP.
    #[default]
    Skip,
    /// Both run.
    Allow,
    /// The new one waits until the other is over; with one waiting already it is skipped.
    QueueOne,
    /// The other one is asked to stop, and the new one waits until it is over.
    CancelRunning,
}

crate::domain::written::short_names!(OverlapPolicy {
    Skip = "SKIP",
    Allow = "ALLOW",
    QueueOne = "QUEUE_ONE",
    CancelRunning = "CANCEL_RUNNING",
});

/// What is done with a run that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// It is made.
    Create,
    /// It is recorded as SKIPPED with OVERLAP.
    Skip,
    /// It is made, and starts when no other run of the type is going.
    Queue,
    /// All others of the type that are not over are cancelled with cause OVERLAP, then it is queued.
    CancelThenQueue,
}

impl OverlapPolicy {
    /// Decides for a run that is due while so many others of its type run and wait.
    #[must_use]
    pub const fn decide(self, running: u64, pending: u64) -> Overlap {
        let others = running > 0 || pending > 0;
        match self {
            Self::Skip if others => Overlap::Skip,
            Self::QueueOne if pending > 0 => Overlap::Skip,
            Self::QueueOne if running > 0 => Overlap::Queue,
            Self::CancelRunning if others => Overlap::CancelThenQueue,
            Self::Skip | Self::Allow | Self::QueueOne | Self::CancelRunning => Overlap::Create,
        }
    }

    /// Whether a scheduled run starts only while no other run of its type is going.
    #[must_use]
    pub const fn starts_alone(self) -> bool {
        match self {
            Self::Skip | Self::Allow => false,
            Self::QueueOne | Self::CancelRunning => true,
        }
    }
}
