//! The cluster that tests make for themselves.

use sqlx::Connection as _;

use crate::cluster::{self, Cluster, Disk};

async fn count(cluster: &Cluster, database: &str) -> i64 {
    let mut connection = cluster.connect(database).await;
    let count = sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE tablename = 'kept'");
    let count = count.fetch_one(&mut connection).await.expect("a count");
    connection.close().await.expect("it closes");
    count
}

#[tokio::test]
async fn killed_cluster_starts_again_with_what_it_held() {
    let Some(cluster) = Cluster::start(Disk::Lazy) else { return };
    let database = cluster.create(None).await;
    let mut connection = cluster.connect(&database).await;
    sqlx::query("CREATE TABLE kept (id int)").execute(&mut connection).await.expect("a table");
    cluster.kill();
    let gone = sqlx::query("SELECT 1").execute(&mut connection).await;
    assert!(gone.is_err(), "it still answers");
    cluster.start_again();
    assert_eq!(count(&cluster, &database).await, 1);
    cluster.stop();
    cluster.start_again();
    assert_eq!(count(&cluster, &database).await, 1);
    let url = cluster.url(&database);
    drop(cluster);
    assert!(sqlx::PgConnection::connect(&url).await.is_err(), "it outlives its owner");
}

#[tokio::test]
async fn each_database_of_the_shared_cluster_is_apart() {
    let Some(cluster) = cluster::shared() else { return };
    let one = cluster.create(None).await;
    let mut connection = cluster.connect(&one).await;
    sqlx::query("CREATE TABLE kept (id int)").execute(&mut connection).await.expect("a table");
    connection.close().await.expect("it closes");
    let other = cluster.create(None).await;
    let like_one = cluster.create(Some(&one)).await;
    assert_eq!(count(cluster, &other).await, 0);
    assert_eq!(count(cluster, &like_one).await, 1);
    for database in [one, other, like_one] {
        cluster.remove(&database).await;
    }
}
