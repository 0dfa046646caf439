//! The template, deployed on LocalStack: what the stack makes is what the handlers need.

use fixtures::eventually;
use reqwest::Client;

use crate::run;

/// A query of AWS's APIs. The signature is not checked, but tells which service is meant.
pub async fn ask(service: &str, form: &[(&str, &str)]) -> String {
    let scope = format!("test/20261122/us-east-1/{service}/aws4_request");
    let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none");
    let endpoint = fixtures::required_variable("LOCALSTACK_ENDPOINT");
    let answer = Client::new().post(endpoint).header("authorization", signature).form(form).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    let restart =
        "has this LocalStack been started with an older SERVICES? restart it: ./dev down, then ./dev up --localstack";
    assert!(status.is_success(), "{service} answered {status}; {restart}: {text}");
    text
}

/// Deploys what is exported with an environment, and answers when it is done.
async fn deploy(stack: &str, parameters: &[(&str, &str)]) {
    let (code, template, stderr) = run(&["topology", "export", "--format", "cloudformation"], &[]).await;
    assert_eq!(code, 0, "{stderr}");
    let numbered: Vec<_> = (1..)
        .zip(parameters)
        .flat_map(|(number, (name, value))| {
            let member = format!("Parameters.member.{number}.Parameter");
            [(format!("{member}Key"), *name), (format!("{member}Value"), *value)]
        })
        .collect();
    let mut form = vec![
        ("Action", "CreateStack"),
        ("Version", "2010-05-15"),
        ("StackName", stack),
        ("TemplateBody", template.as_str()),
        ("Capabilities.member.1", "CAPABILITY_IAM"),
    ];
    form.extend(numbered.iter().map(|(name, value)| (name.as_str(), *value)));
    ask("cloudformation", &form).await;
    eventually("the stack is there", async || {
        let describe = [("Action", "DescribeStacks"), ("Version", "2010-05-15"), ("StackName", stack)];
        let answer = ask("cloudformation", &describe).await;
        assert!(!answer.contains("FAILED") && !answer.contains("ROLLBACK"), "{answer}");
        answer.contains("CREATE_COMPLETE").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stack_of_the_template_is_what_verify_expects() {
    let bus = fixtures::bus().await;
    let environment: Vec<_> = bus.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(run(&["topology", "verify"], &environment).await.0, 1);
    let stack = bus.prefix.trim_end_matches('-');
    let alarmed = format!("arn:aws:sns:us-east-1:000000000000:{stack}-alarms");
    deploy(stack, &[("NamePrefix", &bus.prefix), ("AlarmTopicArn", &alarmed)]).await;

    let (code, stdout, stderr) = run(&["topology", "verify"], &environment).await;
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    let (code, stdout, stderr) = run(&["topology", "plan", "--prune"], &environment).await;
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");

    let alarms =
        ask("monitoring", &[("Action", "DescribeAlarms"), ("Version", "2010-08-01"), ("AlarmNamePrefix", &bus.prefix)])
            .await;
    let name = |what: &str| format!("<AlarmName>{}{what}</AlarmName>", bus.prefix);
    for what in [
        "user-service-dlq-not-empty",
        "user-service-undelivered-not-empty",
        "user-service-oldest",
        "user-service-no-consumer",
        "user-created-lost",
    ] {
        assert!(alarms.contains(&name(what)), "{what} is not in {alarms}");
    }
    assert!(alarms.contains(&alarmed), "{alarms}");
}

#[tokio::test]
async fn the_template_fits_is_the_same_each_time_and_its_prefix_the_one_of_the_environment() {
    let export = ["topology", "export", "--format", "cloudformation"];
    let (_, one, _) = run(&export, &[("WAYPOST_NAME_PREFIX", "dev-")]).await;
    let (_, other, _) = run(&export, &[("WAYPOST_NAME_PREFIX", "dev-")]).await;
    assert_eq!(one, other);
    assert!(one.len() <= 51_200, "CloudFormation takes no template of {} bytes", one.len());
    let template: serde_json::Value = serde_json::from_str(&one).unwrap();
    assert_eq!(template["Parameters"]["NamePrefix"]["Default"], "dev-");
    for resource in ["QueueUserService", "QueueUserServiceDlq", "QueueUserServiceUndelivered", "TopicUserCreated"] {
        assert!(template["Resources"][resource].is_object(), "{resource} is not in {one}");
    }
    // Nothing is called with the prefix of whoever exported it.
    assert_eq!(one.matches("dev-").count(), 1, "{one}");
}
