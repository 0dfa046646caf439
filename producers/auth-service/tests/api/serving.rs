use serde_json::Value;

use crate::{Service, database, patient};

#[tokio::test]
async fn readyz_says_down_when_the_database_is_gone() {
    let database = database().await;
    let service = Service::over(database.pool.clone(), patient()).await;
    let get = async |path: &str| {
        let response = service.client.get(format!("{}{path}", service.internal_url)).send().await.unwrap();
        crate::world::answer(response).await
    };
    let ready = get("/readyz").await.expect(200).json();
    assert_eq!(
        (&ready["checks"][0]["status"], &ready["checks"][0]["name"]),
        (&Value::from("ok"), &Value::from("postgres"))
    );
    assert_eq!((&ready["status"], &ready["checks"][1]["name"]), (&Value::from("degraded"), &Value::from("redis")));

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

/// Counters tell who has an account; health is no business of strangers either.
#[tokio::test]
async fn health_and_metrics_are_on_their_own_listener() {
    let service = Service::start().await;
    for path in ["/metrics", "/livez", "/readyz"] {
        let inside = service.client.get(format!("{}{path}", service.internal_url)).send().await.unwrap();
        assert_eq!(inside.status(), 200, "{path}");
        service.get(path).await.expect(404);
    }
    let outside = service.client.get(format!("{}/v1/me", service.internal_url)).send().await.unwrap();
    assert_eq!(outside.status(), 404);
}

#[tokio::test]
async fn health_and_metrics_are_shared_with_no_page() {
    const APP: &str = "https://app.example.com";
    let service = Service::start().await.with_environment(&[("CORS_ORIGINS", APP)]).await;
    let shared_with = async |url: String| {
        let response = service.client.get(url).header("origin", APP).send().await.unwrap();
        crate::world::answer(response).await.expect(200).header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(shared_with(format!("{}/.well-known/jwks.json", service.url)).await.as_deref(), Some(APP));
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(shared_with(format!("{}{path}", service.internal_url)).await, None, "{path}");
    }
}
