//! What every store must do, asked of each of them; and what only the SQLite and only the
//! PostgreSQL one must do.

mod changes;
#[path = "../cluster/mod.rs"]
mod cluster;
mod cluster_life;
mod commit;
mod differential;
mod keys;
mod lists;
mod logs;
mod postgres;
mod rounds;
mod rules;
mod sessions;
mod sqlite;
mod world;

/// Makes a test of each behaviour for each store.
macro_rules! on_each_store {
    ($($behaviour:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $behaviour() {
                super::$behaviour(&jobplane::store::memory::MemoryStore::new()).await;
            })+
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $behaviour() {
                let folder = tempfile::tempdir().expect("a folder");
                super::$behaviour(&crate::world::sqlite(folder.path()).await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $behaviour() {
                let Some(database) = crate::world::postgres().await else { return };
                super::$behaviour(&database.store).await;
                database.remove().await;
            })+
        }
    };
}
pub(crate) use on_each_store;
