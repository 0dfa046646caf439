//! Bodies and query strings as anybody may send them, through a handler: what serde takes is taken, and the problem that
//! is told of the rest names a field and repeats nothing of what was in it.

use std::{cell::OnceCell, collections::BTreeMap};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::DefaultBodyLimit,
    http::{Request, Response, StatusCode, header},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use service::problem::{CONTENT_TYPE, Json, Query};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;
use url::form_urlencoded;
use uuid::Uuid;

const LIMIT: usize = 4_096;
const LONGEST_QUERY: usize = 512;
const LONGEST_FIELD: usize = 64;
/// Stand for what was sent: no answer says them.
const CANARY: &str = "qzjxkvwq";
const CANARY_NUMBER: i64 = -7_310_528_946;

const JSON: &str = "application/json";
/// Of these each input has one, by its first byte.
const CONTENT_TYPES: [&str; 8] = [
    JSON,
    JSON,
    "Application/JSON; charset=utf-8",
    "application/merge-patch+json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json/x",
    "",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "all that is asked is whether it is read")]
struct StrictBody {
    name: String,
    count: u32,
    small: Option<i8>,
    ratio: Option<f64>,
    is_open: Option<bool>,
    kind: Option<Kind>,
    shape: Option<Shape>,
    owner: Option<Uuid>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    sizes: BTreeMap<String, u8>,
    parent: Option<Box<StrictBody>>,
    any: Option<Value>,
}

/// Ignores what it does not know; its parts are read in other ways than by name.
#[derive(Deserialize)]
#[expect(dead_code, reason = "all that is asked is whether it is read")]
struct LooseBody {
    pair: (u8, String),
    letter: Option<char>,
    either: Option<Either>,
    tagged: Option<Tagged>,
    #[serde(default)]
    loose: Vec<LooseBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Large,
    Small,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "all that is asked is whether it is read")]
enum Shape {
    Circle { radius: u16 },
    Line(i64, i64),
    Named(String),
    Point,
}

#[derive(Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "all that is asked is whether it is read")]
enum Either {
    Number(u16),
    Text(Kind),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
#[expect(dead_code, reason = "all that is asked is whether it is read")]
enum Tagged {
    Mail { to: Vec<Kind> },
    Phone { number: u64 },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "all that is asked is whether it is read")]
struct Page {
    limit: Option<u16>,
    after: Option<String>,
    kind: Option<Kind>,
    is_open: Option<bool>,
    owner: Option<Uuid>,
}

/// Panics where the bytes show a mistake. The first is for the media type, the others are body and query.
pub fn check(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let content_type = CONTENT_TYPES[usize::from(*first) % CONTENT_TYPES.len()];
    check_body::<StrictBody>("/strict", content_type, rest);
    check_body::<LooseBody>("/loose", content_type, rest);
    check_query(rest);
}

fn check_body<T: for<'a> Deserialize<'a>>(path: &str, content_type: &str, body: &[u8]) {
    let told = posted(path, content_type, body.to_vec());
    assert_eq!(told.is_none(), is_taken::<T>(content_type, body), "{told:?}");
    if let Some(told) = told {
        told.assert_is_for(content_type, body);
    }
    let Some(marked) = marked(body) else { return };
    if let Some(told) = posted(path, JSON, marked.clone().into_bytes()) {
        told.assert_is_for(JSON, marked.as_bytes());
        told.assert_hides(&marked);
    }
}

fn is_taken<T: for<'a> Deserialize<'a>>(content_type: &str, body: &[u8]) -> bool {
    let is_object = body.trim_ascii_start().starts_with(b"{");
    is_json(content_type) && body.len() <= LIMIT && is_object && serde_json::from_slice::<T>(body).is_ok()
}

fn is_json(content_type: &str) -> bool {
    CONTENT_TYPES[..4].contains(&content_type)
}

fn check_query(bytes: &[u8]) {
    // As it would have to be written: what else there is has no request line around it.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"=&+%-_.~".contains(&byte);
    let written = |byte: &u8| if fits(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
    let query: String = bytes.iter().take(LONGEST_QUERY).map(written).collect();
    let told = asked(&query);
    assert_eq!(told.is_none(), serde_urlencoded::from_str::<Page>(&query).is_ok(), "{query}: {told:?}");
    if query.contains(CANARY) {
        return;
    }
    let pairs = form_urlencoded::parse(query.as_bytes());
    let marked = pairs.map(|(name, value)| (name, format!("{CANARY}{value}, expected {CANARY} at line {CANARY}")));
    let marked = form_urlencoded::Serializer::new(String::new()).extend_pairs(marked).finish();
    for (query, told) in [(&query, told), (&marked, asked(&marked))] {
        let Some(told) = told else { continue };
        assert_eq!(told.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {told:?}");
        told.assert_is_shaped();
        told.assert_hides(query);
    }
}

/// A problem document.
#[derive(Debug)]
struct Told {
    status: StatusCode,
    document: Document,
    text: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<FieldAtFault>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FieldAtFault {
    field: String,
    message: String,
}

impl Told {
    fn assert_is_for(&self, content_type: &str, body: &[u8]) {
        let statuses = match body.len() {
            _ if !is_json(content_type) => &[StatusCode::UNSUPPORTED_MEDIA_TYPE][..],
            LIMIT.. if body.len() > LIMIT => &[StatusCode::PAYLOAD_TOO_LARGE],
            _ => &[StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY],
        };
        let shown = String::from_utf8_lossy(body);
        assert!(statuses.contains(&self.status), "{self:?} of {content_type} with {shown}");
        let is_an_object = matches!(serde_json::from_slice(body), Ok(Value::Object(_)));
        assert!(self.status != StatusCode::BAD_REQUEST || !is_an_object, "{self:?} of {shown}");
        self.assert_is_shaped();
    }

    fn assert_is_shaped(&self) {
        let Document { kind, title, status, errors, .. } = &self.document;
        assert_eq!(*status, self.status.as_u16());
        assert!(!title.is_empty() && (kind == "about:blank" || kind.starts_with("urn:waypost:problem:")), "{self:?}");
        assert_eq!(errors.len(), usize::from(self.status == StatusCode::UNPROCESSABLE_ENTITY), "{self:?}");
        for FieldAtFault { field, message } in errors {
            assert!(field.chars().count() <= LONGEST_FIELD && !field.contains(char::is_control), "{self:?}");
            assert!(!message.is_empty() && message.len() <= 100, "{self:?}");
            // How a program of ours calls what it reads into is nobody's business.
            for ours in ["struct", "variant", "enum", "tuple", "Body", "Kind", "Shape", "Either", "Tagged", "Page"] {
                assert!(!message.contains(ours), "{self:?} tells of a type");
            }
        }
    }

    fn assert_hides(&self, sent: &str) {
        for canary in [CANARY, &CANARY_NUMBER.unsigned_abs().to_string()] {
            assert!(!self.text.contains(canary), "{} quotes {sent}", self.text);
        }
    }
}

fn posted(path: &str, content_type: &str, body: Vec<u8>) -> Option<Told> {
    let request = Request::post(path).header(header::CONTENT_TYPE, content_type).body(Body::from(body));
    answered(request.expect("a request"))
}

fn asked(query: &str) -> Option<Told> {
    answered(Request::get(format!("/page?{query}")).body(Body::empty()).expect("a request"))
}

/// None where the handler ran.
fn answered(request: Request<Body>) -> Option<Told> {
    thread_local! {
        static SERVER: OnceCell<(Runtime, Router)> = const { OnceCell::new() };
    }
    SERVER.with(|server| {
        let (runtime, router) = server.get_or_init(|| {
            let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime starts");
            (runtime, router())
        });
        let (head, body) = runtime.block_on(async {
            let response = router.clone().oneshot(request).await.expect("a router answers");
            let (head, body) = Response::into_parts(response);
            (head, to_bytes(body, usize::MAX).await.expect("an answer is whole"))
        });
        if head.status.is_success() {
            return None;
        }
        assert_eq!(head.headers[header::CONTENT_TYPE], CONTENT_TYPE);
        let text = String::from_utf8(body.to_vec()).expect("a problem is text");
        let document = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text} is no problem: {error}"));
        Some(Told { status: head.status, document, text })
    })
}

fn router() -> Router {
    Router::new()
        .route("/strict", post(async |Json(_): Json<StrictBody>| "taken"))
        .route("/loose", post(async |Json(_): Json<LooseBody>| "taken"))
        .route("/page", get(async |Query(_): Query<Page>| "taken"))
        .layer(DefaultBodyLimit::max(LIMIT))
}

/// The same body with canaries for its values, not for its names; none where the input holds them already.
fn marked(body: &[u8]) -> Option<String> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    let before = value.to_string();
    let holds_canary = before.contains(CANARY) || before.contains(&CANARY_NUMBER.unsigned_abs().to_string());
    mark(&mut value);
    Some(value.to_string()).filter(|_| !holds_canary)
}

fn mark(value: &mut Value) {
    match value {
        // After what serde's own messages say of a type, too.
        Value::String(text) => *text = format!("{CANARY}{text}`, expected {CANARY} at line {CANARY}"),
        Value::Number(number) => *number = Number::from(CANARY_NUMBER),
        Value::Array(items) => items.iter_mut().for_each(mark),
        Value::Object(fields) => fields.values_mut().for_each(mark),
        Value::Null | Value::Bool(_) => {}
    }
}
