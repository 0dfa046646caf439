//! The endpoints of auth-service that compute no hash, each beside a bare handler that runs the same statements.

use std::{fs, net::SocketAddr};

use anyhow::Context;
use async_trait::async_trait;

use super::{Scenario, in_turn};
use crate::{
    api::{
        accounts,
        bare::{BARE_HANDLERS, Endpoint, Plan},
        client::{Connection, requests_per_second},
        endpoints::{self, Pair, asked},
        service::{AuthService, WithRedis, start_bare},
    },
    ground::Ground,
    process::Process,
    report::{Goal, Measure, Run},
};

pub struct Api;

pub(super) const DATABASE: &str = "AUTH_DATABASE_URL";

const fn measure(name: &'static str, against: &'static str) -> Measure {
    Measure { name, unit: "requests/s", against: Some(against), goal: Some(Goal::RatioAtLeast(0.8)) }
}

const ONE: &str = "a bare handler with its one statement";
const TWO: &str = "a bare handler with its two statements";

const MEASURES: &[Measure] = &[
    measure("api-me", ONE),
    measure("api-sessions", TWO),
    measure("api-users", TWO),
    measure("api-audit", TWO),
    measure("api-keys", "a bare handler with no statement"),
    measure("api-refresh", "a bare handler with its statement and its transaction of seven"),
    measure("api-logout", "a bare handler with its transaction of four statements"),
    measure("api-verify", "a bare handler with its transaction of seven statements"),
    measure("api-forgot", ONE),
    measure("api-me-uncached", TWO),
];

/// What is asked of accounts is done by a worker in auth-service, which hears of its own requests at once and of those of a
/// bare handler when it looks. So that it does neither while both are measured, all of them are put off.
const PUT_OFF: &str = "
    CREATE OR REPLACE FUNCTION put_off() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN NEW.not_before := NEW.not_before + interval ''1 day''; RETURN NEW; END';
    CREATE OR REPLACE TRIGGER put_off BEFORE INSERT ON account_requests FOR EACH ROW EXECUTE FUNCTION put_off();
    ";
const NO_LONGER: &str = "DROP FUNCTION put_off() CASCADE";

#[async_trait(?Send)]
impl Scenario for Api {
    fn name(&self) -> &'static str {
        "api"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn prepare(&mut self, ground: &Ground) -> anyhow::Result<()> {
        sqlx::raw_sql(PUT_OFF).execute(&ground.auth).await?;
        Ok(())
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        ground.forget_accounts().await?;
        let (reads, writes) = (ground.sizes.reads, ground.sizes.writes);
        let service = AuthService::start(ground, WithRedis::Yes).await?;
        let readers = endpoints::readers(ground, &service).await?;

        let once = accounts::make(&ground.auth, "once", asked(writes), false).await?;
        let others = accounts::make(&ground.auth, "others", asked(writes), false).await?;
        let (own, bare) = (endpoints::sessions(ground, &once).await?, endpoints::sessions(ground, &others).await?);
        let kept: Vec<_> = readers.iter().map(|reader| reader.account.clone()).collect();
        let pairs = vec![
            (endpoints::me("api-me", &readers, true), reads),
            (endpoints::own_sessions(&readers), reads),
            (endpoints::users(&readers), reads),
            (endpoints::audit(&readers), reads),
            // As long as the others take, which have more to do.
            (endpoints::keys(), 10 * reads),
            (endpoints::refresh(&readers, endpoints::sessions(ground, &kept).await?), writes),
            (endpoints::log_out(&own, &bare), writes),
            (endpoints::verify(ground, &once, &others).await?, writes),
            // A single statement.
            (endpoints::forgot(), 3 * writes),
        ];
        let mut runs = measure_all(ground, service.address, DATABASE, pairs, round).await?;
        service.stop().await?;

        let service = AuthService::start(ground, WithRedis::No).await?;
        let uncached = vec![(endpoints::me("api-me-uncached", &readers, false), reads)];
        runs.extend(measure_all(ground, service.address, DATABASE, uncached, round).await?);
        service.stop().await?;
        Ok(runs)
    }

    async fn clear(&mut self, ground: &Ground) -> anyhow::Result<()> {
        ground.forget_accounts().await?;
        sqlx::raw_sql(NO_LONGER).execute(&ground.auth).await?;
        Ok(())
    }
}

/// Each beside bare handlers on the database that `database` names, by so many requests of each client.
pub(super) async fn measure_all(
    ground: &Ground,
    service: SocketAddr,
    database: &str,
    pairs: Vec<(Pair, usize)>,
    round: usize,
) -> anyhow::Result<Vec<Run>> {
    let (mut pairs, counts): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let (process, address) = serve_bare(ground, service, database, &mut pairs).await?;
    let mut runs = Vec::new();
    for (Pair { name, ours, bare, .. }, each) in pairs.into_iter().zip(counts) {
        let ours = requests_per_second(service, ours, each);
        let bare = requests_per_second(address, bare, each);
        let (ours, bare) = in_turn(round, ours, bare).await.with_context(|| format!("{name} could not be measured"))?;
        runs.push(Run::beside(ours, bare));
    }
    process.stop().await?;
    Ok(runs)
}

/// Bare handlers that answer as `service` does.
pub(super) async fn serve_bare(
    ground: &Ground,
    service: SocketAddr,
    database: &str,
    pairs: &mut [Pair],
) -> anyhow::Result<(Process, SocketAddr)> {
    let mut plan = Plan::new();
    for pair in pairs {
        plan.insert(pair.name.to_owned(), shown(service, pair).await?);
    }
    let file = ground.logs().join("bare-handlers.json");
    fs::write(&file, serde_json::to_vec(&plan)?)?;
    start_bare(ground, BARE_HANDLERS, database, &file).await
}

/// What our answers are like, for the bare handler to give the same: the first request of each client.
async fn shown(service: SocketAddr, pair: &mut Pair) -> anyhow::Result<Endpoint> {
    let mut last = None;
    for (client, script) in pair.ours.iter_mut().enumerate() {
        let mut connection = Connection::open(service, client as u8).await?;
        last = Some(script.step(&mut connection).await?);
    }
    let answer = last.context("nobody asks")?;
    Ok(Endpoint { steps: pair.steps.clone(), status: answer.status.as_u16(), answer_bytes: answer.body.len() })
}
