//! What refers to something that isn't there keeps the catalog from being built, and is named.

use contracts::{CatalogSource, Landscape, Problem, ProblemKind, Sender, catalog_files};
use messaging::Names;
use schemas::EventType;

use crate::catalog::{CREATED, built, landscape};

const EXPLODED: EventType = EventType::new("user.exploded");

/// What is said of the landscape once `change` has broken it.
fn told(change: impl FnOnce(&mut Landscape)) -> Vec<String> {
    let mut broken = landscape();
    change(&mut broken);
    let problems = built(&broken).unwrap_err();
    assert!(problems.iter().all(|problem| problem.kind == ProblemKind::Reference), "{problems:?}");
    problems.iter().map(Problem::to_string).collect()
}

#[test]
fn a_handler_that_reads_a_field_that_its_version_has_not_is_named() {
    assert_eq!(
        told(|broken| broken.readers[0].fields.extend(["/shoeSize".to_owned(), "/roles/*/colour".to_owned()])),
        [
            "user-service/record_profile: reads `/shoeSize` of `user.created`, which version 2 has not",
            "user-service/record_profile: reads `/roles/*/colour` of `user.created`, which version 2 has not",
        ]
    );
    assert_eq!(
        told(|broken| {
            broken.readers[0].version = 1;
            broken.readers[0].fields.push("/roles".to_owned());
        }),
        ["user-service/record_profile: reads `/roles` of `user.created`, which version 1 has not"]
    );
}

#[test]
fn a_field_at_any_depth_is_found() {
    let mut deep = landscape();
    deep.readers[0].fields.extend(["/roles".to_owned(), "/roles/*".to_owned(), "/roles/0".to_owned()]);
    assert!(built(&deep).is_ok());
}

#[test]
fn a_handler_of_an_event_or_version_that_is_not_there_is_named() {
    assert_eq!(
        told(|broken| broken.readers[0].version = 3),
        ["user-service/record_profile: reads version 3 of `user.created`, and the newest one is 2"]
    );
    let told = told(|broken| {
        broken.readers[0].event_type = EXPLODED;
        broken.subscribers[0].events = [EXPLODED].into();
    });
    assert_eq!(told, ["user-service/record_profile: reads `user.exploded`, which has no schema"]);
}

#[test]
fn a_sender_of_what_is_not_its_own_is_named() {
    assert_eq!(
        told(|broken| broken.senders.push(Sender { service: "mailer", events: [CREATED, EXPLODED].into() })),
        [
            "mailer: sends `user.created`, whose schema says that auth-service does",
            "mailer: sends `user.exploded`, which has no schema",
        ]
    );
}

#[test]
fn a_handler_without_a_subscription_and_a_subscription_without_a_handler_are_named() {
    assert_eq!(
        told(|broken| broken.subscribers[1].events.clear()),
        ["mailer/welcome: reads `user.created`, which its queue is not subscribed to"]
    );
    assert_eq!(
        told(|broken| drop(broken.readers.pop())),
        ["mailer: its queue is subscribed to `user.created`, which it has no handler for"]
    );
}

#[test]
fn prose_that_names_or_links_to_what_is_not_there_is_named() {
    let about = "Reads `user.exploded`, not `/user.exploded` or `a.b`. See [there](../there.md) and [x](https://example.com).\n\
                 A list<String>.\n\n```sh\n`user.gone` <b>\n```\n";
    let source = CatalogSource { landscape: &landscape(), names: &Names::default(), abouts: &[("mailer", about)] };
    let problems = catalog_files(&source).unwrap_err();
    assert!(problems.iter().all(|problem| problem.kind == ProblemKind::Prose));
    let told: Vec<_> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("about.md of mailer: links to `../there.md`: "), "{told:?}");
    assert_eq!(told[1], "about.md of mailer: names `user.exploded`, and there is no such event");
    assert!(told[2].starts_with("about.md of mailer: holds `<` or `{` outside of code"), "{told:?}");
}
