//! `waypost healthcheck`: is the service beside this command ready? For images without a shell.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{Args, builder::PossibleValuesParser};
use reqwest::Client;
use service::settings::{Env, SettingErrors};

use crate::{
    apis::{APIS, Api},
    consumers::{CONSUMERS, ConsumerProcess},
    outln,
    run::{RELAY, RELAY_ADMIN},
};

#[derive(Debug, Args)]
pub struct HealthCheck {
    /// The service, which is looked for where its own settings have it listen
    #[arg(value_parser = listening())]
    service: String,
}

fn listening() -> PossibleValuesParser {
    let workers = CONSUMERS.iter().map(|row| row.process);
    APIS.into_iter().map(|row| row.name).chain(workers).chain([RELAY]).into()
}

const PATIENCE: Duration = Duration::from_secs(4);

impl HealthCheck {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let listen = match (ConsumerProcess::of_process(&self.service), Api::named(&self.service)) {
            (Some(row), _) => row.admin.read(env),
            (None, Some(row)) => row.admin.read(env),
            (None, None) => RELAY_ADMIN.read(env),
        };
        let url = format!("http://{}/readyz", reachable(listen.map_err(SettingErrors::from)?));
        let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let answer = client.get(&url).send().await.with_context(|| format!("{url} does not answer"))?;
        let status = answer.status();
        outln!("{url} answers {status}");
        if status.is_success() {
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("{}", answer.text().await.unwrap_or_default());
        Ok(ExitCode::FAILURE)
    }
}

/// Who listens on every address is asked on loopback.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    listen
}
