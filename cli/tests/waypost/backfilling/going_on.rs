use std::process::Stdio;

use fixtures::{TestBus, eventually, on_both_buses};
use serde_json::{Value, json};

use super::{World, with_products};
use crate::{
    running::{signal, terminate},
    waypost,
};

on_both_buses!(a_run_that_is_interrupted_goes_on_where_it_was_and_sends_nothing_twice);

async fn a_run_that_is_interrupted_goes_on_where_it_was_and_sends_nothing_twice(bus: TestBus) {
    let world = World::make(bus).await;
    with_products(&world, 700).await;
    let arguments = ["events", "backfill", "--service", "product", "--to", "user-service", "--rate", "200/s", "--json"];
    let child = waypost(&arguments, &[])
        .envs(world.installation.environment())
        .env("PRODUCT_DATABASE_URL", &world.product.url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let queue = world.installation.bus.queue("user-service").await;
    eventually("some are sent", async || (queue.counts().await.unwrap().visible >= 40).then_some(())).await;
    signal(&child, "INT").await;
    let ended = child.wait_with_output().await.unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{stderr}");
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let sent = report["subjects"].as_i64().unwrap();
    assert_eq!((&report["how"], &report["executed"]), (&json!("interrupted"), &json!(true)));
    assert!((40..700).contains(&sent), "{report}");
    let (run, after) = (report["run"].as_str().unwrap(), report["after"].as_str().unwrap());
    let to_go_on = format!("waypost events backfill --service product --to user-service --run {run} --after {after}");
    assert!(stderr.contains(&to_go_on), "{stderr}");

    let rest = world.backfilled("product", &["--run", run, "--after", after]).await;
    assert_eq!((&rest["subjects"], &rest["run"]), (&json!(700 - sent), &json!(run)));
    let worker = world.worker().await;
    world.until_applied().await;
    assert_eq!((world.products().await.len(), world.events_seen().await), (700, 700));

    // From its beginning once more, as after a kill: all of them are copies, and nobody counts them.
    world.backfilled("product", &["--run", run]).await;
    world.until_applied().await;
    assert_eq!(world.events_seen().await, 700);
    terminate(worker).await;
}

/// What can't be read stops a run, and what was before it is told.
#[tokio::test]
async fn a_run_that_meets_a_broken_row_stops_and_goes_on_once_it_is_mended() {
    let world = World::make(fixtures::embedded_bus().await).await;
    with_products(&world, 1_200).await;
    let set_sku = async |sku: &str| {
        let set = "UPDATE products SET sku = $1 WHERE price_minor = 801";
        sqlx::query(set).bind(sku).execute(&world.product.pool).await.unwrap();
    };
    set_sku("no sku\n").await;
    let (code, stdout, stderr) = world.backfill("product", &[]).await;
    assert_eq!(code, 1, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["how"], &report["subjects"]), (&json!("stopped"), &json!(500)));
    assert!(report["why"].as_str().unwrap().contains("its sku is not what it should be"), "{report}");
    assert!(!stderr.contains("no sku"), "{stderr}");
    set_sku("SKU-801").await;
    let arguments = ["--run", report["run"].as_str().unwrap(), "--after", report["after"].as_str().unwrap()];
    assert_eq!(world.backfilled("product", &arguments).await["subjects"], 700);
    let worker = world.worker().await;
    world.until_applied().await;
    assert_eq!((world.products().await.len(), world.events_seen().await), (1_200, 1_200));
    terminate(worker).await;
}
