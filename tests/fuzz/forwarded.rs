//! Fields of `x-forwarded-for` as anybody may send them: the client is who a trusted proxy says, and nobody else.
//!
//! The rule is told here once more, by looking for the one entry that may be the client instead of walking to it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use service::http::{ClientAddress, TrustedProxies, client_behind};

const TRUSTED: [&str; 4] = ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8", "::1/128"];
/// Of these each input has one, by its first byte.
const PEERS: [&str; 6] = ["10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "203.0.113.9", "2001:db8::9", "::ffff:203.0.113.9"];
const STRANGER: &str = "198.51.100.77";

/// Panics where the bytes show a mistake. The first is for the peer; each line of the others is a field.
pub fn check(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let peer: IpAddr = PEERS[usize::from(*first) % PEERS.len()].parse().expect("a peer is an address");
    let trusted: TrustedProxies = TRUSTED.iter().map(|network| network.parse::<IpNet>().expect("a network")).collect();
    let fields: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').collect();
    let client = |fields: &[&[u8]]| client_behind(peer, &trusted, fields.iter().copied()).0;

    let found = client(&fields);
    assert_eq!(found, expected(peer, &trusted, &fields), "{}", shown(peer, &fields));
    assert_eq!(found.to_canonical(), found, "{}", shown(peer, &fields));
    assert_eq!(client(&[&fields.join(&b',')]), found, "in one field: {}", shown(peer, &fields));

    // Whoever is not trusted has told a story, and tells another.
    let behind_a_stranger = [&[STRANGER.as_bytes()], &fields[..]].concat();
    if !trusted.contains(found) {
        assert_eq!(client(&behind_a_stranger), found, "{}", shown(peer, &behind_a_stranger));
    }
    let by_a_stranger = [&fields[..], &[STRANGER.as_bytes()]].concat();
    let stranger = if trusted.contains(peer.to_canonical()) { STRANGER.parse().expect("an address") } else { found };
    assert_eq!(client(&by_a_stranger), stranger, "{}", shown(peer, &by_a_stranger));
    assert_eq!(client_behind(peer, &TrustedProxies::default(), fields.iter().copied()).0, peer.to_canonical());

    assert_limited_as_one(found);
}

/// From the right: the first entry that is no trusted proxy, where all to the right of it are; the last of these where it
/// is no address at all, or where there is none.
fn expected(peer: IpAddr, trusted: &TrustedProxies, fields: &[&[u8]]) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted.contains(peer) {
        return peer;
    }
    let entries: Vec<&[u8]> = fields.iter().flat_map(|field| field.split(|byte| *byte == b',')).collect();
    let hops: Vec<Option<IpAddr>> = entries.into_iter().map(address).chain([Some(peer)]).collect();
    let last_told = |from: usize| hops[from].unwrap_or(peer);
    match hops.iter().rposition(|hop| hop.is_none_or(|hop| !trusted.contains(hop))) {
        Some(at) if hops[at].is_none() => last_told(at + 1),
        Some(at) => last_told(at),
        None => last_told(0),
    }
}

/// `a.b.c.d`, `a.b.c.d:port`, `x::y`, `[x::y]` or `[x::y]:port`.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let address = if let Some(inside) = entry.strip_prefix('[') {
        let (inside, port) = inside.split_once(']')?;
        let fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        IpAddr::V6(inside.parse::<Ipv6Addr>().ok().filter(|_| fits)?)
    } else if entry.matches(':').count() > 1 {
        IpAddr::V6(entry.parse::<Ipv6Addr>().ok()?)
    } else {
        let (host, port) = entry.split_once(':').unwrap_or((entry, "0"));
        IpAddr::V4(host.parse::<Ipv4Addr>().ok().filter(|_| is_port(port))?)
    };
    Some(address.to_canonical())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// A network is told as it is read, holds whom it counts, and is one for both spellings of IPv4.
fn assert_limited_as_one(client: IpAddr) {
    let network = ClientAddress(client).network();
    let told = network.to_string();
    let read: IpNet =
        told.parse().or_else(|_| told.parse::<IpAddr>().map(IpNet::from)).expect("a network is told as one");
    assert!(read.contains(&client) && read.trunc() == read, "{told} is not the network of {client}");
    assert_eq!(read.prefix_len(), if client.is_ipv4() { 32 } else { 64 }, "{told}");
    if let IpAddr::V4(client) = client {
        assert_eq!(ClientAddress(client.to_ipv6_mapped().into()).network(), network);
    }
}

fn shown(peer: IpAddr, fields: &[&[u8]]) -> String {
    let fields: Vec<_> = fields.iter().map(|field| String::from_utf8_lossy(field)).collect();
    format!("{fields:?} from {peer}")
}
