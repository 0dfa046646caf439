//! Who may have killed a worker.
//!
//! A message that was received three times or more since its last failure on record, if there is one, is a suspect: its
//! workers may have died of it. Suspects run alone in the process, with earlier work acknowledged. The killer itself runs
//! into the queue's receive limit.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    dispatch::{Addressed, Proven, work::Work},
    inbox,
};

/// As many receives need an explanation.
pub(crate) const SUSPECT_FROM: u32 = 3;

/// Looks at what was received often, until `stop`: whether recorded failures explain it. Apart from the loop that
/// dispatches, because it asks the database, which may not answer.
pub(crate) async fn acquit(
    work: Arc<Work>,
    mut unproven: mpsc::UnboundedReceiver<Vec<Addressed>>,
    proven: mpsc::UnboundedSender<Proven>,
    stop: CancellationToken,
) {
    while let Some(Some(mut arrived)) = stop.run_until_cancelled(unproven.recv()).await {
        while let Ok(more) = unproven.try_recv() {
            arrived.extend(more);
        }
        if let Err(refused) = proven.send(look_up(&work, arrived).await) {
            let Proven { ordinary, suspects } = refused.0;
            hand_back(&work, ordinary.into_iter().chain(suspects).collect()).await;
        }
    }
    unproven.close();
    let mut rest = Vec::new();
    while let Some(addressed) = unproven.recv().await {
        rest.extend(addressed);
    }
    hand_back(&work, rest).await;
}

async fn look_up(work: &Work, arrived: Vec<Addressed>) -> Proven {
    let keys: Vec<_> = arrived.iter().map(|(_, delivery)| delivery.key.as_uuid()).collect();
    let ids: Vec<_> = arrived.iter().map(|(_, delivery)| delivery.held.message.id.0.clone()).collect();
    let explained = match inbox::explained_receives(&work.applier.transactions.pool, &keys, &ids).await {
        Ok(explained) => explained,
        Err(error) => {
            tracing::warn!(%error, "could not look for recorded failures; running messages alone");
            return Proven { suspects: arrived, ..Proven::default() };
        }
    };
    let (ordinary, suspects) = arrived.into_iter().partition(|(_, delivery)| {
        let message = &delivery.held.message;
        let explained = explained.get(&message.id.0).copied().unwrap_or(0);
        message.receive_count.saturating_sub(explained) < SUSPECT_FROM
    });
    Proven { ordinary, suspects }
}

async fn hand_back(work: &Work, addressed: Vec<Addressed>) {
    let held = addressed.into_iter().map(|(_, delivery)| (delivery.held, Duration::ZERO));
    work.settlements.settler.release(held.collect()).await;
}
