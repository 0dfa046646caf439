//! `waypost demo`: the platform at work, and what is done to it.
//!
//! Services run as processes of their own, on databases and queues made for this run. Everything in the summary is
//! counted from those databases and queues afterwards; the demo's own notes of what it did are used for nothing but the
//! story. It ends non-zero when an event was lost or applied twice.

mod accounts;
mod counts;
mod faults;
mod front_door;
mod journey;
mod processes;
mod scratch;
mod shopping;
mod story;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use service::settings::Env;
use tokio::time::Instant;

use self::{counts::Counts, processes::Services, scratch::Scratch, story::Story};
use crate::outln;

#[derive(Debug, Args)]
pub struct Demo {
    /// Run on SNS and SQS of LocalStack, instead of PostgreSQL alone
    #[arg(long)]
    localstack: bool,
    /// Accounts to register
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(20..=20_000))]
    users: u32,
    /// End with the summary as one line of JSON on stdout
    #[arg(long)]
    json: bool,
    /// Leave databases, queues and logs behind for a look
    #[arg(long)]
    keep: bool,
}

/// How long nothing may move before the demo gives up on an event.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Demo {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let mut story = Story::new();
        let scratch = Scratch::make(env, self.localstack, &mut story).await?;
        let told = tokio::select! {
            told = self.tell(&scratch, &mut story) => told,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        if self.keep || told.is_err() {
            let file = scratch.write_environment()?;
            story.say(&format!("databases, queues and logs are left for a look; to be on them: . {}", file.display()));
        } else {
            scratch.remove().await?;
        }
        let counts = told?;
        if self.json {
            outln!("{}", serde_json::to_string(&counts)?);
        } else {
            outln!("{}", story::summary(&counts));
            Story::try_next(self.localstack);
        }
        Ok(if counts.promise_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn tell(&self, scratch: &Scratch, story: &mut Story) -> anyhow::Result<Counts> {
        story.chapter("Services start, each in a process of its own");
        let mut services = Services::start(scratch, story).await?;

        story.chapter("One account, from its registration to its erasure");
        journey::take(&services, story).await?;

        story.chapter("A bad release: a constraint in user_db refuses some addresses");
        faults::refuse_some_addresses(scratch).await?;
        story.say("their events will be dead-lettered, and replayed once the constraint is gone");

        story.chapter(&format!("{} people register, some at the same moment with the same address", self.users));
        let half = self.users / 2;
        accounts::register(&services, 0..half).await?;
        let broken = faults::inject_broken_messages(scratch).await?;
        story.say(&format!("{broken} broken messages were put on the topic and the queue"));
        // A worker that is killed between sending a dead letter and deleting its message sends it again. So until nothing but what waits
        // for the lock can be in hand, nobody is killed.
        self.settle(scratch, "applied or dead-lettered", async |now: &Counts| {
            now.unpublished == 0 && now.dead_letters >= broken && now.waiting == 0
        })
        .await?;
        // With a lock in their way, the workers have messages in hand when one of them is killed.
        let in_the_way = faults::lock_profiles(scratch).await?;
        let killed_at = half + self.users / 20;
        accounts::register(&services, half..killed_at).await?;
        let in_hand = scratch.until_messages_are_in_hand().await?;
        services.kill_a_worker(in_hand, story).await?;
        in_the_way.rollback().await?;
        let restarted_at = killed_at + (self.users - killed_at) / 2;
        accounts::register(&services, killed_at..restarted_at).await?;
        services.restart_worker(story).await?;
        accounts::register(&services, restarted_at..self.users).await?;

        story.chapter("A tenth of the deliveries is repeated");
        self.settle(scratch, "published", async |now: &Counts| now.unpublished == 0).await?;
        let repeated = faults::repeat_deliveries(scratch, self.users / 10).await?;
        story.say(&format!("{repeated} events were published a second time"));

        let refused = i64::from(accounts::refused(self.users));
        self.settle(scratch, "applied or dead-lettered", async |now: &Counts| {
            now.applied + refused >= now.registered && now.dead_letters >= refused + broken && now.waiting == 0
        })
        .await?;
        let dead_lettered = scratch.dead_letters().await?;
        story.say(&format!("{dead_lettered} dead letters: {refused} that were refused, {broken} that are broken"));

        story.chapter("The constraint is dropped, and what can be replayed is");
        faults::accept_all_addresses(scratch).await?;
        services.replay_everything(story).await?;
        self.settle(scratch, "applied", async |now: &Counts| now.applied >= now.registered && now.waiting == 0).await?;
        self.settle(scratch, "mailed", async |now: &Counts| now.mailed >= now.mails_asked_for).await?;

        story.chapter("Everything stops");
        services.stop(story).await?;
        let mut counts = scratch.count().await?;
        counts.dead_lettered = dead_lettered;
        Ok(counts)
    }

    /// Waits for `done`, showing how far the events are; gives up when nothing has moved for a while.
    async fn settle(&self, scratch: &Scratch, goal: &str, done: impl AsyncFn(&Counts) -> bool) -> anyhow::Result<()> {
        let bar = Story::progress(u64::from(self.users), goal);
        let mut last = (Instant::now(), None);
        loop {
            let now = scratch.count().await.context("could not count")?;
            bar.set_position(now.applied.unsigned_abs());
            if done(&now).await {
                bar.finish_and_clear();
                return Ok(());
            }
            let moved =
                Some((now.applied, now.unpublished, now.dead_letters, now.waiting, now.duplicates_ignored, now.mailed));
            if moved != last.1 {
                last = (Instant::now(), moved);
            } else if last.0.elapsed() > PATIENCE {
                bail!("nothing moved for {PATIENCE:?} while waiting for every event to be {goal}: {now:?}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
