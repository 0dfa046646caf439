//! What goes around handlers: one behaviour for many of them, such as a tenant set on the connection, errors of a client
//! library told apart, or a handler that is switched off for an hour.

use std::sync::Arc;

use async_trait::async_trait;
use schemas::Envelope;
use sqlx::PgConnection;

use super::{HandlerError, Verdict};
use crate::{message::decode::Delivery, registry::AnyHandler};

/// Goes around every call of a consumer's handlers, in the order in which it was added.
///
/// It may do something before and after, answer in the handler's place, or change an error. What it writes through the
/// connection commits with the events or not at all, and it doesn't commit.
#[async_trait]
pub trait Middleware: Send + Sync + 'static {
    /// Answers a verdict per event, at its position, as the handler does. `next.run(call)` goes on to the handler.
    async fn call(&self, call: Call<'_>, next: Next<'_>) -> Result<Vec<Verdict>, HandlerError>;
}

/// One call of a handler.
pub struct Call<'a> {
    /// The handler's name.
    pub handler: &'static str,
    /// The events that it is called with. Payloads are as they were sent: they may hold personal data.
    pub events: Vec<&'a Envelope>,
    /// Inside the transaction that holds the claims; `None` around an effect, which has no transaction.
    pub connection: Option<&'a mut PgConnection>,
}

/// The rest of the way to the handler.
pub struct Next<'a> {
    pub(crate) handler: &'a dyn AnyHandler,
    pub(crate) around: &'a [Arc<dyn Middleware>],
    pub(crate) deliveries: &'a [&'a Delivery],
}

impl Next<'_> {
    pub async fn run(self, call: Call<'_>) -> Result<Vec<Verdict>, HandlerError> {
        let Self { handler, around, deliveries } = self;
        match around.split_first() {
            Some((first, rest)) => first.call(call, Next { around: rest, handler, deliveries }).await,
            None => handler.call(call.connection, deliveries).await,
        }
    }
}
