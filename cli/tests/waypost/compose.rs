//! compose.yaml against the binary: images can't be pulled where tests run, so what it says of our services is held
//! against what the binary says of itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Deserialize;
use serde_json::Value;

use crate::run;

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Service {
    image: Option<String>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Dependency>,
    healthcheck: Option<HealthCheck>,
    stop_grace_period: Option<String>,
    container_name: Option<String>,
    restart: Option<String>,
    #[serde(default)]
    volumes: Vec<String>,
}

#[derive(Deserialize)]
struct Dependency {
    condition: String,
}

#[derive(Deserialize)]
struct HealthCheck {
    test: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn compose() -> Compose {
    serde_saphyr::from_str(&std::fs::read_to_string(root().join("compose.yaml")).unwrap()).unwrap()
}

impl Service {
    fn is_ours(&self) -> bool {
        self.image.as_deref().is_some_and(|image| image.starts_with("waypost:"))
    }

    /// One that keeps running, and not a task.
    fn stays(&self) -> bool {
        self.restart.as_deref() != Some("no")
    }

    /// As compose makes it where the shell sets nothing: `${NAME:-default}`.
    fn variables(&self, bus: &str) -> Vec<(&str, String)> {
        let default = |value: &str| match value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            Some(inner) => inner.split_once(":-").expect("a default").1.to_owned(),
            None => value.to_owned(),
        };
        let chosen =
            |name: &str, value: &str| if name == "EVENT_PUBLISHER_TYPE" { bus.to_owned() } else { default(value) };
        self.environment.iter().map(|(name, value)| (name.as_str(), chosen(name, value))).collect()
    }

    fn listening_port(&self) -> Option<&str> {
        let listens = |name: &str| name.ends_with("_LISTEN");
        // Strangers don't come to where health and metrics are, unless there is nothing else.
        let strangers = self.environment.iter().find(|(name, _)| listens(name) && !name.ends_with("_ADMIN_LISTEN"));
        let listens = strangers.or_else(|| self.environment.iter().find(|(name, _)| listens(name)));
        listens.map(|(_, address)| address.rsplit_once(':').unwrap().1)
    }
}

fn ours() -> BTreeMap<String, Service> {
    compose().services.into_iter().filter(|(_, service)| service.is_ours()).collect()
}

#[tokio::test]
async fn every_command_and_health_check_is_one_that_the_binary_knows() {
    for (name, service) in ours() {
        let mut commands = vec![service.command.clone()];
        if service.stays() {
            let [kind, binary, check @ ..] = &service.healthcheck.expect(&name).test[..] else { panic!("{name}") };
            assert_eq!((kind.as_str(), binary.as_str()), ("CMD", "/usr/local/bin/waypost"), "{name}");
            assert_eq!(check, ["healthcheck", name.as_str()], "{name} asks after itself");
            commands.push(check.to_vec());
        }
        for command in commands {
            let mut arguments: Vec<_> = command.iter().map(String::as_str).collect();
            arguments.push("--help");
            let (code, stdout, stderr) = run(&arguments, &[]).await;
            assert_eq!(code, 0, "{name}: {command:?}: {stderr}");
            let named = command.iter().take_while(|word| !word.starts_with('-')).cloned().collect::<Vec<_>>();
            assert!(stdout.contains(&format!("waypost {}", named[0])), "{name}: {stdout}");
        }
    }
}

#[tokio::test]
async fn every_variable_of_a_service_is_one_that_it_reads_and_holds_what_it_should() {
    for (name, service) in ours().iter().filter(|(_, service)| service.stays()) {
        let [run_word, rest @ ..] = &service.command[..] else { panic!("{name} runs nothing") };
        assert_eq!(run_word, "run", "{name}");
        let mut read = BTreeSet::new();
        for bus in ["sns", "postgres"] {
            let variables = service.variables(bus);
            let environment: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let arguments: Vec<_> = ["settings", "--json"].into_iter().chain(rest.iter().map(String::as_str)).collect();
            let (code, stdout, stderr) = run(&arguments, &environment).await;
            assert_eq!(code, 0, "{name} on {bus}: {stderr}");
            let asked: Vec<Value> = serde_json::from_str(&stdout).unwrap();
            read.extend(asked.iter().map(|variable| variable["name"].as_str().unwrap().to_owned()));
        }
        let said: BTreeSet<_> = service.environment.keys().cloned().collect();
        let unread: Vec<_> = said.difference(&read).collect();
        assert!(unread.is_empty(), "{name} is told {unread:?}, which it doesn't read");
    }
}

#[test]
fn every_published_port_is_where_the_service_listens_and_a_scaled_service_publishes_none() {
    for (name, service) in ours().iter().filter(|(_, service)| service.stays()) {
        let inner = service.listening_port().unwrap_or_else(|| panic!("{name} has no port"));
        for published in &service.ports {
            let [host, outer, container] = published.split(':').collect::<Vec<_>>()[..] else { panic!("{published}") };
            assert_eq!((host, container), ("127.0.0.1", inner), "{name}");
            assert_eq!(outer, inner, "{name}: people find it where its own default is");
        }
        assert!(name != "user-worker" || service.ports.is_empty(), "four of them can't have one port");
    }
    let outer: Vec<_> = compose()
        .services
        .into_values()
        .flat_map(|service| service.ports)
        .map(|port| port.split(':').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(outer.iter().collect::<BTreeSet<_>>().len(), outer.len(), "{outer:?}");
    for port in ["5433", "5434", "5435", "5436", "6379", "4566", "8080", "8025", "1025", "3001"] {
        assert!(outer.iter().any(|published| published == port), "nothing is on {port}");
    }
}

#[test]
fn what_keeps_running_has_a_health_check_and_what_depends_on_it_waits_for_that() {
    let compose = compose();
    for (name, service) in &compose.services {
        assert_eq!(service.container_name, None, "{name} could not be scaled");
        assert_eq!(service.healthcheck.is_some(), service.stays(), "{name}");
        for (needed, dependency) in &service.depends_on {
            let stays = compose.services[needed].stays();
            let expected = if stays { "service_healthy" } else { "service_completed_successfully" };
            assert_eq!(dependency.condition, expected, "{name} needs {needed}");
        }
        for volume in &service.volumes {
            let source = volume.split(':').next().unwrap();
            let is_there = match source.strip_prefix("./") {
                Some(path) => root().join(path).exists(),
                None => compose.volumes.contains_key(source),
            };
            assert!(is_there, "{name} mounts {source}");
        }
    }
}

#[test]
fn a_service_is_given_longer_to_stop_than_it_takes_to_drain() {
    for (name, service) in ours().iter().filter(|(_, service)| service.stays()) {
        let drain: u64 = service.environment["SHUTDOWN_GRACE_SECONDS"].parse().unwrap();
        let stop = service.stop_grace_period.as_deref().and_then(|text| text.strip_suffix('s')).unwrap();
        assert!(stop.parse::<u64>().unwrap() > drain, "{name}: {stop} s, drains for {drain} s");
    }
}

#[test]
fn the_image_copies_what_exists_and_ends_without_root_and_without_a_shell() {
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(last.starts_with("gcr.io/distroless/"), "{last}");
    for line in
        ["USER nonroot", "ENTRYPOINT [\"/usr/local/bin/waypost\"]", "/usr/local/bin/waypost /usr/local/bin/waypost"]
    {
        assert!(last.contains(line), "{line:?} is not in:\n{last}");
    }
    assert!(!last.contains("RUN "), "{last}");
    assert!(dockerfile.contains("cargo build --release --locked --bin waypost"));

    let let_in = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    for path in let_in.lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(root().join(path).exists(), ".dockerignore lets in {path}, which is not there");
    }
}

/// A volume takes its owner from the folder of the image that it is first mounted at, and without one it is root's.
#[test]
fn whatever_of_ours_has_a_volume_is_mounted_at_a_folder_that_the_image_has() {
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let made = dockerfile.lines().find_map(|line| line.strip_prefix("RUN mkdir -p ")).unwrap();
    let made: BTreeSet<_> = made.split(' ').collect();
    assert!(dockerfile.contains("\nCOPY --from=build --chown=nonroot:nonroot /var/lib/waypost /var/lib/waypost\n"));
    let ours = ours();
    let volumes = ours.values().flat_map(|service| &service.volumes);
    let mounted: BTreeSet<_> = volumes.map(|volume| volume.split(':').nth(1).unwrap()).collect();
    assert_eq!(mounted, made);
    assert!(mounted.iter().all(|path| path.starts_with("/var/lib/waypost/")), "{mounted:?}");
    for (name, service) in &ours {
        let writes = service.volumes.iter().any(|volume| !volume.ends_with(":ro"));
        let makes_keys = ["keys", "auth-service"].contains(&name.as_str());
        assert_eq!(writes, makes_keys, "{name}: only who makes keys may write any");
        for (variable, path) in service.environment.iter().filter(|(variable, _)| variable.ends_with("_KEYS_DIR")) {
            let is_mounted = service.volumes.iter().any(|volume| volume.split(':').nth(1) == Some(path));
            assert!(is_mounted, "{name}: {variable} is {path}, where nothing is mounted");
        }
    }
}

/// Cargo reads all of them, whatever it builds; and images aren't built where tests run.
#[test]
fn the_manifests_and_sources_of_all_members_reach_the_image() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).unwrap();
    let (manifest, rules) = (read("Cargo.toml"), read(".dockerignore"));
    let (members, _) = manifest.split_once("members = [").unwrap().1.split_once(']').unwrap();
    let members: Vec<_> = members.split('"').skip(1).step_by(2).collect();
    assert!(members.contains(&"cli"), "{members:?}");
    for path in members.iter().flat_map(|member| [format!("{member}/Cargo.toml"), format!("{member}/src")]) {
        let mut let_in = rules.lines().filter_map(|line| line.strip_prefix('!'));
        let is_within =
            |rule: &str| path.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let is_there = root().join(&path).exists();
        assert!(!is_there || let_in.any(is_within), ".dockerignore keeps {path} out");
    }
}
