use auth_service::PasswordPolicy;
use serde_json::{Value, json};
use service::settings::Env;

use crate::Service;

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (method.clone(), path.clone(), operation.clone()))
    });
    all.collect()
}

#[tokio::test]
async fn the_description_lists_what_is_served_and_refers_to_nothing_that_is_not_there() {
    let service = Service::start().await;
    let document = service.description.document();
    assert_eq!(document["openapi"], "3.1.0");
    let listed: Vec<_> = operations(document).into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    let mut wanted = [
        "delete /v1/admin/users/{id}/roles/{role}",
        "delete /v1/me",
        "delete /v1/me/sessions/{id}",
        "get /.well-known/jwks.json",
        "get /openapi.json",
        "get /v1/admin/audit",
        "get /v1/admin/erasures",
        "get /v1/admin/users",
        "get /v1/me",
        "get /v1/me/sessions",
        "post /v1/admin/users/{id}/deactivate",
        "post /v1/admin/users/{id}/logout",
        "post /v1/admin/users/{id}/reactivate",
        "post /v1/auth/email/resend",
        "post /v1/auth/email/verify",
        "post /v1/auth/login",
        "post /v1/auth/logout",
        "post /v1/auth/logout-all",
        "post /v1/auth/password/change",
        "post /v1/auth/password/forgot",
        "post /v1/auth/password/reset",
        "post /v1/auth/refresh",
        "post /v1/auth/register",
        "post /v1/me/deactivate",
        "post /v1/me/email",
        "put /v1/admin/users/{id}/roles/{role}",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut listed_sorted = listed.clone();
    listed_sorted.sort();
    wanted.sort();
    assert_eq!(listed_sorted, wanted);

    let text = document.to_string();
    for reference in text.split(r##""$ref":"#"##).skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} is not there");
    }
    assert!(!text.contains("x-problems"));
}

#[tokio::test]
async fn every_operation_tells_its_refusals_as_problems_with_examples_that_are_valid() {
    let service = Service::start().await;
    let description = &service.description;
    for (method, path, operation) in operations(description.document()) {
        let at = format!("{method} {path}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("500") && responses.contains_key("503"), "{at}");
        let has_body = operation["requestBody"].is_object();
        for status in ["400", "408", "413", "415", "422"] {
            assert!(!has_body || responses.contains_key(status), "{at} {status}");
        }
        assert_eq!(
            operation["security"].is_array(),
            responses.contains_key("401") && path != "/v1/auth/login" && path != "/v1/auth/refresh",
            "{at}"
        );
        for (status, response) in responses {
            for (media, content) in response["content"].as_object().into_iter().flatten() {
                if status.starts_with('2') {
                    assert_eq!(media, "application/json", "{at}");
                    continue;
                }
                assert_eq!(media, "application/problem+json", "{at}");
                for (name, example) in content["examples"].as_object().unwrap() {
                    description.check_body(&format!("{at} {status} {name}"), &content["schema"], &example["value"]);
                    assert_eq!(example["value"]["status"].to_string(), *status, "{at} {name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_description_tells_the_least_length_of_this_installation() {
    let usual = Service::start().await;
    let env = Env::of([("PASSWORD_MIN_CHARACTERS", "23")]);
    let strict = usual.with_policy(PasswordPolicy::from_env(&env).unwrap()).await;
    for (service, least) in [(&usual, 15), (&strict, 23)] {
        for pointer in [
            "RegisterRequest/properties/password",
            "ResetRequest/properties/password",
            "ChangeRequest/properties/newPassword",
        ] {
            let property = service.description.document().pointer(&format!("/components/schemas/{pointer}")).unwrap();
            assert_eq!((&property["minLength"], &property["maxLength"]), (&least.into(), &128.into()), "{pointer}");
        }
    }
    // And that is what holds.
    let body = json!({"email": "ada@example.com", "password": "she hums along to tram"});
    usual.post("/v1/auth/register", &body).await.expect(202);
    strict.post("/v1/auth/register", &body).await.expect(422);
}

/// Of each body, the examples that its fields have make one that is taken as valid.
#[tokio::test]
async fn the_examples_of_bodies_work() {
    let service = Service::start().await;
    let document = service.description.document();
    let mut tried = 0;
    for (method, path, operation) in operations(document) {
        let Some(reference) = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str() else {
            continue;
        };
        let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        let body: Value =
            properties.iter().map(|(name, property)| (name.clone(), property["example"].clone())).collect();
        assert!(body.as_object().unwrap().values().all(|value| !value.is_null()), "{path}: {body}");
        service.description.check_body(&path, schema, &body);
        if operation["security"].is_array() {
            continue;
        }
        let request = service.request(method.to_uppercase().parse().unwrap(), &path).json(&body);
        let answer = service.send(request).await;
        // Understood: a token or a password of an example opens nothing, of course.
        assert!(matches!(answer.status, 202 | 204 | 400 | 401), "{path}: {answer:?}");
        assert!(answer.status != 400 || answer.problem() == "invalid-token", "{path}: {answer:?}");
        tried += 1;
    }
    assert_eq!(tried, 8);
}

#[tokio::test]
async fn the_page_tells_of_every_operation_and_brings_nothing_from_elsewhere() {
    let service = Service::start().await;
    let page = service.client.get(format!("{}/docs", service.url)).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let html = page.text().await.unwrap();
    for (_, path, operation) in operations(service.description.document()) {
        assert!(html.contains(&format!("<code>{path}</code>")), "{path}");
        let summary = operation["summary"].as_str().unwrap().replace('\'', "&#39;");
        assert!(html.contains(&summary), "{summary}");
    }
    assert!(
        !html.contains("<script") && !html.contains("src=") && !html.contains("http://") && !html.contains("https://")
    );
}
