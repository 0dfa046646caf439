//! What the platform promises about waiting for a database, on a real one.

use std::time::{Duration, Instant};

use service::{
    ErrorChain,
    postgres::{NotReady, PostgresSettings},
    settings::AppEnv,
};

const LIMIT: Duration = Duration::from_secs(30);

async fn wait(change: impl FnOnce(&str) -> String) -> Result<(), NotReady> {
    let url = change(&fixtures::required_variable("AUTH_DATABASE_URL"));
    let settings = PostgresSettings::from_url("AUTH_DATABASE_URL", &url, AppEnv::Development).unwrap();
    settings.wait_until_ready(LIMIT).await
}

#[tokio::test]
async fn a_database_that_is_there_is_ready() {
    wait(str::to_owned).await.unwrap();
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_not_waited_for() {
    let began = Instant::now();
    let error = wait(|url| format!("{url}?dbname=no_such_database")).await.unwrap_err();
    assert!(matches!(error, NotReady::Refused { .. }), "{error:?}");
    let text = ErrorChain(&error).to_string();
    assert!(text.contains("from AUTH_DATABASE_URL") && text.contains("no_such_database"), "{text}");
    assert!(began.elapsed() < LIMIT);
}

#[tokio::test]
async fn a_wrong_password_is_not_waited_for_and_not_shown() {
    let error = wait(|url| format!("{url}?password=hunter2")).await.unwrap_err();
    assert!(matches!(error, NotReady::Refused { .. }), "{error:?}");
    assert!(ErrorChain(&error).to_string().contains("password authentication failed"), "{error:?}");
    assert!(!format!("{error:?} {}", ErrorChain(&error)).contains("hunter2"));
}
