//! What administrators see.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Service,
    world::{EMAIL, card, home},
};

#[tokio::test]
async fn an_administrator_sees_a_user_as_a_whole() {
    let service = Service::start().await;
    let (administrator, person) = (service.administrator().await, service.person().await);
    for _ in 0..2 {
        service.address(&person, &home()).await;
    }
    service.payment_method(&person, &card()).await;
    service.wish(&person, Uuid::new_v4()).await.expect(201);
    service.set_roles(person.id, &["user", "editor"], 3).await;
    service.deactivate(person.id).await;
    let path = format!("/v1/admin/users/{}", person.id);
    let user = service.get(&administrator, &path).await.expect(200).json();
    assert_eq!((&user["userId"], &user["status"]), (&json!(person.id), &json!("deactivated")));
    assert_eq!((&user["email"], &user["deactivationReason"]), (&json!(EMAIL), &json!("admin-decision")));
    assert_eq!((&user["roles"], &user["isReady"]), (&json!(["editor", "user"]), &json!(true)));
    assert_eq!((&user["displayName"], &user["displayNameEdited"]), (&json!("Ada Lovelace"), &json!(false)));
    let counts = json!({"addresses": 2, "paymentMethods": 1, "wishlistItems": 1, "hasPreferences": false});
    assert_eq!((&user["counts"], &user["versions"]["minToken"]), (&counts, &json!(3)));
    let versions = user["versions"].as_object().unwrap();
    assert!(
        versions["status"].as_i64() > versions["roles"].as_i64()
            && versions["roles"].as_i64() > versions["email"].as_i64()
    );

    service.erase(person.id).await;
    let user = service.get(&administrator, &path).await.expect(200).json();
    assert_eq!(user["status"], "deleted");
    for field in ["email", "emailVerified", "displayName", "roles", "registeredAt", "deactivationReason"] {
        assert_eq!(user[field], Value::Null, "{field}");
    }
    let counts = json!({"addresses": 0, "paymentMethods": 0, "wishlistItems": 0, "hasPreferences": false});
    assert_eq!(user["counts"], counts);
    for nobody in [Uuid::new_v4().to_string(), "ada".to_owned()] {
        let answer = service.get(&administrator, &format!("/v1/admin/users/{nobody}")).await;
        assert_eq!(answer.expect(404).problem(), "no-such-user");
    }
}

#[tokio::test]
async fn events_that_were_applied_are_listed_without_what_they_said() {
    let service = Service::start().await;
    let (administrator, person) = (service.administrator().await, service.person().await);
    service.set_roles(person.id, &["user"], 1).await;
    service.deactivate(person.id).await;
    let list = async |query: &str| {
        let path = format!("/v1/admin/event-logs?{query}");
        let answer = service.get(&administrator, &path).await.expect(200);
        for personal in [EMAIL, "Ada", "admin-decision"] {
            assert!(!answer.text.contains(personal), "{}", answer.text);
        }
        answer.json()
    };
    let types = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["eventType"].as_str().unwrap().to_owned()).collect()
    };
    let of_person = list(&format!("subject={}", person.id)).await;
    assert_eq!(types(&of_person), ["user.deactivated", "user.roles.changed", "user.created"]);
    let oldest = &of_person["items"][2];
    assert_eq!((&oldest["handler"], &oldest["subject"]), (&json!("record_profile"), &json!(person.id)));
    assert_eq!((&oldest["redeliveries"], &oldest["eventId"]), (&json!(0), &oldest["eventKey"]));
    assert_eq!(types(&list("").await), ["user.deactivated", "user.roles.changed", "user.created", "user.created"]);
    assert_eq!(types(&list("eventType=user.roles.changed").await).len(), 1);
    let one = list(&format!("eventKey={}", oldest["eventKey"].as_str().unwrap())).await;
    assert_eq!(one["items"], json!([oldest]));
    let none = list(&format!("subject={}&eventType=user.deleted", person.id)).await;
    assert_eq!(none, json!({"items": [], "next": null}));

    // Page by page.
    let first = list("limit=3").await;
    let rest = list(&format!("limit=3&cursor={}", first["next"].as_str().unwrap())).await;
    assert_eq!((types(&first).len(), types(&rest).len(), &rest["next"]), (3, 1, &Value::Null));

    for (query, field) in [
        ("subject=ada", "subject"),
        ("eventType=User%20Created", "eventType"),
        ("eventType=a%00", "eventType"),
        ("eventType=", "eventType"),
        ("eventKey=1", "eventKey"),
        ("email=x", "email"),
    ] {
        let answer = service.get(&administrator, &format!("/v1/admin/event-logs?{query}")).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["field"], field, "{}", answer.text);
    }
}
