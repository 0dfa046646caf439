//! Whose request it is, by network address.
//!
//! A header can say anything, so `x-forwarded-for` counts only where it comes from a proxy that is trusted by name, and
//! only as far as trusted proxies wrote it. Each appends the address that it was called from: read from the right, the
//! first entry that is no trusted proxy is the client, and what is left of it is the client's own story.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts, Request},
    http::{Extensions, HeaderName, HeaderValue, StatusCode, request::Parts},
};
use ipnet::{IpNet, Ipv6Net};

use super::layers::Known;
use crate::{
    Problem,
    settings::{Env, SettingError},
};

/// Whose word on their client is taken: nobody's, unless they are named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// Where a request came from. An IPv4 address that is written as IPv6 is the IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

/// What one client has for its own: an IPv4 address, or the /64 that an IPv6 address is of, in which anybody takes as many
/// addresses as they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpNet);

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The bits of an IPv6 address that name a network.
const NETWORK_BITS: u8 = 64;

impl TrustedProxies {
    /// `TRUSTED_PROXIES`: addresses and networks, separated by commas.
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        const NAME: &str = "TRUSTED_PROXIES";
        let entries =
            env.optional(NAME)?.unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let networks = entries.map(|entry| {
            network(entry).ok_or_else(|| {
                let should_be =
                    "addresses and networks such as `10.0.0.0/8, 127.0.0.1, ::1`, no bits of a host in a network";
                SettingError::wrong(NAME, entry, should_be)
            })
        });
        networks.collect::<Result<_, _>>().map(Self)
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    fn contain_peer_of<B>(&self, request: &hyper::Request<B>) -> bool {
        peer(request.extensions()).is_some_and(|peer| self.contains(peer))
    }

    /// Whether the client spoke TLS, as far as a trusted proxy says so: it alone can know.
    pub(super) fn saw_tls<B>(&self, request: &hyper::Request<B>) -> bool {
        let mut told = request.headers().get_all(&FORWARDED_PROTO).iter();
        let https =
            matches!((told.next(), told.next()), (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"https"));
        https && self.contain_peer_of(request)
    }
}

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

fn network(entry: &str) -> Option<IpNet> {
    let address = || entry.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
    let network: IpNet = entry.parse().ok().or_else(address)?;
    // Peers are compared in canonical form, so a network of IPv4 addresses that is written as IPv6 would hold nobody.
    let is_canonical = network.addr().to_canonical() == network.addr() && network.trunc() == network;
    is_canonical.then_some(network)
}

/// The client behind `peer`, by the fields of `x-forwarded-for` in the order in which they came.
///
/// What is no address ends the walk at the last hop that is known, also where it is nothing at all: a proxy that did not
/// know its own client must not make the entry before it count.
pub fn client_behind<'a>(
    peer: IpAddr,
    trusted: &TrustedProxies,
    forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> ClientAddress {
    let mut known = peer.to_canonical();
    let mut entries = forwarded_for.rev().flat_map(|field| field.rsplit(|byte| *byte == b','));
    while trusted.contains(known)
        && let Some(hop) = entries.next().and_then(hop)
    {
        known = hop;
    }
    ClientAddress(known)
}

/// An address, with or without a port; IPv6 with or without brackets. One with a zone is no client's: a zone means something
/// on the host that wrote it, and nowhere else.
fn hop(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    if entry.contains('%') {
        return None;
    }
    let in_brackets = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let address = entry.parse().ok().or_else(|| entry.parse().ok().map(|with_port: SocketAddr| with_port.ip()));
    address.or_else(in_brackets).map(|address| address.to_canonical())
}

impl ClientAddress {
    /// `None` where nothing was accepted on a socket.
    pub(super) fn of(request: &Request, trusted: &TrustedProxies) -> Option<Self> {
        let fields = request.headers().get_all(&FORWARDED_FOR);
        let peer = peer(request.extensions())?;
        Some(client_behind(peer, trusted, fields.iter().map(HeaderValue::as_bytes)))
    }

    /// What [`app`](super::app) found, among the extensions of a request.
    pub fn among(extensions: &Extensions) -> Option<Self> {
        Known::of(extensions).and_then(|known| known.client)
    }

    /// What limits count by.
    pub fn network(self) -> ClientNetwork {
        ClientNetwork(match self.0.to_canonical() {
            IpAddr::V4(address) => IpNet::from(IpAddr::V4(address)),
            IpAddr::V6(address) => {
                let whole = Ipv6Net::from(address);
                IpNet::V6(Ipv6Net::new(address, NETWORK_BITS).unwrap_or(whole).trunc())
            }
        })
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Such as `203.0.113.7` or `2001:db8:1:2::/64`.
impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpNet::V4(network) => network.addr().fmt(f),
            IpNet::V6(network) => network.fmt(f),
        }
    }
}

/// Not there where nothing was accepted on a socket.
fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get().map(|ConnectInfo::<SocketAddr>(peer)| peer.ip().to_canonical())
}

impl<S: Sync> OptionalFromRequestParts<S> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Ok(Self::among(&parts.extensions))
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::among(&parts.extensions).ok_or_else(|| {
            tracing::error!(
                "a request has no client address: its router is not one of `http::app`, or not run by `http::serve`"
            );
            Problem::of(StatusCode::INTERNAL_SERVER_ERROR)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(list: &str) -> TrustedProxies {
        TrustedProxies::from_env(&Env::of([("TRUSTED_PROXIES", list)])).unwrap()
    }

    fn behind(peer: &str, list: &str, fields: &[&str]) -> String {
        let fields = fields.iter().map(|field| field.as_bytes());
        client_behind(peer.parse().unwrap(), &trusted(list), fields).to_string()
    }

    #[test]
    fn the_rightmost_that_is_not_trusted_is_the_client() {
        const NEAR: &str = "10.0.0.1";
        const OURS: &str = "10.0.0.0/8, fd00::/8, ::1";
        for (fields, client) in [
            (&[][..], NEAR),
            (&["203.0.113.7"], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
            (&["203.0.113.7, 10.9.9.9"], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7 ,\t10.9.9.9,10.8.8.8 "], "203.0.113.7"),
            // Several lines are one list.
            (&["198.51.100.1", "203.0.113.7", "10.9.9.9"], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7", "10.9.9.9, 10.8.8.8"], "203.0.113.7"),
            // All are trusted: the leftmost.
            (&["10.7.7.7, 10.9.9.9"], "10.7.7.7"),
            (&["fd00::7", "10.9.9.9"], "fd00::7"),
            // With ports, brackets, and as IPv6.
            (&["203.0.113.7:567"], "203.0.113.7"),
            (&["[2001:db8::7]:567"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["2001:DB8::7"], "2001:db8::7"),
            (&["203.0.113.7, ::ffff:10.9.9.9"], "203.0.113.7"),
            (&["::ffff:203.0.113.7"], "203.0.113.7"),
            (&["203.0.113.7, [::1]:567, ::1"], "203.0.113.7"),
            // What is no address ends the walk.
            (&["203.0.113.7, unknown"], NEAR),
            (&["203.0.113.7, unknown, 10.9.9.9"], "10.9.9.9"),
            (&["203.0.113.7, _hidden"], NEAR),
            (&["203.0.113.7,"], NEAR),
            (&["203.0.113.7", ""], NEAR),
            (&["203.0.113.7, 10.9.9"], NEAR),
            (&["010.0.0.9"], NEAR),
            (&["203.0.113.7:99999"], NEAR),
            (&["203.0.113.7:"], NEAR),
            (&["[203.0.113.7]"], NEAR),
            (&["2001:db8::7%eth0"], NEAR),
            (&["203.0.113.7, [2001:db8::7%1]:567"], NEAR),
            (&["\"203.0.113.7\""], NEAR),
            (&["10.0.0.0/8"], NEAR),
            (&["unknown, 203.0.113.7, 10.9.9.9"], "203.0.113.7"),
        ] {
            assert_eq!(behind(NEAR, OURS, fields), client, "{fields:?}");
            assert_eq!(behind(&format!("::ffff:{NEAR}"), OURS, fields), client, "{fields:?}");
        }
    }

    #[test]
    fn a_peer_that_is_not_trusted_changes_nothing_with_a_header() {
        for (peer, list) in [("203.0.113.9", "10.0.0.0/8"), ("10.0.0.1", ""), ("2001:db8::9", "::1, ::/128")] {
            for fields in [&["198.51.100.1"][..], &["10.0.0.1"], &["198.51.100.1, 10.0.0.1"], &["unknown"]] {
                assert_eq!(behind(peer, list, fields), peer, "{list}: {fields:?}");
            }
        }
    }

    #[test]
    fn what_is_not_text_is_no_address() {
        let client = |field: &[u8]| client_behind([10, 0, 0, 1].into(), &trusted("10.0.0.0/8"), [field].into_iter());
        assert_eq!(client(b"203.0.113.7, \xff\xfe").to_string(), "10.0.0.1");
        assert_eq!(client(b"\xff\xfe, 203.0.113.7").to_string(), "203.0.113.7");
    }

    /// By another way than the walk: all lists of up to four of these hops, in one field and in several.
    #[test]
    fn every_short_list_is_read_as_the_rule_says() {
        const HOPS: [&str; 4] = ["10.0.0.2", "203.0.113.7", "198.51.100.1", "unknown"];
        let ours = trusted("10.0.0.0/8");
        for length in 0..=4 {
            for number in 0..HOPS.len().pow(length) {
                let list: Vec<_> = (0..length).map(|at| HOPS[number / HOPS.len().pow(at) % HOPS.len()]).collect();
                // From the right: the first that is not ours, if it is an address; else the last of ours before it.
                let first_other = list.iter().rposition(|hop| *hop != HOPS[0]);
                let wanted = match first_other.map(|at| (at, list[at])) {
                    Some((at, "unknown")) => list.get(at + 1).copied().unwrap_or("10.0.0.1"),
                    Some((_, hop)) => hop,
                    None => list.first().copied().unwrap_or("10.0.0.1"),
                };
                for split in 0..=list.len() {
                    let (left, right) = (list[..split].join(","), list[split..].join(" , "));
                    let fields: Vec<_> = [&left, &right].into_iter().filter(|field| !field.is_empty()).collect();
                    let fields = fields.into_iter().map(String::as_bytes);
                    let found = client_behind([10, 0, 0, 1].into(), &ours, fields).to_string();
                    assert_eq!(found, wanted, "{list:?} at {split}");
                }
            }
        }
    }

    #[test]
    fn limits_count_by_address_or_by_64_bits() {
        for (address, network) in [
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(ClientAddress(address.parse().unwrap()).network().to_string(), network);
        }
        let of = |address: &str| ClientAddress(address.parse().unwrap()).network();
        assert_eq!(of("2001:db8:1:2::a"), of("2001:db8:1:2:ffff::b"));
        assert_ne!(of("2001:db8:1:2::a"), of("2001:db8:1:3::a"));
        assert_ne!(of("203.0.113.7"), of("203.0.113.8"));
    }

    #[test]
    fn a_wrong_entry_is_named() {
        for wrong in
            ["10.0.0.0/33", "10.0.0.1/8", "proxy.example.com", "10.0.0", "*", "::ffff:10.0.0.0/104", "10.0.0.0-9"]
        {
            let env = Env::of([("TRUSTED_PROXIES", format!("127.0.0.1, {wrong},::1"))]);
            let error = TrustedProxies::from_env(&env).unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "TRUSTED_PROXIES is `{wrong}`, should be addresses and networks such as `10.0.0.0/8, 127.0.0.1, \
                     ::1`, no bits of a host in a network"
                )
            );
        }
        let none = TrustedProxies::from_env(&Env::of::<&str, &str>([])).unwrap();
        assert_eq!(none, TrustedProxies::default());
        assert!(!none.contains([127, 0, 0, 1].into()));
        let some = trusted("10.0.0.0/8, ::ffff:192.0.2.1 ,");
        assert!(some.contains([10, 255, 0, 1].into()) && some.contains([192, 0, 2, 1].into()));
        assert!(!some.contains([11, 0, 0, 1].into()) && !some.contains([192, 0, 2, 2].into()));
    }
}
