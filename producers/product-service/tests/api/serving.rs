use serde_json::Value;

use crate::{
    Service, database,
    world::{answer, tea},
};

#[tokio::test]
async fn readyz_says_down_when_the_database_is_gone() {
    let database = database().await;
    let service = Service::over(database.pool.clone()).await;
    let get = async |path: &str| {
        answer(service.client.get(format!("{}{path}", service.internal_url)).send().await.unwrap()).await
    };
    let ready = get("/readyz").await.expect(200).json();
    let state = |name: &str| {
        let checks = ready["checks"].as_array().unwrap().iter();
        checks.into_iter().find(|check| check["name"] == name).unwrap()["status"].clone()
    };
    assert_eq!(state("postgres"), Value::from("ok"));
    // No token was shown yet, so nobody has asked for a key; and there is no Redis.
    assert_eq!((state("access-token-keys"), state("redis")), (Value::from("degraded"), Value::from("degraded")));
    assert_eq!(ready["status"], Value::from("degraded"));

    database.take_down().await;
    let body = fixtures::eventually("readyz is down", async || {
        let answer = get("/readyz").await;
        (answer.status == 503).then_some(answer)
    });
    let text = body.await.text;
    assert!(text.contains(r#""status":"down""#) && !text.contains(&database.name), "{text}");
    get("/livez").await.expect(200);

    database.bring_back().await;
    fixtures::eventually("readyz is ok again", async || (get("/readyz").await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn while_the_database_is_away_everybody_is_asked_to_come_again() {
    let service = Service::start().await;
    service.pool.close().await;
    assert_eq!(service.get("/v1/products").await.expect(503).problem(), "unavailable");
    assert_eq!(service.create(&tea("T-1")).await.expect(503).problem(), "unavailable");
}

#[tokio::test]
async fn the_keys_of_access_tokens_are_part_of_health() {
    let service = Service::start().await;
    service.product("T-1").await;
    let ready = answer(service.client.get(format!("{}/readyz", service.internal_url)).send().await.unwrap()).await;
    let checks = ready.json()["checks"].clone();
    let keys = checks.as_array().unwrap().iter().find(|check| check["name"] == "access-token-keys").unwrap();
    assert_eq!(keys["status"], "ok", "{}", ready.text);
}

#[tokio::test]
async fn health_and_metrics_are_on_their_own_listener() {
    let service = Service::start().await;
    for path in ["/metrics", "/livez", "/readyz"] {
        let inside = service.client.get(format!("{}{path}", service.internal_url)).send().await.unwrap();
        assert_eq!(inside.status(), 200, "{path}");
        service.get(path).await.expect(404);
    }
    let outside = service.client.get(format!("{}/v1/products", service.internal_url)).send().await.unwrap();
    assert_eq!(outside.status(), 404);
}
