//! Events that no mail can be made of.

use worker::Outcome;

use crate::world::{ADDRESS, world};

#[tokio::test]
async fn an_address_that_no_mail_can_be_sent_to_is_rejected_and_its_neighbours_are_mailed() {
    let world = world().await;
    let envelopes: Vec<_> = ["ada..b@example.com", ADDRESS, "ada@-example.com", "\"@example.com", "\u{e9}@example.com"]
        .iter()
        .map(|address| world.password_changed(address))
        .collect();
    let outcomes = world.harness.deliver(&envelopes).await;
    for (at, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Outcome::Applied => assert_eq!(at, 1),
            Outcome::DeadLettered(report) => assert_eq!((report.reason.as_str(), at != 1), ("rejected", true)),
            other => panic!("{at}: {other:?}"),
        }
    }
    let recipients: Vec<_> = world.server.delivered().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(recipients, [ADDRESS]);
}
