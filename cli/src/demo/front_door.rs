//! How people reach auth-service: through a proxy that it trusts, which says where each of them is.
//!
//! The demo is that proxy, on loopback. So limits stay on, and count each person by their own network.

use std::{net::Ipv4Addr, time::Duration};

use reqwest::{Client, Method, RequestBuilder};

/// Cheap to clone.
#[derive(Clone)]
pub struct FrontDoor {
    client: Client,
    url: String,
}

/// Where this proxy is, for `TRUSTED_PROXIES`.
pub const PROXY: &str = "127.0.0.1";

impl FrontDoor {
    pub fn to(url: &str) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(Duration::from_secs(60)).build()?;
        Ok(Self { client, url: url.to_owned() })
    }

    /// A request from somebody who is there.
    pub fn request(&self, from: Ipv4Addr, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).header("x-forwarded-for", from.to_string())
    }
}
