//! People who register, over HTTP.

use std::{net::Ipv4Addr, ops::Range, time::Duration};

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, StatusCode, header::RETRY_AFTER};
use serde_json::json;
use tokio::time::Instant;

use super::{front_door::FrontDoor, processes::Services, story::Story};

/// People at the keyboard at one time.
const AT_A_TIME: usize = 6;
/// Every tenth registers three times at the same moment, in different spellings.
const IMPATIENT: u32 = 10;
/// Every fiftieth has an address that the constraint refuses.
const REFUSED: u32 = 50;
/// How long somebody goes on trying.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the constraint looks for.
pub const REFUSED_TAG: &str = "+refused@";

fn is_refused(user: u32) -> bool {
    user % REFUSED == 7
}

/// How many of this many people have an address that is refused.
pub fn refused(users: u32) -> u32 {
    (0..users).filter(|user| is_refused(*user)).count() as u32
}

fn address(user: u32) -> String {
    if is_refused(user) { format!("user{user}{REFUSED_TAG}example.com") } else { format!("user{user}@example.com") }
}

/// Where somebody is, in a network for such purposes (RFC 2544).
fn network(user: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + user)
}

/// Registers users; every answer has to be the same 202, whether the address was known or not.
pub async fn register(services: &Services<'_>, users: Range<u32>) -> anyhow::Result<()> {
    let door = FrontDoor::to(&services.auth_url)?;
    let bar = Story::progress(u64::from(users.end - users.start), "registered");
    let requests = users.flat_map(|user| {
        let address = address(user);
        let spellings = if user % IMPATIENT == 3 {
            vec![address.clone(), address.to_uppercase(), format!(" {address} ")]
        } else {
            vec![address]
        };
        spellings.into_iter().map(move |spelling| (network(user), spelling))
    });
    // Neighbours in the stream are under way at the same time, so the three spellings race each other.
    stream::iter(requests)
        .map(|(from, address)| {
            let (door, bar) = (&door, &bar);
            async move {
                register_one(door, from, &address).await?;
                bar.inc(u64::from(!address.starts_with(' ') && !address.starts_with('U')));
                anyhow::Ok(())
            }
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect::<Vec<()>>()
        .await?;
    bar.finish_and_clear();
    Ok(())
}

/// The password hasher may have no room. It says so, and when to come back.
async fn register_one(door: &FrontDoor, from: Ipv4Addr, address: &str) -> anyhow::Result<()> {
    let body = json!({ "email": address, "password": "a long enough passphrase for a demo" });
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = door.request(from, Method::POST, "/v1/auth/register").json(&body);
        let answer = request.send().await.context("auth-service did not answer")?;
        let wait = answer.headers().get(RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        match (answer.status(), wait.map(Duration::from_secs)) {
            (StatusCode::ACCEPTED, _) => return Ok(()),
            (StatusCode::SERVICE_UNAVAILABLE, Some(wait)) if Instant::now() < deadline => {
                tokio::time::sleep(wait).await;
            }
            (status, _) => {
                bail!("registering was answered with {status}: {}", answer.text().await.unwrap_or_default())
            }
        }
    }
}
