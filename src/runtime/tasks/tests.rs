//! What is said of vital tasks.

use std::error::Error as _;

use super::*;

async fn dies() {
    tokio::task::yield_now().await;
    panic!("out of {}", "ink")
}

#[tokio::test]
async fn a_vital_task_that_panics_is_named() {
    let tasks = Tasks::new();
    assert!(tasks.failure().is_none());
    tasks.beside().spawn_vital("writer", &Shutdown::new(), dies());
    let failure = tasks.failed().await;
    assert_eq!(failure.to_string(), r#"the task "writer" panicked: out of ink"#);
    tasks.spawn_vital("later", &Shutdown::new(), async {});
    tasks.ended().await;
    assert_eq!(tasks.failure().expect("a failure").task, "writer", "the first failure counts");
}

#[tokio::test]
async fn a_vital_task_fails_by_ending_before_it_is_told_to() {
    let (tasks, shutdown) = (Tasks::new(), Shutdown::new());
    let until = shutdown.clone();
    tasks.spawn_vital("patient", &shutdown, async move { until.signalled().await });
    shutdown.signal();
    tasks.ended().await;
    assert!(tasks.failure().is_none());

    let tasks = Tasks::new();
    tasks.spawn_vital("hasty", &Shutdown::new(), async {});
    assert_eq!(tasks.failed().await.to_string(), r#"the task "hasty" ended by itself"#);
}

#[tokio::test]
async fn a_vital_task_that_fails_says_why() {
    let tasks = Tasks::new();
    let fails = async { Err(std::io::Error::other("the port is gone")) };
    tasks.spawn_vital("server", &Shutdown::new(), fails);
    let failure = tasks.failed().await;
    assert_eq!(failure.source().expect("a cause").to_string(), "the port is gone");
}
