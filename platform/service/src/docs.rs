//! An API's description: `/openapi.json` for programs, and `/docs` as a page to read. Both are made once, of the description
//! itself; the page has no script, and nothing from elsewhere.

use std::{
    fmt::{self, Write},
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::Value;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::problem::{Problem, kind};

const STYLE: &str = include_str!("docs/style.css");
/// The page needs its own style and nothing else.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The description, which is whole only once all routes are there, its own as well.
#[derive(Debug, Clone, Default)]
pub struct Docs(Arc<OnceLock<Bytes>>);

impl Docs {
    /// The route of `/openapi.json`, to be merged with those that it describes.
    pub fn described(&self) -> OpenApiRouter {
        OpenApiRouter::new().routes(routes!(describe)).with_state(self.clone())
    }

    /// The whole description is this one. Answers the route of the page.
    pub fn page(self, api: &OpenApi) -> Router {
        let document = serde_json::to_value(api).unwrap_or_default();
        let _ = self.0.set(api.to_json().unwrap_or_default().into());
        let mut html = String::new();
        // Writing to a string does not fail.
        let _ = write_page(&mut html, &document);
        let html: Bytes = html.into();
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        Router::new().route("/docs", get(async move || (headers, html.clone())))
    }
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "description", responses((status = OK, description = "OpenAPI 3.1", body = Object)))]
async fn describe(State(Docs(document)): State<Docs>) -> Response {
    match document.get() {
        Some(document) => ([(header::CONTENT_TYPE, "application/json")], document.clone()).into_response(),
        None => Problem::new(&kind::INTERNAL).into_response(),
    }
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// An operation, with where it is.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    value: &'a Value,
}

fn write_page(out: &mut String, document: &Value) -> fmt::Result {
    let title = text(&document["info"]["title"]);
    write!(out, "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>")?;
    write!(out, "<title>{0}</title><style>{STYLE}</style><header><h1>{0}</h1>", Escaped(title))?;
    paragraphs(out, &document["info"]["description"])?;
    write!(out, "<p>For programs: <a href=/openapi.json>/openapi.json</a></p></header><nav>")?;
    let operations = operations(document);
    let tags = document["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    for tag in tags {
        let name = text(&tag["name"]);
        write!(out, "<h2>{}</h2><ul>", Escaped(name))?;
        for operation in tagged(&operations, name) {
            let (id, value) = (operation.id(), operation.value);
            write!(out, "<li><a href=#{id}>{}</a>", Escaped(text(&value["summary"])))?;
        }
        write!(out, "</ul>")?;
    }
    write!(out, "<h2>bodies</h2><ul>")?;
    let schemas = document["components"]["schemas"].as_object();
    for name in schemas.into_iter().flatten().map(|(name, _)| name) {
        write!(out, "<li><a href=#schema-{0}>{0}</a>", Escaped(name))?;
    }
    write!(out, "</ul></nav><main>")?;
    for tag in tags {
        let name = text(&tag["name"]);
        write!(out, "<h2>{}</h2>", Escaped(name))?;
        paragraphs(out, &tag["description"])?;
        for operation in tagged(&operations, name) {
            write_operation(out, operation)?;
        }
    }
    write!(out, "<h2>bodies</h2>")?;
    for (name, schema) in schemas.into_iter().flatten() {
        write!(out, "<section id=schema-{0}><h3>{0}</h3>", Escaped(name))?;
        paragraphs(out, &schema["description"])?;
        write_properties(out, schema)?;
        write!(out, "</section>")?;
    }
    write!(out, "</main></html>")
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let paths = document["paths"].as_object();
    let all = paths.into_iter().flatten().flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |method| Some(Operation { method, path, value: item.get(*method)? }))
    });
    all.collect()
}

fn tagged<'a>(operations: &'a [Operation<'a>], tag: &'a str) -> impl Iterator<Item = &'a Operation<'a>> {
    operations.iter().filter(move |operation| operation.value["tags"][0] == tag)
}

impl Operation<'_> {
    fn id(&self) -> String {
        let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        format!("{}{}", self.method, self.path.chars().map(word).collect::<String>())
    }
}

fn write_operation(out: &mut String, operation: &Operation<'_>) -> fmt::Result {
    let Operation { method, path, value } = operation;
    write!(out, "<section id={}><h3>{}</h3>", operation.id(), Escaped(text(&value["summary"])))?;
    write!(out, "<p class=path><b>{}</b> <code>{}</code>", method.to_uppercase(), Escaped(path))?;
    if value["security"].is_array() {
        write!(out, " <i>with an access token</i>")?;
    }
    write!(out, "</p>")?;
    paragraphs(out, &value["description"])?;
    if let Some(parameters) = value["parameters"].as_array() {
        write!(out, "<h4>Parameters</h4><dl>")?;
        for parameter in parameters {
            let place = text(&parameter["in"]);
            write!(out, "<dt><code>{}</code> <i>in the {place}</i><dd>", Escaped(text(&parameter["name"])))?;
            write!(out, "{}", Escaped(text(&parameter["description"])))?;
        }
        write!(out, "</dl>")?;
    }
    if let Some(content) = value["requestBody"]["content"].as_object() {
        write!(out, "<h4>Body</h4>")?;
        for (media, body) in content {
            write!(out, "<p><code>{}</code>: {}</p>", Escaped(media), Kind(&body["schema"]))?;
        }
    }
    write!(out, "<h4>Answers</h4><dl>")?;
    for (status, response) in value["responses"].as_object().into_iter().flatten() {
        write!(out, "<dt><code>{}</code> {}<dd>", Escaped(status), Escaped(text(&response["description"])))?;
        for (media, body) in response["content"].as_object().into_iter().flatten() {
            write!(out, "<code>{}</code>: {}<br>", Escaped(media), Kind(&body["schema"]))?;
            for example in body["examples"].as_object().into_iter().flatten().map(|(_, example)| example) {
                if let Some(kind) = example["value"]["type"].as_str().filter(|kind| *kind != "about:blank") {
                    write!(out, "<code>{}</code> {}<br>", Escaped(kind), Escaped(text(&example["value"]["detail"])))?;
                }
            }
        }
        let headers: Vec<_> =
            response["headers"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        if !headers.is_empty() {
            write!(out, "<i>headers: {}</i>", Escaped(&headers.join(", ")))?;
        }
    }
    write!(out, "</dl></section>")
}

fn write_properties(out: &mut String, schema: &Value) -> fmt::Result {
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    write!(out, "<dl>")?;
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let optional = if required.contains(&name.as_str()) { "" } else { ", may be missing" };
        write!(
            out,
            "<dt><code>{}</code> {}{optional}<dd>{}",
            Escaped(name),
            Kind(property),
            Escaped(text(&property["description"]))
        )?;
        if let Some(example) = property.get("example") {
            write!(out, " <i>such as</i> <code>{}</code>", Escaped(&example.to_string()))?;
        }
    }
    write!(out, "</dl>")
}

fn paragraphs(out: &mut String, value: &Value) -> fmt::Result {
    text(value)
        .split("\n\n")
        .filter(|part| !part.is_empty())
        .try_for_each(|part| write!(out, "<p>{}</p>", Escaped(part)))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A schema in a few words, with a link where it is described elsewhere.
struct Kind<'a>(&'a Value);

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.0;
        if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            return write!(f, "<a href=#schema-{0}>{0}</a>", Escaped(name));
        }
        if let Some(items) = schema.get("items") {
            return write!(f, "a list of {}", Kind(items));
        }
        if let Some(one_of) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            let mut parts = one_of.iter();
            parts.next().map_or(Ok(()), |first| write!(f, "{}", Kind(first)))?;
            return parts.try_for_each(|part| write!(f, " or {}", Kind(part)));
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
            kind => text(kind).to_owned(),
        };
        write!(f, "<i>{}", Escaped(&kind))?;
        if let Some(format) = schema["format"].as_str() {
            write!(f, " ({})", Escaped(format))?;
        }
        write!(f, "</i>")
    }
}

/// Text in HTML; what stands between backticks is code.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_code = false;
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '`' => {
                    is_code = !is_code;
                    f.write_str(if is_code { "<code>" } else { "</code>" })?;
                }
                c => f.write_char(c)?,
            }
        }
        if is_code { f.write_str("</code>") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_in_a_description_is_text() {
        assert_eq!(Escaped("<b> & `a<b` 'x' \"").to_string(), "&lt;b&gt; &amp; <code>a&lt;b</code> &#39;x&#39; &quot;");
        assert_eq!(Escaped("one ` only").to_string(), "one <code> only</code>");
    }
}
