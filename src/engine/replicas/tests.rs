//! What other servers are told of, by a server whose loops do not run.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::domain::QueueName;
use crate::domain::queue::QueueSettings;
use crate::engine::{Access, Engine, Stops};
use crate::runtime::{Clock, LoopBoard, Shutdown, Tasks};
use crate::store::memory::MemoryStore;
use crate::store::{News, RuleKey, RuleKind, RuleWrite, Store};
use crate::telemetry::Metrics;

/// Nothing is told that is not told by then: time that stands still passes at once.
const LONG: Duration = Duration::from_secs(60);

fn server(store: Arc<dyn Store>, tasks: &Tasks) -> Engine {
    let (shutdown, closed) = (Shutdown::new(), Shutdown::new());
    let stops = Stops { tasks, writer: tasks, shutdown, closed };
    let access = Access {
        timeout: Duration::from_secs(10),
        lanes: 2,
        max_running: 0,
        house: crate::config::House::default(),
        facets: None,
        max_pending: 0,
        telling: crate::config::Telling::default(),
    };
    Engine::start_up(store, Clock::new(), access, Metrics::new(), LoopBoard::default(), stops)
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_all_go_by_is_told_and_what_a_start_leaves_of_a_rate_is_not() {
    let tasks = Tasks::new();
    let store = MemoryStore::shared(Clock::new());
    let other = store.another().unwrap();
    let server = server(Arc::new(store), &tasks);
    let told = || timeout(LONG, other.told());
    while told().await.is_ok() {}
    let write = |kind| {
        let settings = QueueSettings { paused: true, ..QueueSettings::default() };
        let key = RuleKey::new(kind, QueueName::default().as_str());
        vec![RuleWrite::put(key, 0, &settings).unwrap()].into()
    };
    server.write_rules(write(RuleKind::Rate)).await.unwrap();
    assert!(told().await.is_err(), "nobody is woken by it");
    server.write_rules(write(RuleKind::Queue)).await.unwrap();
    let news = told().await.expect("a hint").unwrap();
    assert_eq!(news, News { changes: true, progress: false });
}
