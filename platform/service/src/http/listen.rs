use std::net::SocketAddr;

use crate::settings::{Env, SettingError};

/// The variable that says where a process listens, and the port of this machine where it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenSetting {
    pub variable: &'static str,
    port: u16,
}

impl ListenSetting {
    pub const fn new(variable: &'static str, port: u16) -> Self {
        Self { variable, port }
    }

    /// Port 0 takes any free one.
    pub fn read(self, env: &Env) -> Result<SocketAddr, SettingError> {
        let default = SocketAddr::from(([127, 0, 0, 1], self.port));
        env.parsed_or(self.variable, default, &format!("an address and a port such as {default}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_this_machine_is_listened_on_where_nothing_else_is_said() {
        let read = |pairs: &[(&str, &str)]| ListenSetting::new("HERE", 3002).read(&Env::of(pairs.iter().copied()));
        assert_eq!(read(&[]).unwrap().to_string(), "127.0.0.1:3002");
        assert_eq!(read(&[("HERE", "[::]:0")]).unwrap().to_string(), "[::]:0");
        let error = read(&[("HERE", "3002")]).unwrap_err().to_string();
        assert_eq!(error, "HERE is `3002`, should be an address and a port such as 127.0.0.1:3002");
    }
}
