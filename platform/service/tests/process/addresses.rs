use axum::{Router, extract::ConnectInfo, routing::get};
use service::{
    http::{ClientAddress, HttpSettings, TrustedProxies},
    settings::Env,
};

use crate::{
    get as fetch,
    server::{Reply, Server, patient, rest, send},
};

fn trusting(list: &str) -> HttpSettings {
    let trusted_proxies = TrustedProxies::from_env(&Env::of([("TRUSTED_PROXIES", list)])).unwrap();
    HttpSettings { trusted_proxies, ..patient() }
}

fn router() -> Router {
    Router::new()
        .route("/address", get(async |address: ClientAddress| address.to_string()))
        .route("/network", get(async |address: ClientAddress| address.network().to_string()))
        .route("/maybe", get(async |address: Option<ClientAddress>| format!("{address:?}")))
}

async fn ask(server: &Server, path: &str, headers: &str) -> Reply {
    let mut stream = server.connect().await;
    send(&mut stream, format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")).await;
    Reply::parse(&rest(&mut stream).await)
}

#[tokio::test]
async fn a_trusted_proxy_tells_the_client_and_nobody_else_does() {
    const TOLD: &str = "x-forwarded-for: 198.51.100.1\r\nx-forwarded-for: 2001:db8:1:2:3:4:5:6, 127.0.0.9\r\n";
    let ours = Server::of(router(), trusting("127.0.0.0/8")).await;
    assert_eq!(ask(&ours, "/address", TOLD).await.body, "2001:db8:1:2:3:4:5:6");
    assert_eq!(ask(&ours, "/network", TOLD).await.body, "2001:db8:1:2::/64");
    assert_eq!(ask(&ours, "/address", "").await.body, "127.0.0.1");
    assert_eq!(
        ask(&ours, "/address", "forwarded: for=198.51.100.1\r\nx-real-ip: 198.51.100.1\r\n").await.body,
        "127.0.0.1"
    );

    for list in ["", "10.0.0.0/8, ::1"] {
        let strangers = Server::of(router(), trusting(list)).await;
        for path in ["/address", "/network"] {
            assert_eq!(ask(&strangers, path, TOLD).await.body, "127.0.0.1", "{list:?}");
        }
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_can_say_that_the_client_spoke_tls() {
    const ALWAYS_TLS: Option<&str> = Some("max-age=31536000; includeSubDomains");
    let ours = Server::of(router(), trusting("127.0.0.1")).await;
    let strangers = Server::of(router(), trusting("10.0.0.0/8")).await;
    for (headers, wanted) in [
        ("x-forwarded-proto: https\r\n", ALWAYS_TLS),
        ("x-forwarded-proto: HTTPS\r\n", ALWAYS_TLS),
        ("x-forwarded-proto: http\r\n", None),
        ("x-forwarded-proto: https, http\r\n", None),
        ("x-forwarded-proto: https\r\nx-forwarded-proto: http\r\n", None),
        ("", None),
    ] {
        for path in ["/address", "/nowhere"] {
            let told = ask(&ours, path, headers).await;
            assert_eq!(told.header("strict-transport-security"), wanted, "{headers:?} {path}");
            let told = ask(&strangers, path, headers).await;
            assert_eq!(told.header("strict-transport-security"), None, "{headers:?} {path}");
        }
    }
}

#[tokio::test]
async fn without_a_socket_there_is_no_address() {
    let app = service::http::app(router(), &trusting("127.0.0.1"));
    assert_eq!(fetch(&app, "/address").await.status(), 500);
    assert_eq!(crate::text(fetch(&app, "/maybe").await).await, "None");
    let told = ConnectInfo(std::net::SocketAddr::from(([203, 0, 113, 7], 80)));
    let request = axum::http::Request::get("/maybe").extension(told).body(axum::body::Body::empty()).unwrap();
    assert_eq!(crate::text(crate::ask(&app, request).await).await, "Some(ClientAddress(203.0.113.7))");
}
