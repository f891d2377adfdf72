use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};

use super::super::{Options, SqliteStore};
use super::*;

const MAKE: &str = "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)";
const WRITE: &str = "INSERT INTO notes (id, text) VALUES (?2, ?1)";
const READ: &str = "SELECT text FROM notes WHERE id >= ?1 ORDER BY id";

struct Text(String);

impl FromRow<'_, SqliteRow> for Text {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        row.try_get(0).map(Self)
    }
}

async fn store(folder: &tempfile::TempDir) -> SqliteStore {
    let url = folder.path().join("jobs.db").display().to_string();
    SqliteStore::open(Options { url, read_pool: 1 }).await.expect("a store")
}

async fn texts(writer: &mut Writer) -> Vec<String> {
    let mut script = writer.begin().await.expect("a script");
    let place = script.add(READ);
    script.bind(0_i64);
    let mut answers = writer.run(script).await.expect("rows");
    answers.rows(place).expect("texts").into_iter().map(|Text(text)| text).collect()
}

#[tokio::test]
async fn each_statement_of_a_script_has_arguments_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder).await;
    let mut writer = store.writer.lock().await;
    let mut script = writer.begin().await.expect("a script");
    script.add(MAKE);
    script.add(WRITE);
    script.bind("one").bind(1_i64);
    let last = script.add(WRITE);
    script.bind("two").bind(2_i64);
    let answers = writer.commit(script).await.expect("a commit");
    assert_eq!((answers.affected(last), answers.last_insert_rowid(last)), (1, Some(2)));
    assert_eq!(texts(&mut writer).await, ["one", "two"]);
}

#[tokio::test]
async fn script_that_fails_leaves_nothing_behind_and_the_writer_usable() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder).await;
    let mut writer = store.writer.lock().await;
    let mut script = writer.begin().await.expect("a script");
    script.add(MAKE);
    writer.commit(script).await.expect("a commit");
    for commits in [true, false] {
        let mut script = writer.begin().await.expect("a script");
        script.add(WRITE);
        script.bind("one").bind(1_i64);
        script.add(WRITE);
        script.bind("again").bind(1_i64);
        let failed = if commits { writer.commit(script).await } else { writer.run(script).await };
        assert!(matches!(failed.err(), Some(Error::Rejected(_))));
        assert!(texts(&mut writer).await.is_empty());
    }
}

#[tokio::test]
async fn script_that_is_not_committed_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder).await;
    let mut writer = store.writer.lock().await;
    let mut script = writer.begin().await.expect("a script");
    script.add(MAKE);
    writer.commit(script).await.expect("a commit");
    let mut script = writer.begin().await.expect("a script");
    script.add(WRITE);
    script.bind("one").bind(1_i64);
    writer.run(script).await.expect("a row");
    assert!(writer.resume().is_ok(), "its transaction is open");
    // Whoever begins next finds it dropped half-way.
    assert!(texts(&mut writer).await.is_empty());
    writer.rollback().await;
    assert!(writer.resume().is_err(), "no transaction is open");
}
