//! Connections that break while nobody uses them.

use fixtures::{auth_database, eventually};
use service::{
    postgres::{PostgresSettings, is_unavailable},
    settings::AppEnv,
};

#[tokio::test]
async fn a_connection_that_broke_while_it_was_idle_is_replaced_and_costs_one_refusal_at_the_most() {
    let database = auth_database().await;
    let separator = if database.url.contains('?') { '&' } else { '?' };
    let url = format!("{}{separator}connection_limit=1", database.url);
    let pool = PostgresSettings::from_url("AUTH_DATABASE_URL", &url, AppEnv::Development).unwrap().connect_lazy("test");
    let server_process = async || sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(&pool).await;
    let first = server_process().await.unwrap();
    sqlx::query("SELECT pg_terminate_backend($1)").bind(first).execute(&database.pool).await.unwrap();
    eventually("it is gone", async || {
        let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM pg_stat_activity WHERE pid = $1").bind(first);
        (left.fetch_one(&database.pool).await.unwrap() == 0).then_some(())
    })
    .await;
    let mut refused = 0;
    let second = loop {
        match server_process().await {
            Ok(process) => break process,
            Err(error) => {
                assert!(is_unavailable(&error), "{error}");
                refused += 1;
            }
        }
    };
    assert_ne!(second, first);
    assert!(refused <= 1, "{refused}");
}
