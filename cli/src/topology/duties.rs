//! What each process does on the bus, and so what it may.

use std::{collections::BTreeMap, process::ExitCode};

use clap::Args;
use messaging::{Duty, Place, policy_document};
use serde_json::Value;
use service::settings::{Env, all};

use crate::{
    Usage,
    bus::{account, names, region},
    landscape::landscape,
    outln,
    producers::PRODUCERS,
    run::process_of,
};

#[derive(Debug, Args)]
pub struct Policies {
    /// Only of this one: a process as `waypost run` knows it, `operator` or `deployer`
    service: Option<String>,
    /// Print nothing but the policies, as one JSON object by service; without it, one after the other
    #[arg(long)]
    json: bool,
}

/// Who works with `waypost dlq`.
const OPERATOR: &str = "operator";
/// Who works with `waypost topology`.
const DEPLOYER: &str = "deployer";

/// Of the processes, and of the people who work with dead letters.
pub fn duties() -> BTreeMap<String, Vec<Duty>> {
    let landscape = landscape();
    let mut duties: BTreeMap<String, Vec<Duty>> = BTreeMap::new();
    let mut give = |who: String, duty: Duty| duties.entry(who).or_default().push(duty);
    for producer in PRODUCERS {
        let publish = Duty::Publish(producer.sends.iter().copied().collect());
        // One of both publishes: where the relay runs by itself, the other process needs nothing of this.
        give(format!("{}-relay", producer.name), publish.clone());
        give(producer.process.to_owned(), publish);
    }
    for subscriber in &landscape.subscribers {
        give(process_of(&subscriber.consumer).to_owned(), Duty::Consume(subscriber.consumer.clone()));
        give(OPERATOR.to_owned(), Duty::Replay(subscriber.consumer.clone()));
    }
    duties
}

impl Policies {
    /// For the account and region that the environment names, or any.
    pub fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let (names, account, region) = all((names(env), account(env), region(env)))?;
        let place = Place::in_region(region, account);
        let mut duties = duties();
        duties.insert(DEPLOYER.to_owned(), vec![Duty::Deploy]);
        if let Some(service) = &self.service {
            let known = duties.keys().cloned().collect::<Vec<_>>().join(", ");
            duties.retain(|who, _| who == service);
            if duties.is_empty() {
                return Err(Usage(format!("nobody is called `{service}`; there are: {known}")).into());
            }
        }
        let policies: BTreeMap<_, _> =
            duties.into_iter().map(|(who, duties)| (who, policy_document(&duties, &names, &place))).collect();
        match (self.json, self.service) {
            // As IAM takes it.
            (_, Some(service)) => print(&policies[&service])?,
            (true, None) => outln!("{}", serde_json::to_string_pretty(&policies)?),
            (false, None) => {
                for (who, policy) in &policies {
                    outln!("# {who}");
                    print(policy)?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(policy: &Value) -> anyhow::Result<()> {
    outln!("{}", serde_json::to_string_pretty(policy)?);
    Ok(())
}
