use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::{Service, database, patient};

#[tokio::test]
async fn readyz_says_down_when_the_database_is_gone() {
    let database = database().await;
    let service = Service::over(database.pool.clone(), patient()).await;
    let ready = service.get("/readyz").await;
    assert_eq!(ready.status(), 200);
    let body: Value = ready.json().await.unwrap();
    assert_eq!((&body["status"], &body["checks"][0]["name"]), (&"ok".into(), &"postgres".into()));

    database.take_down().await;
    let body = fixtures::eventually("readyz is down", async || {
        let response = service.get("/readyz").await;
        (response.status() == 503).then_some(response)
    });
    let text = body.await.text().await.unwrap();
    assert!(text.contains(r#""status":"down""#) && !text.contains(&database.name), "{text}");
    assert_eq!(service.get("/livez").await.status(), 200);

    database.bring_back().await;
    fixtures::eventually("readyz is ok again", async || (service.get("/readyz").await.status() == 200).then_some(()))
        .await;
}

#[tokio::test]
async fn openapi_lists_what_the_router_serves() {
    let service = Service::start().await;
    let document: Value = service.get("/openapi.json").await.json().await.unwrap();
    let listed: BTreeSet<(&str, &str)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (method.as_str(), path.as_str())))
        .collect();
    let wanted = [
        ("get", "/livez"),
        ("get", "/metrics"),
        ("get", "/openapi.json"),
        ("get", "/readyz"),
        ("post", "/v1/auth/register"),
    ];
    assert_eq!(listed, BTreeSet::from(wanted));
    for (method, path) in listed {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let status = service.client.request(method, format!("{}{path}", service.url)).send().await.unwrap().status();
        assert!(status != 404 && status != 405, "{path}: {status}");
    }
}

#[tokio::test]
async fn openapi_describes_refusals_as_problems_and_refers_to_nothing_that_is_not_there() {
    let service = Service::start().await;
    let document: Value = service.get("/openapi.json").await.json().await.unwrap();
    let responses = document["paths"]["/v1/auth/register"]["post"]["responses"].as_object().unwrap();
    let statuses: Vec<_> = responses.keys().map(String::as_str).collect();
    assert_eq!(statuses, ["202", "400", "408", "413", "415", "422", "500", "503"]);
    for (status, response) in responses.iter().filter(|(status, _)| *status != "202") {
        let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/Problem", "{status}");
    }
    let password = &document["components"]["schemas"]["RegisterRequest"]["properties"]["password"];
    assert_eq!((&password["type"], &password["minLength"]), (&"string".into(), &15.into()));

    let text = document.to_string();
    for reference in text.split(r##""$ref":"#"##).skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} is not there");
    }
}
