//! The script that LocalStack's container runs when it is ready.

use std::path::Path;

use tokio::process::Command;

use crate::run;

const EXPORT: [&str; 4] = ["topology", "export", "--format", "awslocal"];

#[tokio::test]
async fn the_mounted_script_is_what_the_handlers_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../localstack-init/ready.d/10-topology.sh");
    let (code, script, _) = run(&EXPORT, &[]).await;
    assert_eq!(code, 0);
    let mounted = std::fs::read_to_string(&file).unwrap();
    let command = "waypost topology export --format awslocal > localstack-init/ready.d/10-topology.sh";
    assert_eq!(script, mounted, "{} is stale: {command}", file.display());
}

#[tokio::test]
async fn the_script_makes_the_topology_and_running_it_again_changes_nothing() {
    let bus = fixtures::bus().await;
    let environment: Vec<_> = bus.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (_, script, _) = run(&EXPORT, &environment).await;
    let shims = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bin");
    let path = format!("{}:{}", shims.display(), std::env::var("PATH").unwrap());
    for _ in 0..2 {
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env("PATH", &path).envs(environment.iter().copied());
        let output = shell.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (code, stdout, stderr) = run(&["topology", "verify"], &environment).await;
        assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    }
}
