//! What every store must do, asked of each of them; and what only the SQLite and only the
//! PostgreSQL one must do.

mod changes;
#[path = "../cluster/mod.rs"]
mod cluster;
mod cluster_life;
mod commit;
mod concurrent;
mod differential;
mod events;
mod figures;
mod keys;
mod lists;
mod logs;
mod outages;
mod pooler;
mod postgres;
mod purge;
mod quiet;
mod rounds;
mod rules;
mod servers;
mod sessions;
mod sqlite;
mod starts;
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
        mod read_committed {
            $(#[tokio::test]
            async fn $behaviour() {
                super::$behaviour(&jobplane::store::memory::MemoryStore::read_committed()).await;
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
