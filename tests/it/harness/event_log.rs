//! What the server under test logs.

use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

/// Every event of level INFO and above, as text.
#[derive(Clone, Default)]
pub struct EventLog(Arc<Mutex<Vec<(Level, String)>>>);

impl EventLog {
    /// A log that takes what happens on this thread, until the guard is dropped.
    pub fn open() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::registry().with(log.clone());
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The events of a level.
    pub fn of_level(&self, level: Level) -> Vec<String> {
        let events = self.0.lock();
        events.iter().filter(|event| event.0 == level).map(|event| event.1.clone()).collect()
    }

    /// Forgets the errors.
    pub fn forgive(&self) {
        self.0.lock().retain(|event| event.0 != Level::ERROR);
    }

    /// How many events contain `text`.
    pub fn count(&self, text: &str) -> usize {
        self.0.lock().iter().filter(|event| event.1.contains(text)).count()
    }
}

struct AsText(String);

impl Visit for AsText {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let name = if field.name() == "message" { "" } else { field.name() };
        let _ = write!(self.0, " {name}={value:?}");
    }
}

impl<S: Subscriber> Layer<S> for EventLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level <= Level::INFO {
            let mut text = AsText(event.metadata().target().to_owned());
            event.record(&mut text);
            self.0.lock().push((level, text.0));
        }
    }
}
