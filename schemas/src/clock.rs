//! Where time comes from. Domain code takes a [`Clock`]; reading the ambient time is banned by lint everywhere else.

use std::{fmt, sync::Arc};

use time::OffsetDateTime;

type Read = dyn Fn() -> OffsetDateTime + Send + Sync;

/// A source of the current time (UTC), cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<Read>);

impl Clock {
    /// The system's clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the ambient time")]
    pub fn system() -> Self {
        Self(Arc::new(OffsetDateTime::now_utc))
    }

    /// A clock that reads what `read` says, for tests.
    pub fn reading(read: impl Fn() -> OffsetDateTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub fn now(&self) -> OffsetDateTime {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
