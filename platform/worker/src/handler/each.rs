//! An `async fn` as a handler, for where a struct would be more than there is to say.

use schemas::Newest;
use sqlx::PgConnection;

use super::{HandlerError, Received, Verdict};

/// What [`ConsumerBuilder::apply_each`](crate::ConsumerBuilder::apply_each) takes:
/// `async fn(&mut PgConnection, &Received<'_, Event>) -> Result<Verdict, HandlerError>`.
///
/// It is called for one event after the other, in the transaction that holds their claims, so it keeps the promise of
/// [`ApplyEvents`](super::ApplyEvents) at a statement per event.
///
/// The lifetime names what the future borrows, which is the only way to say of an `async fn` that its future is `Send`.
pub trait ApplyEach<'a, E: 'a>: Send + Sync {
    type Applying: Future<Output = Result<Verdict, HandlerError>> + Send + 'a;

    fn apply(&self, connection: &'a mut PgConnection, event: &'a Received<'a, E>) -> Self::Applying;
}

impl<'a, E: 'a, F, Fut> ApplyEach<'a, E> for F
where
    F: Fn(&'a mut PgConnection, &'a Received<'a, E>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Verdict, HandlerError>> + Send + 'a,
{
    type Applying = Fut;

    fn apply(&self, connection: &'a mut PgConnection, event: &'a Received<'a, E>) -> Fut {
        self(connection, event)
    }
}

/// A function, with what a struct would say of itself in constants.
pub(crate) struct Each<F> {
    pub name: &'static str,
    pub reads: &'static [&'static str],
    pub function: F,
}

impl<F> Each<F> {
    pub async fn apply<E>(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, E>],
    ) -> Result<Vec<Verdict>, HandlerError>
    where
        E: Newest,
        F: for<'a> ApplyEach<'a, E>,
    {
        let mut verdicts = Vec::with_capacity(events.len());
        for event in events {
            verdicts.push(self.function.apply(connection, event).await?);
        }
        Ok(verdicts)
    }
}
