//! What users read of themselves at user-service, each beside a bare handler that runs the same statements.

use async_trait::async_trait;

use super::{Scenario, api::measure_all};
use crate::{
    api::{
        endpoints::{self, Reader},
        profiles,
        service::{AuthService, UserService, WithRedis},
    },
    ground::Ground,
    report::{Goal, Measure, Run},
};

pub struct Profiles;

const MEASURES: &[Measure] = &[
    Measure {
        name: "profile",
        unit: "requests/s",
        against: Some("a bare handler with its one statement"),
        goal: Some(Goal::RatioAtLeast(0.8)),
    },
    // A page of 200 is 50 KB of JSON, which the bare handler has ready.
    Measure {
        name: "wishlist-200",
        unit: "requests/s",
        against: Some("a bare handler with its two statements: who is asking, and the list"),
        goal: None,
    },
];

#[async_trait(?Send)]
impl Scenario for Profiles {
    fn name(&self) -> &'static str {
        "profiles"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        self.clear(ground).await?;
        let (auth, reads) = (AuthService::start(ground, WithRedis::Yes).await?, ground.sizes.reads);
        let readers: Vec<Reader> = endpoints::readers(ground, &auth).await?;
        let accounts: Vec<_> = readers.iter().map(|reader| reader.account.clone()).collect();
        profiles::make(&ground.user, &accounts).await?;
        let service = UserService::start(ground, &auth).await?;
        let pairs = vec![(profiles::profile(&readers), reads), (profiles::wishlist(&readers), reads / 4)];
        let runs = measure_all(ground, service.address, "USER_DATABASE_URL", pairs, round).await?;
        service.stop().await?;
        auth.stop().await?;
        Ok(runs)
    }

    async fn clear(&mut self, ground: &Ground) -> anyhow::Result<()> {
        ground.forget_accounts().await?;
        ground.forget_applied().await?;
        Ok(sqlx::query("TRUNCATE products").execute(&ground.user).await.map(drop)?)
    }
}
