//! What browsers are told: who may read an answer, and what not to do with it.

use axum::{Router, http::header, routing::get};
use service::{
    docs::Docs,
    http::{AllowedOrigins, HttpSettings},
    settings::Env,
};
use utoipa::OpenApi;

use crate::server::{Reply, Server, assert_guarded, assert_problem, patient, rest, send};

const APP: &str = "https://app.example.com";

#[derive(OpenApi)]
#[openapi(info(title = "test"))]
struct Description;

async fn server(origins: &str) -> Server {
    let kept = async || ([(header::CACHE_CONTROL, "public, max-age=600"), (header::VARY, "accept")], "kept");
    let router = Router::new()
        .route("/", get("quick").put("put"))
        .route("/kept", get(kept))
        .route("/panics", get(async || panic!("hunter2") as &str))
        .merge(Docs::default().page(&Description::openapi()));
    let allowed_origins = AllowedOrigins::from_env(&Env::of([("CORS_ORIGINS", origins)])).unwrap();
    Server::of(router, HttpSettings { allowed_origins, ..patient() }).await
}

async fn ask(server: &Server, line: &str, headers: &[(&str, &str)]) -> Reply {
    let mut stream = server.connect().await;
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>().concat();
    send(&mut stream, format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")).await;
    Reply::parse(&rest(&mut stream).await)
}

async fn preflight(server: &Server, origin: &str) -> Reply {
    let asked = [
        ("origin", origin),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    ask(server, "OPTIONS /", &asked).await
}

const OF_CORS: [&str; 7] = [
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-allow-credentials",
    "access-control-allow-private-network",
    "access-control-expose-headers",
    "access-control-max-age",
];

fn assert_not_shared(reply: &Reply) {
    for name in OF_CORS {
        assert_eq!(reply.header(name), None, "{reply:?}");
    }
}

#[tokio::test]
async fn every_answer_is_guarded_and_what_a_handler_says_of_itself_stays() {
    let server = server("").await;
    for (line, status) in [
        ("GET /", 200),
        ("HEAD /", 200),
        ("GET /nowhere", 404),
        ("DELETE /", 405),
        ("OPTIONS /", 405),
        ("GET /panics", 500),
    ] {
        let reply = ask(&server, line, &[]).await;
        assert_eq!(reply.status, status, "{line}");
        assert_guarded(&reply);
        assert!(!reply.body.contains("hunter2"), "{reply:?}");
    }
    assert_eq!(ask(&server, "GET /kept", &[]).await.header("cache-control"), Some("public, max-age=600"));
    let page = ask(&server, "GET /docs", &[]).await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("style-src 'unsafe-inline'"), "{policy}");
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
}

#[tokio::test]
async fn head_and_options_behave() {
    let server = server("").await;
    let head = ask(&server, "HEAD /", &[]).await;
    assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (200, Some("5"), ""));
    let nowhere = ask(&server, "HEAD /nowhere", &[]).await;
    assert_eq!((nowhere.status, nowhere.header("content-type")), (404, Some("application/problem+json")));
    assert_eq!(nowhere.body, "");
    let options = ask(&server, "OPTIONS /", &[]).await;
    assert_problem(&options, 405);
    assert_eq!(options.header("allow"), Some("GET,HEAD,PUT"));
    assert_problem(&ask(&server, "OPTIONS *", &[]).await, 404);
}

#[tokio::test]
async fn nothing_is_shared_unless_an_origin_is_named() {
    let server = server("").await;
    for reply in [ask(&server, "GET /", &[("origin", APP)]).await, preflight(&server, APP).await] {
        assert_not_shared(&reply);
        assert_eq!(reply.header("vary"), None);
    }
}

#[tokio::test]
async fn a_page_of_a_named_origin_may_ask_and_read() {
    let server = server(&format!("http://localhost:5173, {APP}")).await;
    for origin in [APP, "http://localhost:5173"] {
        let told = preflight(&server, origin).await;
        assert_eq!(told.status, 200);
        assert_guarded(&told);
        for (name, wanted) in [
            ("access-control-allow-origin", origin),
            ("access-control-allow-methods", "GET,POST,PUT,PATCH,DELETE"),
            ("access-control-allow-headers", "authorization,content-type,traceparent,idempotency-key,if-match"),
            ("access-control-max-age", "600"),
            ("vary", "origin"),
        ] {
            assert_eq!(told.header(name), Some(wanted), "{told:?}");
        }
        assert_eq!(told.header("access-control-allow-credentials"), None);

        for (line, status) in [("GET /", 200), ("GET /nowhere", 404), ("DELETE /", 405), ("GET /panics", 500)] {
            let reply = ask(&server, line, &[("origin", origin)]).await;
            assert_eq!(reply.status, status);
            assert_eq!(reply.header("access-control-allow-origin"), Some(origin), "{line}");
            let shown = "x-request-id,retry-after,ratelimit,ratelimit-policy,etag,location";
            assert_eq!(reply.header("access-control-expose-headers"), Some(shown), "{line}");
            assert_eq!(reply.header("vary"), Some("origin"), "{line}");
            assert_guarded(&reply);
        }
    }
}

#[tokio::test]
async fn an_origin_that_only_resembles_a_named_one_gets_nothing() {
    let server = server(APP).await;
    for origin in [
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com:443",
        "https://app.example.com.evil.test",
        "https://evil.app.example.com",
        "https://example.com",
        "https://APP.example.com",
        "https://app.example.com/",
        "https://app.example.com, https://evil.test",
        "null",
        "*",
    ] {
        assert_not_shared(&preflight(&server, origin).await);
        let reply = ask(&server, "GET /", &[("origin", origin)]).await;
        assert_not_shared(&reply);
        // A cache must not give this answer to a page that may read it, nor the other way round.
        assert_eq!((reply.status, reply.header("vary")), (200, Some("origin")), "{origin}");
    }
}

#[tokio::test]
async fn what_is_no_preflight_is_answered_as_ever() {
    let server = server(APP).await;
    let options = ask(&server, "OPTIONS /", &[("origin", APP)]).await;
    assert_problem(&options, 405);
    assert_not_shared(&options);
    let without_origin = ask(&server, "GET /", &[]).await;
    assert_eq!((without_origin.body.as_str(), without_origin.header("vary")), ("quick", Some("origin")));
    assert_not_shared(&without_origin);
}
