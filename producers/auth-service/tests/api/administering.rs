use auth_service::{Administered, By, Origin, administration};
use futures_util::future::join;
use reqwest::Method;
use schemas::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Service, world::Person};

fn role_path(person: &Person, role: &str) -> String {
    format!("/v1/admin/users/{}/roles/{role}", person.id)
}

#[tokio::test]
async fn everything_for_administrators_is_refused_to_everybody_else() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    let id = person.id;
    let document = service.description.document().clone();
    let mut tried = 0;
    for (template, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|_| template.starts_with("/v1/admin/")) {
            let path = template.replace("{id}", &id.to_string()).replace("{role}", "admin");
            let method: Method = method.to_uppercase().parse().unwrap();
            service.send(service.request(method.clone(), &path)).await.expect(401);
            let answer = service.by(&person, method, &path, None).await.expect(403);
            assert_eq!(answer.problem(), "forbidden");
            tried += 1;
        }
    }
    assert_eq!(tried, 8);
}

#[tokio::test]
async fn a_role_is_given_and_taken_and_each_time_all_roles_are_told() {
    let service = Service::start().await;
    let admin = service.administrator("admin@example.com").await;
    let person = service.person("ada@example.com").await;
    for _ in 0..2 {
        service.by(&admin, Method::PUT, &role_path(&person, "admin"), None).await.expect(204);
    }
    // Its access token is of before; the next one has the role.
    service.by(&person, Method::GET, "/v1/me", None).await.expect(401);
    let body = service.refresh(&person.refresh).await.expect(200).json();
    let raised = Person::from(person.id, &person.email, &body);
    service.by(&raised, Method::GET, "/v1/admin/users", None).await.expect(200);
    for _ in 0..2 {
        service.by(&admin, Method::DELETE, &role_path(&person, "admin"), None).await.expect(204);
    }
    service.by(&raised, Method::GET, "/v1/admin/users", None).await.expect(401);
    let told: Vec<_> = service
        .events_of(person.id)
        .await
        .into_iter()
        .filter(|(event_type, _)| event_type == "user.roles.changed")
        .map(|(_, data)| (data["roles"].clone(), data["minTokenVersion"].clone()))
        .collect();
    assert_eq!(told, [(json!(["admin", "user"]), json!(2)), (json!(["user"]), json!(3))]);

    let unknown = service.by(&admin, Method::PUT, &role_path(&person, "king"), None).await.expect(404);
    assert_eq!(unknown.problem(), "no-such-role");
    let nobody = format!("/v1/admin/users/{}/roles/admin", Uuid::from_u128(7));
    assert_eq!(service.by(&admin, Method::PUT, &nobody, None).await.expect(404).problem(), "no-such-account");
    let own = service.by(&admin, Method::PUT, &role_path(&admin, "user"), None).await.expect(409);
    assert_eq!(own.problem(), "own-roles");
}

#[tokio::test]
async fn the_last_administrator_can_neither_be_demoted_nor_deactivated_nor_erased() {
    let service = Service::start().await;
    let admin = service.administrator("admin@example.com").await;
    let out_of_use = service.administrator("away@example.com").await;
    let path = format!("/v1/admin/users/{}/deactivate", out_of_use.id);
    service.by(&admin, Method::POST, &path, None).await.expect(204);
    for (method, path) in [
        (Method::DELETE, role_path(&admin, "admin")),
        (Method::POST, format!("/v1/admin/users/{}/deactivate", admin.id)),
        (Method::POST, "/v1/me/deactivate".to_owned()),
        (Method::DELETE, "/v1/me".to_owned()),
    ] {
        let answer = service.by(&admin, method, &path, None).await.expect(409);
        assert_eq!(answer.problem(), "last-administrator", "{path}");
    }
    service.by(&admin, Method::GET, "/v1/admin/users", None).await.expect(200);
}

#[tokio::test]
async fn of_two_administrators_who_demote_each_other_one_is_left() {
    let service = Service::start().await;
    let other_instance = service.another().await;
    for _ in 0..5 {
        let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
        let one = service.administrator(&format!("one-{one}@example.com")).await;
        let other = service.administrator(&format!("other-{other}@example.com")).await;
        // Whoever else is one must not be what is left.
        sqlx::query("DELETE FROM user_roles WHERE role = 'admin' AND user_id <> ALL($1)")
            .bind([one.id, other.id])
            .execute(&service.pool)
            .await
            .unwrap();
        let (first, second) = join(
            service.by(&one, Method::DELETE, &role_path(&other, "admin"), None),
            other_instance.by(&other, Method::DELETE, &role_path(&one, "admin"), None),
        )
        .await;
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        // The slower one is none any more when it is looked at: by its token, or in the change itself.
        assert!(matches!(statuses, [204, 401 | 403]), "{first:?} {second:?}");
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM user_roles WHERE role = 'admin'")
            .fetch_one(&service.pool)
            .await
            .unwrap();
        assert_eq!(left, 1);
    }
}

#[tokio::test]
async fn an_administrator_who_is_demoted_meanwhile_changes_nothing_any_more() {
    let service = Service::start().await;
    let admin = service.administrator("admin@example.com").await;
    let person = service.person("ada@example.com").await;
    sqlx::query("DELETE FROM user_roles WHERE role = 'admin'").execute(&service.pool).await.unwrap();
    let (by, origin) = (By::Administrator(admin.id), Origin::internal());
    let store = &service.store;
    for outcome in [
        administration::grant(store, person.id, &Role::ADMIN, by, &origin).await,
        administration::revoke(store, person.id, &Role::USER, by, &origin).await,
        administration::deactivate(store, person.id, by, &origin).await,
        administration::reactivate(store, person.id, by, &origin).await,
    ] {
        assert_eq!(outcome.unwrap(), Administered::NotAllowed);
    }
    assert_eq!(service.event_types_of(person.id).await.len(), 3);
}

#[tokio::test]
async fn accounts_are_listed_in_pages_and_by_what_they_are() {
    let service = Service::start().await;
    let admin = service.administrator("admin@example.com").await;
    let mut ids = vec![admin.id];
    for n in 0..4 {
        ids.push(service.make_account(&format!("user{n}@example.com")).await);
    }
    let path = format!("/v1/admin/users/{}/deactivate", ids[2]);
    service.by(&admin, Method::POST, &path, None).await.expect(204);

    let page = async |query: &str| -> (Vec<Uuid>, Value) {
        let body = service.by(&admin, Method::GET, &format!("/v1/admin/users{query}"), None).await.expect(200).json();
        let items = body["items"].as_array().unwrap().iter();
        (items.map(|item| item["userId"].as_str().unwrap().parse().unwrap()).collect(), body["next"].clone())
    };
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let (items, next) = page(&query).await;
        seen.extend(items);
        let Some(next) = next.as_str() else { break };
        query = format!("?limit=2&after={next}");
    }
    assert_eq!(seen, ids);
    assert_eq!(page("?status=deactivated").await.0, [ids[2]]);
    assert_eq!(page("?role=admin").await.0, [admin.id]);
    assert_eq!(page("?email=USER3@example.com").await.0, [ids[4]]);
    assert_eq!(page("?email=nobody@example.com").await, (vec![], Value::Null));
    for (query, field) in [
        ("?limit=0", "limit"),
        ("?limit=201", "limit"),
        ("?limit=many", "limit"),
        ("?status=deleted", "status"),
        ("?email=hunter2", "email"),
        ("?after=hunter2", "after"),
        ("?order=hunter2", "order"),
    ] {
        let answer = service.by(&admin, Method::GET, &format!("/v1/admin/users{query}"), None).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["field"], field, "{query}: {}", answer.text);
        assert!(!answer.text.contains("hunter2"), "{}", answer.text);
    }
}

#[tokio::test]
async fn an_administrator_signs_an_account_out_and_takes_it_out_of_use() {
    let service = Service::start().await;
    let admin = service.administrator("admin@example.com").await;
    let person = service.person("ada@example.com").await;
    let path = |what: &str| format!("/v1/admin/users/{}/{what}", person.id);
    service.by(&admin, Method::POST, &path("logout"), None).await.expect(204);
    service.by(&person, Method::GET, "/v1/me", None).await.expect(401);
    for _ in 0..2 {
        service.by(&admin, Method::POST, &path("deactivate"), None).await.expect(204);
    }
    let types = service.event_types_of(person.id).await;
    assert_eq!(types[types.len() - 2..], ["user.sessions.revoked", "user.deactivated"]);
    let (_, data) = service.events_of(person.id).await.pop().unwrap();
    assert_eq!(data["reason"], "admin-decision");
    let entry: (Option<Uuid>, Option<Uuid>) = sqlx::query_as(
        "SELECT actor_id, subject_id FROM security_audit_logs WHERE action = 'deactivate' AND outcome = 'success'",
    )
    .fetch_one(&service.pool)
    .await
    .unwrap();
    assert_eq!(entry, (Some(admin.id), Some(person.id)));
    for what in ["logout", "deactivate", "reactivate"] {
        let nobody = format!("/v1/admin/users/{}/{what}", Uuid::from_u128(7));
        service.by(&admin, Method::POST, &nobody, None).await.expect(404);
        let no_id = format!("/v1/admin/users/ada/{what}");
        assert_eq!(service.by(&admin, Method::POST, &no_id, None).await.expect(404).problem(), "no-such-account");
    }
}
