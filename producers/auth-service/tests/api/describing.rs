use auth_service::PasswordPolicy;
use serde_json::{Value, json};
use service::settings::Env;

use crate::Service;

#[tokio::test]
async fn the_description_lists_what_is_served_and_refers_to_nothing_that_is_not_there() {
    let service = Service::start().await;
    service.description.check_whole(&[
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
    ]);
}

#[tokio::test]
async fn every_operation_tells_its_refusals_as_problems_with_examples_that_are_valid() {
    let service = Service::start().await;
    let description = &service.description;
    description.check_refusals();
    for (method, path, operation) in description.operations() {
        // Whoever shows a password or a refresh token that is none is answered so as well.
        let shows_another = ["/v1/auth/login", "/v1/auth/refresh"].contains(&path);
        let is_refused = operation["responses"]["401"].is_object();
        assert_eq!(operation["security"].is_array(), is_refused && !shows_another, "{method} {path}");
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
    for (method, path, operation) in service.description.operations() {
        let Some(reference) = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str() else {
            continue;
        };
        let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        let body: Value =
            properties.iter().map(|(name, property)| (name.clone(), property["example"].clone())).collect();
        assert!(body.as_object().unwrap().values().all(|value| !value.is_null()), "{path}: {body}");
        service.description.check_body(path, schema, &body);
        if operation["security"].is_array() {
            continue;
        }
        let request = service.request(method.to_uppercase().parse().unwrap(), path).json(&body);
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
    service.description.check_page(&html);
}
