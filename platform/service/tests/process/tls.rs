//! PostgreSQL and Redis over TLS: reached where the certificate is vouched for and names the server, and not otherwise.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use fixtures::{RedisServer, eventually};
use service::{
    postgres::PostgresSettings,
    redis::{Redis, RedisSettings},
    settings::AppEnv,
};
use tempfile::TempDir;

/// Two authorities, and a certificate of the first for `localhost` alone.
struct Certificates(TempDir);

impl Certificates {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let run = |arguments: &str| {
            let mut openssl = Command::new("openssl");
            openssl.current_dir(folder.path()).args(arguments.split(' ')).stderr(Stdio::null());
            assert!(openssl.status().unwrap().success(), "openssl {arguments}");
        };
        for authority in ["ours", "others"] {
            run(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={authority} -keyout \
                 {authority}.key -out {authority}.pem"
            ));
        }
        run(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        );
        std::fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost").unwrap();
        run(
            "x509 -req -days 2 -in server.csr -CA ours.pem -CAkey ours.key -CAcreateserial -extfile names -out server.pem",
        );
        Self(folder)
    }

    fn path(&self, file: &str) -> String {
        self.0.path().join(file).display().to_string()
    }
}

#[tokio::test]
async fn redis_is_reached_over_tls_and_only_as_the_one_its_certificate_names() {
    let certificates = Certificates::make();
    let path = |file: &str| certificates.path(file);
    let tls_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let (key, certificate, roots) = (path("server.key"), path("server.pem"), path("ours.pem"));
    let _server = RedisServer::with(&[
        "--tls-port",
        &tls_port,
        "--tls-key-file",
        &key,
        "--tls-cert-file",
        &certificate,
        "--tls-ca-cert-file",
        &roots,
        "--tls-auth-clients",
        "no",
    ])
    .await;
    let is_reached = async |host: &str, authority: &str| {
        let url = format!("rediss://{host}:{tls_port}?sslrootcert={}", path(authority));
        let settings = RedisSettings::from_url("REDIS_URL", &url, AppEnv::Production).unwrap();
        let redis = Redis::connect(settings.waiting(fixtures::DEADLINE)).await;
        redis.ask::<String>("tls", &redis::cmd("PING")).await.is_ok()
    };
    assert!(is_reached("localhost", "ours.pem").await);
    assert!(!is_reached("localhost", "others.pem").await, "an authority that is not trusted");
    assert!(!is_reached("127.0.0.1", "ours.pem").await, "a name that the certificate does not have");
}

/// A PostgreSQL with that certificate, which lets nobody in without TLS.
struct PostgresServer {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl PostgresServer {
    async fn start(certificates: &Certificates) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        // The server refuses to run as root.
        let run = |program: &Path, arguments: &[&str]| {
            let mut command = if is_root { Command::new("runuser") } else { Command::new(program) };
            if is_root {
                command.args(["-u", "postgres", "--"]).arg(program);
            }
            command.args(arguments).current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        if is_root {
            for folder in [folder.path(), certificates.0.path()] {
                assert!(Command::new("chown").arg("-R").arg("postgres").arg(folder).status().unwrap().success());
            }
        }
        let programs = programs();
        let at = data.to_str().unwrap();
        let made = run(&programs.join("initdb"), &["-D", at, "-U", "ada", "-A", "trust", "--no-sync"]).status();
        assert!(made.unwrap().success(), "initdb");
        std::fs::write(data.join("pg_hba.conf"), "hostssl all all all trust\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut options = vec!["-D".to_owned(), at.to_owned(), "-p".to_owned(), port.to_string()];
        for option in [
            "listen_addresses=localhost".to_owned(),
            format!("unix_socket_directories={}", folder.path().display()),
            "ssl=on".to_owned(),
            format!("ssl_key_file={}", certificates.path("server.key")),
            format!("ssl_cert_file={}", certificates.path("server.pem")),
            "fsync=off".to_owned(),
        ] {
            options.extend(["-c".to_owned(), option]);
        }
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let child = run(&programs.join("postgres"), &options).spawn().unwrap();
        eventually("PostgreSQL listens", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
        Self { child, port, folder }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // What was started may be what only became the server's user; SIGINT is a fast shutdown, its own processes included.
        let written = std::fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap_or_default();
        let server = written.lines().next().map_or_else(|| self.child.id().to_string(), str::to_owned);
        let _ = Command::new("kill").args(["-INT", &server]).status();
        let _ = self.child.wait();
    }
}

/// Where the server's programs are: on PATH, or the newest that are installed.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).filter_map(|folder| folder.join("postgres").canonicalize().ok());
    let on_path = on_path.filter_map(|program| Some(program.parent()?.to_owned()));
    let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut installed: Vec<_> = versions.filter_map(|entry| Some(entry.ok()?.path())).collect();
    installed.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    let all = on_path.chain(installed.into_iter().map(|folder| folder.join("bin")));
    let mut usable = all.filter(|folder| folder.join("initdb").exists());
    usable.next().expect("PostgreSQL should be installed, as `./dev test` does it")
}

#[tokio::test]
async fn postgresql_is_reached_over_tls_and_only_as_the_one_its_certificate_names() {
    let certificates = Certificates::make();
    let server = PostgresServer::start(&certificates).await;
    let is_reached = async |host: &str, sslmode: &str, authority: &str| {
        let (port, roots) = (server.port, certificates.path(authority));
        let url =
            format!("postgresql://ada@{host}:{port}/postgres?sslmode={sslmode}&sslrootcert={roots}&pool_timeout=5");
        let settings = PostgresSettings::from_url("AUTH_DATABASE_URL", &url, AppEnv::Production).unwrap();
        let pool = settings.connect_lazy("test");
        let is_over_tls = sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
        is_over_tls.fetch_one(&pool).await.is_ok_and(|is_over_tls: bool| is_over_tls)
    };
    eventually("it answers", async || is_reached("localhost", "verify-full", "ours.pem").await.then_some(())).await;
    assert!(!is_reached("localhost", "verify-full", "others.pem").await, "an authority that is not trusted");
    assert!(!is_reached("127.0.0.1", "verify-full", "ours.pem").await, "a name that the certificate does not have");
    assert!(!is_reached("localhost", "disable", "ours.pem").await, "in clear");
}
