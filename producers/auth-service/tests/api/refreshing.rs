use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use time::Duration;

use crate::{Service, world::Person};

fn refreshed(person: &Person, answer: &crate::described::Answer) -> Person {
    Person::from(person.id, &person.email, &answer.json())
}

async fn is_revoked(service: &Service, person: &Person) -> bool {
    sqlx::query_scalar("SELECT revoked_at IS NOT NULL FROM sessions WHERE id = $1")
        .bind(person.session)
        .fetch_one(&service.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_refresh_token_is_used_once_and_makes_its_successor() {
    let service = Service::start().await;
    let first = service.person("ada@example.com").await;
    let second = refreshed(&first, &service.refresh(&first.refresh).await.expect(200));
    assert_ne!((&first.refresh, &first.access), (&second.refresh, &second.access));
    assert_eq!(first.session, second.session);
    let third = refreshed(&second, &service.refresh(&second.refresh).await.expect(200));
    for person in [&first, &second, &third] {
        service.by(person, Method::GET, "/v1/me", None).await.expect(200);
    }
    let generations: Vec<i32> = sqlx::query_scalar("SELECT generation FROM refresh_tokens ORDER BY generation")
        .fetch_all(&service.pool)
        .await
        .unwrap();
    assert_eq!(generations, [0, 1, 2]);
    // What could make a token again is there for the last used one only.
    let salts: Vec<i32> = sqlx::query_scalar("SELECT generation FROM refresh_tokens WHERE successor_salt IS NOT NULL")
        .fetch_all(&service.pool)
        .await
        .unwrap();
    assert_eq!(salts, [1]);
}

#[tokio::test]
async fn fifty_at_once_with_one_token_get_one_successor_and_keep_the_session() {
    let service = Service::start().await;
    let other = service.another().await;
    let person = service.person("ada@example.com").await;
    let answers = join_all((0..50).map(|n| {
        let service = if n % 2 == 0 { &service } else { &other };
        service.refresh(&person.refresh)
    }))
    .await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let successors: std::collections::BTreeSet<_> =
        answers.iter().map(|answer| answer.json()["refreshToken"].as_str().unwrap().to_owned()).collect();
    assert_eq!(successors.len(), 1);
    assert_eq!(service.count("refresh_tokens").await, 2);
    let next = service.refresh(successors.first().unwrap()).await.expect(200);
    assert_ne!(next.json()["refreshToken"].as_str(), successors.first().map(String::as_str));
}

#[tokio::test]
async fn within_ten_seconds_a_lost_answer_is_given_again_and_after_that_the_session_ends() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    let answer = service.refresh(&person.refresh).await.expect(200).json();
    service.clock.advance(Duration::milliseconds(9_000));
    let again = service.refresh(&person.refresh).await.expect(200).json();
    assert_eq!(answer["refreshToken"], again["refreshToken"]);
    assert_eq!(answer["refreshTokenExpiresAt"], again["refreshTokenExpiresAt"]);
    service.clock.advance(Duration::milliseconds(2_000));
    assert_eq!(service.refresh(&person.refresh).await.expect(401).problem(), "invalid-refresh-token");
    assert!(is_revoked(&service, &person).await);
}

/// The kill is committed, though the answer is a refusal; and every instance knows of it.
#[tokio::test]
async fn a_token_that_is_used_again_ends_its_session_for_thief_and_owner_on_every_instance() {
    let service = Service::start().await;
    let other = service.another().await;
    let stolen = service.person("ada@example.com").await;
    let elsewhere = service.again(&stolen).await;
    let owner = refreshed(&stolen, &service.refresh(&stolen.refresh).await.expect(200));
    service.clock.advance(Duration::seconds(11));

    other.refresh(&stolen.refresh).await.expect(401);
    assert!(is_revoked(&service, &stolen).await);
    service.refresh(&owner.refresh).await.expect(401);
    for token in [&stolen, &owner] {
        service.by(token, Method::GET, "/v1/me", None).await.expect(401);
    }
    let events = service.events_of(stolen.id).await;
    let (event_type, data) = events.last().unwrap();
    assert_eq!((event_type.as_str(), &data["minTokenVersion"]), ("user.sessions.revoked", &json!(2)));
    let trail = service.trail_of(stolen.id).await;
    assert_eq!(trail[trail.len() - 2..], ["refresh failure token-reused", "refresh failure session-revoked"]);

    // The person's other session goes on: its access token is too old now, its refresh token is not.
    service.by(&elsewhere, Method::GET, "/v1/me", None).await.expect(401);
    let elsewhere = refreshed(&elsewhere, &other.refresh(&elsewhere.refresh).await.expect(200));
    service.by(&elsewhere, Method::GET, "/v1/me", None).await.expect(200);
}

#[tokio::test]
async fn once_the_successor_was_used_the_token_before_it_is_a_theft_at_once() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    let second = refreshed(&person, &service.refresh(&person.refresh).await.expect(200));
    service.refresh(&second.refresh).await.expect(200);
    service.refresh(&person.refresh).await.expect(401);
    assert!(is_revoked(&service, &person).await);
}

/// Two thieves at once are one theft: the session ends once, and one event tells of it.
#[tokio::test]
async fn many_that_use_a_token_again_end_its_session_once() {
    let service = Service::start().await;
    let other = service.another().await;
    let person = service.person("ada@example.com").await;
    service.refresh(&person.refresh).await.expect(200);
    service.clock.advance(Duration::seconds(11));
    let again = (0..20).map(|n| if n % 2 == 0 { &service } else { &other }.refresh(&person.refresh));
    assert!(join_all(again).await.iter().all(|answer| answer.status == 401));
    let types = service.event_types_of(person.id).await;
    assert_eq!(types.iter().filter(|kind| *kind == "user.sessions.revoked").count(), 1, "{types:?}");
}

#[tokio::test]
async fn a_session_ends_when_idle_for_two_weeks_and_after_thirty_days_in_any_case() {
    let service = Service::start().await;
    let idle = service.person("idle@example.com").await;
    let mut busy = service.person("busy@example.com").await;
    for _ in 0..2 {
        service.clock.advance(Duration::days(13));
        busy = refreshed(&busy, &service.refresh(&busy.refresh).await.expect(200));
    }
    service.refresh(&idle.refresh).await.expect(401);
    assert_eq!(service.trail_of(idle.id).await.last().unwrap(), "refresh failure idle-too-long");
    let expires = service.refresh(&busy.refresh).await.expect(200).json();
    let busy = Person::from(busy.id, &busy.email, &expires);
    // Not later than the session itself.
    let session_ends: time::OffsetDateTime = sqlx::query_scalar("SELECT expires_at FROM sessions WHERE id = $1")
        .bind(busy.session)
        .fetch_one(&service.pool)
        .await
        .unwrap();
    let told = expires["refreshTokenExpiresAt"].as_str().unwrap();
    let told = time::OffsetDateTime::parse(told, &time::format_description::well_known::Rfc3339).unwrap();
    assert_eq!(told, session_ends);
    service.clock.advance(Duration::days(4) + Duration::hours(1));
    service.refresh(&busy.refresh).await.expect(401);
    assert_eq!(service.trail_of(busy.id).await.last().unwrap(), "refresh failure session-expired");
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_refused_without_a_word_about_why() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    let mut flipped = person.refresh.clone().into_bytes();
    flipped[10] = if flipped[10] == b'A' { b'B' } else { b'A' };
    let unknown = "rt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_000000".to_owned();
    for token in
        [String::new(), "hunter2".to_owned(), person.access.clone(), String::from_utf8(flipped).unwrap(), unknown]
    {
        let answer = service.refresh(&token).await.expect(401);
        assert_eq!(answer.problem(), "invalid-refresh-token");
        assert!(token.is_empty() || !answer.text.contains(&token), "{}", answer.text);
    }
    assert!(!is_revoked(&service, &person).await);
}

#[tokio::test]
async fn signing_out_ends_the_session_and_says_the_same_whatever_the_token_is() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    let other = service.again(&person).await;
    for token in ["hunter2", &person.refresh, &person.refresh] {
        service.post("/v1/auth/logout", &json!({"refreshToken": token})).await.expect(204);
    }
    service.refresh(&person.refresh).await.expect(401);
    // At once, here where the session is at hand.
    service.by(&person, Method::GET, "/v1/me", None).await.expect(401);
    service.by(&other, Method::GET, "/v1/me", None).await.expect(200);
    let trail = service.trail_of(person.id).await;
    assert_eq!(trail.iter().filter(|entry| *entry == "log-out success").count(), 1, "{trail:?}");
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_session_and_refuses_every_access_token() {
    let service = Service::start().await;
    let person = service.person("ada@example.com").await;
    let other = service.again(&person).await;
    service.by(&person, Method::POST, "/v1/auth/logout-all", None).await.expect(204);
    for each in [&person, &other] {
        service.by(each, Method::GET, "/v1/me", None).await.expect(401);
        service.refresh(&each.refresh).await.expect(401);
    }
    let (event_type, data) = service.events_of(person.id).await.pop().unwrap();
    assert_eq!((event_type.as_str(), &data["minTokenVersion"]), ("user.sessions.revoked", &json!(2)));
    let back = service.again(&person).await;
    service.by(&back, Method::GET, "/v1/me", None).await.expect(200);
}
