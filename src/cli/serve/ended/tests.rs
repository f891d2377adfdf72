use std::sync::Arc;

use anyhow::Context as _;

use super::*;

fn io(kind: io::ErrorKind) -> anyhow::Error {
    Err::<(), _>(io::Error::from(kind)).context("cannot listen on it").unwrap_err()
}

#[test]
fn what_another_process_has_is_told_apart_from_what_cannot_be_used() {
    assert_eq!(by(&io(io::ErrorKind::AddrInUse)), Exit::Taken);
    assert_eq!(by(&io(io::ErrorKind::AddrNotAvailable)), Exit::Taken);
    assert_eq!(by(&io(io::ErrorKind::PermissionDenied)), Exit::Io);
    let wrong = config::Invalid { setting: "x", given: "1".to_owned(), allowed: "2".to_owned() };
    assert_eq!(by(&wrong.into()), Exit::Usage);
    let cause = Arc::new(io::Error::from(io::ErrorKind::TimedOut));
    let away = Err::<(), _>(store::Error::Unavailable(cause)).context("the store does not answer");
    assert_eq!(by(&away.unwrap_err()), Exit::Unreachable);
    assert_eq!(by(&anyhow::anyhow!("a task died")), Exit::JobFailed);
}

#[tokio::test]
async fn a_database_is_told_by_what_has_to_be_done_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |url: String| {
        let config = config::Config { database_url: url, ..config::Config::default() };
        by(&crate::app::migrate(&config, false).await.unwrap_err())
    };
    assert_eq!(open("mysql://here/jobs".to_owned()).await, Exit::Usage);
    assert_eq!(open("postgres://[::1/jobs".to_owned()).await, Exit::Usage);
    let missing = folder.path().join("missing").join("jobs.db");
    assert_eq!(open(missing.display().to_string()).await, Exit::Io);
}
