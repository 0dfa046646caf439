use std::{convert::Infallible, process, time::Duration};

use service::{Lifecycle, lifecycle::Outcome};
use tokio::sync::mpsc;

use crate::within_deadline;

/// A signal goes to the whole process, so this is the one test that listens to them.
#[tokio::test]
async fn the_first_signal_asks_and_the_second_makes() {
    let lifecycle = Lifecycle::with_signals(Duration::from_hours(1)).unwrap();
    let (soft, hard) = (lifecycle.soft(), lifecycle.hard());
    let (saw, mut seen) = mpsc::channel(2);
    lifecycle.spawn("busy", async move {
        soft.cancelled().await;
        saw.send("soft").await.ok();
        hard.cancelled().await;
        saw.send("hard").await.ok();
        Ok::<_, Infallible>(())
    });
    let ended = tokio::spawn(lifecycle.run_until_stopped());

    raise("TERM").await;
    assert_eq!(within_deadline("soft is cancelled", seen.recv()).await, Some("soft"));
    assert!(seen.try_recv().is_err());
    raise("INT").await;
    assert_eq!(within_deadline("hard is cancelled", seen.recv()).await, Some("hard"));
    let outcome = within_deadline("the process ends", ended).await.unwrap();
    assert_eq!(outcome, Outcome::CutShort(vec!["busy".to_owned()]));
}

async fn raise(signal: &str) {
    let kill = tokio::process::Command::new("kill").args(["-s", signal, &process::id().to_string()]).status();
    assert!(kill.await.unwrap().success());
}
