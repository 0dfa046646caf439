//! A handler, with the breakers of what it needs.

use std::{error::Error, sync::Arc, time::Duration};

use sqlx::PgPool;

use crate::{
    registry::AnyHandler,
    transaction::{
        Broken,
        breaker::{Breaker, Pass, Probing},
    },
};

#[derive(Clone)]
pub(crate) struct Line {
    pub handler: Arc<dyn AnyHandler>,
    /// Of the service's database, the same for all.
    pub database: Breaker,
    /// Of whatever else the handler needs.
    pub dependency: Breaker,
    /// How long messages are held while one of them is open.
    pub hold: Duration,
}

/// Whose fault it is that something is not available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Database,
    Dependency,
}

impl Line {
    pub fn new(
        handler: Arc<dyn AnyHandler>,
        database: Breaker,
        pool: PgPool,
        probing: Probing,
        hold: Duration,
    ) -> Self {
        let asked = handler.clone();
        let dependency = Breaker::new(handler.name(), probing, move || {
            let (handler, pool) = (asked.clone(), pool.clone());
            // It may be a lock in the database that made it trip: then there is nothing to ask but whether that is there.
            Box::pin(async move {
                handler.probe().await?;
                sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&pool).await?;
                Ok(())
            })
        });
        Self { handler, database, dependency, hold }
    }

    pub fn name(&self) -> &'static str {
        self.handler.name()
    }

    /// Waits until everything that the handler needs is there. `Err` says how long to hand messages back for.
    pub async fn pass(&self) -> Result<(Pass<'_>, Pass<'_>), Duration> {
        // In this order, so that who waits for a handler's dependency doesn't have the database's one trial meanwhile.
        let dependency = self.dependency.pass(self.hold).await?;
        let database = self.database.pass(self.hold).await?;
        Ok((dependency, database))
    }

    pub fn trip(&self, needs: Needs, error: &(dyn Error + 'static)) {
        match needs {
            Needs::Database => self.database.trip(error),
            Needs::Dependency => self.dependency.trip(error),
        }
    }

    /// Lets the breakers know what came of a call.
    pub fn tell<T>(&self, called: &Result<T, Broken>) {
        match called {
            Ok(_) | Err(Broken::Isolate(_) | Broken::Retry(_)) => {
                self.database.close();
                self.dependency.close();
            }
            Err(Broken::WindowMoved | Broken::Transient(_)) => self.database.close(),
            Err(Broken::Unavailable(needs, error)) => {
                if *needs == Needs::Dependency {
                    self.database.close();
                }
                self.trip(*needs, error);
            }
            Err(Broken::Cancelled) => {}
        }
    }
}
