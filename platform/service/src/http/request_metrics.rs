//! How many requests were answered, and how long they took.
//!
//! To find a metric by its name and labels costs more than to count by it, so each is found once and kept, where a request that
//! looks for it takes no lock. Labels come from fixed sets, so what is kept is bounded: a stranger's path or method would make
//! a time series each.

use std::{collections::HashMap, sync::OnceLock, time::Duration};

use arc_swap::ArcSwap;
use axum::extract::MatchedPath;
use hyper::{Method, StatusCode};
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

/// For a method that is none of HTTP's own.
pub(super) const OTHER_METHOD: &str = "other";
const UNMATCHED: &str = "unmatched";

/// Of one router.
#[derive(Default)]
pub(super) struct RequestMetrics(ArcSwap<HashMap<String, Vec<Kept>>>);

/// Of one method and status, at a route.
#[derive(Clone)]
struct Kept {
    method: &'static str,
    status: StatusCode,
    answered: Counter,
    took: Histogram,
}

impl RequestMetrics {
    /// `method` is one of those that [`method_label`] gives.
    pub fn count(&self, method: &'static str, route: Option<&MatchedPath>, status: StatusCode, took: Duration) {
        let route = route.map_or(UNMATCHED, MatchedPath::as_str);
        let all = self.0.load();
        let kept =
            all.get(route).and_then(|kept| kept.iter().find(|kept| kept.method == method && kept.status == status));
        match kept {
            Some(kept) => kept.count(took),
            None => self.keep(Kept::find(method, route, status), route).count(took),
        }
    }

    /// Where two come at once it is kept twice, which is one metric all the same.
    fn keep(&self, new: Kept, route: &str) -> Kept {
        self.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.entry(route.to_owned()).or_default().push(new.clone());
            all
        });
        new
    }
}

impl Kept {
    fn find(method: &'static str, route: &str, status: StatusCode) -> Self {
        Self {
            method,
            status,
            answered: counter!(
                "http_requests_total",
                "method" => method,
                "route" => route.to_owned(),
                "status" => status.as_str().to_owned()
            ),
            took: histogram!("http_request_duration_seconds", "method" => method, "route" => route.to_owned()),
        }
    }

    fn count(&self, took: Duration) {
        self.answered.increment(1);
        self.took.record(took);
    }
}

pub(super) fn method_label(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];
    const LABELS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.iter().position(|known| known == method).map_or(OTHER_METHOD, |at| LABELS[at])
}

pub(super) fn describe() {
    static DESCRIBED: OnceLock<()> = OnceLock::new();
    DESCRIBED.get_or_init(|| {
        describe_counter!("http_requests_total", Unit::Count, "HTTP requests answered");
        describe_histogram!("http_request_duration_seconds", Unit::Seconds, "From a request's head to its answer's");
    });
}
