//! What is told of versions that were released.

use contracts::{Affected, Direction, Finding, Landscape, Mode, Published, check, published_here};
use serde_json::{Value, json};

use crate::read_by_mailer;

fn with(version: u32, change: impl FnOnce(&mut Value)) -> Published {
    let mut published = published_here();
    let key = ("user.email.changed".to_owned(), version);
    let mut schema = published[&("user.email.changed".to_owned(), 1)].clone();
    change(&mut schema);
    published.insert(key, schema);
    published
}

fn reads(reads: bool) -> Vec<Affected> {
    vec![Affected { consumer: "mailer".to_owned(), handler: "send_notice".to_owned(), reads }]
}

#[test]
fn what_is_published_here_is_compatible_with_itself_in_full() {
    let report = check(&published_here(), &published_here(), &Landscape::default(), Mode::Full).unwrap();
    assert!(report.is_compatible(), "{:#?}", report.findings);
    let compared = report.compared;
    assert_eq!((compared.events, compared.versions, compared.unchanged, compared.pairs), (17, 18, 18, 1));
    // The one older version is raised, which closes what would be gaps.
    let [raised] = &report.raised[..] else { panic!("{:?}", report.raised) };
    assert_eq!((raised.event.as_str(), raised.from, raised.to), ("user.created", 1, 2));
    assert!(raised.is_complete() && raised.tried > 100, "{raised:?}");
    // The first schema takes control characters in an address, which no reader ever took.
    assert_eq!(raised.never_sent.iter().map(|gap| gap.pointer.as_str()).collect::<Vec<_>>(), ["/email"]);
    let closes: Vec<_> = raised.closes.iter().map(|gap| (gap.pointer.as_str(), &*gap.rule)).collect();
    for gap in
        [("/emailVerified", "required"), ("/roles", "required"), ("/status", "required"), ("/source", "maxLength")]
    {
        assert!(closes.contains(&gap), "{gap:?} in {closes:?}");
    }
}

#[test]
fn removing_a_field_names_those_who_read_it() {
    let changed = with(1, |schema| {
        schema["properties"].as_object_mut().unwrap().remove("email");
        schema["required"].as_array_mut().unwrap().retain(|name| name != "email");
    });
    let only_this = |fields: &[&str]| {
        let mut mailer = read_by_mailer(fields);
        mailer.readers.retain(|reader| reader.event_type.as_str() == "user.email.changed");
        mailer
    };
    let report = check(&changed, &published_here(), &only_this(&["/userId"]), Mode::Full).unwrap();
    let [Finding::Edited { .. }, Finding::Incompatible(found)] = &report.findings[..] else { panic!("{report:#?}") };
    assert_eq!((found.direction, found.removed, found.gap.pointer.as_str()), (Direction::Forward, true, "/email"));
    assert_eq!(found.breaks, reads(false));

    let mailer = only_this(&["/userId", "/email"]);
    let report = check(&changed, &published_here(), &mailer, Mode::Backward).unwrap();
    let [Finding::Edited { .. }, Finding::Missing { pointer, breaks, .. }] = &report.findings[..] else {
        panic!("{report:#?}")
    };
    assert_eq!((pointer.as_str(), breaks), ("/email", &reads(true)));
}

#[test]
fn a_released_version_that_is_gone_is_told_with_its_readers() {
    let mut now = published_here();
    now.remove(&("user.created".to_owned(), 1));
    now.remove(&("user.deleted".to_owned(), 1));
    let mut readers = read_by_mailer(&[]);
    readers.readers.retain(|reader| reader.event_type.as_str() == "user.created");
    let report = check(&now, &published_here(), &readers, Mode::Backward).unwrap();
    let gone = report.findings.iter().map(|finding| match finding {
        Finding::Removed { event, version, breaks } => (event.as_str(), *version, breaks.len()),
        other => panic!("{other:?}"),
    });
    assert_eq!(gone.collect::<Vec<_>>(), [("user.created", 1, 1), ("user.deleted", 1, 0)]);
}

#[test]
fn a_new_version_is_judged_against_each_older_one() {
    let now = with(3, |schema| schema["properties"]["previousEmail"]["maxLength"] = 100.into());
    let mut released = with(2, |schema| schema["properties"]["previousEmail"]["maxLength"] = 90.into());
    let report = check(&now, &released, &read_by_mailer(&[]), Mode::Full).unwrap();
    // Version 2 is gone; version 3 is narrower than 1, and wider than 2 was.
    let gaps = report.findings.iter().filter_map(|finding| match finding {
        Finding::Incompatible(it) => Some((it.direction, it.writer, it.reader, it.gap.pointer.as_str())),
        _ => None,
    });
    assert_eq!(
        gaps.collect::<Vec<_>>(),
        [(Direction::Backward, 1, 3, "/previousEmail"), (Direction::Forward, 3, 2, "/previousEmail")]
    );
    assert_eq!(report.compared.pairs, 3);
    released.clear();
    assert_eq!(check(&now, &released, &Landscape::default(), Mode::Full).unwrap().compared.unchanged, 0);
}

#[test]
fn a_keyword_that_is_not_judged_does_not_pass() {
    let now = with(1, |schema| schema["properties"]["email"]["anyOf"] = json!([{"minLength": 1}]));
    let report = check(&now, &published_here(), &Landscape::default(), Mode::Full).unwrap();
    let rules = report.findings.iter().filter_map(|finding| match finding {
        Finding::Incompatible(it) => Some((&*it.gap.rule, it.gap.witness.is_some())),
        _ => None,
    });
    assert_eq!(rules.collect::<Vec<_>>(), [("anyOf", false), ("anyOf", false)]);
}

#[test]
fn a_field_that_more_people_may_see_is_told() {
    let now = with(1, |schema| schema["properties"]["email"]["x-classification"] = "open".into());
    let report = check(&now, &published_here(), &Landscape::default(), Mode::Full).unwrap();
    let [Finding::Declassified { pointer, was, is, .. }] = &report.findings[..] else { panic!("{report:#?}") };
    assert_eq!((pointer.as_str(), was.as_str(), is.as_str()), ("/email", "pii", "open"));
    assert!(check(&published_here(), &now, &Landscape::default(), Mode::Full).unwrap().is_compatible());

    let now = with(2, |schema| schema["properties"]["email"]["x-classification"] = "open".into());
    let report = check(&now, &published_here(), &Landscape::default(), Mode::Full).unwrap();
    assert!(matches!(&report.findings[..], [Finding::Declassified { older: 1, newer: 2, .. }]), "{report:#?}");
}

/// Trying it on what the older version's examples and samples hold would not tell.
#[test]
fn an_upcaster_closes_no_gap_that_no_document_shows() {
    let mut released = published_here();
    let first = released.get_mut(&("user.created".to_owned(), 1)).unwrap();
    first["dependentRequired"] = json!({"email": ["source"]});
    let report = check(&published_here(), &released, &Landscape::default(), Mode::Backward).unwrap();
    let left = report.findings.iter().filter_map(|finding| match finding {
        Finding::Incompatible(it) => Some((it.writer, it.reader, &*it.gap.rule, it.gap.witness.is_some())),
        _ => None,
    });
    let rule = "dependentRequired";
    assert_eq!(left.collect::<Vec<_>>(), [(1, 1, rule, false), (1, 2, rule, false)]);
}
