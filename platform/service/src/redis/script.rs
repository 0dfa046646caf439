use std::sync::Arc;

use redis::{Cmd, ToRedisArgs, cmd};

/// A script, which Redis knows by its digest once it has seen it.
#[derive(Debug, Clone)]
pub struct Script {
    code: &'static str,
    digest: Arc<str>,
}

impl Script {
    pub fn new(code: &'static str) -> Self {
        Self { code, digest: redis::Script::new(code).get_hash().into() }
    }

    /// The script with its `KEYS` and `ARGV`.
    pub fn with(&self, keys: &[&str], arguments: impl ToRedisArgs) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(&*self.digest).arg(keys.len()).arg(keys).arg(arguments);
        command
    }

    pub(super) fn load(&self) -> Cmd {
        let mut command = cmd("SCRIPT");
        command.arg("LOAD").arg(self.code);
        command
    }
}
