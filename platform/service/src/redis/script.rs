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
        run("EVALSHA", &self.digest, keys, arguments)
    }

    /// As [`with`](Self::with), for a Redis that may not have seen it.
    pub fn whole_with(&self, keys: &[&str], arguments: impl ToRedisArgs) -> Cmd {
        run("EVAL", self.code, keys, arguments)
    }

    pub(super) fn load(&self) -> Cmd {
        let mut command = cmd("SCRIPT");
        command.arg("LOAD").arg(self.code);
        command
    }
}

fn run(name: &str, script: &str, keys: &[&str], arguments: impl ToRedisArgs) -> Cmd {
    let mut command = cmd(name);
    command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
    command
}
