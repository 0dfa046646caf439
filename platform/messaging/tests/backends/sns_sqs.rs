use messaging::{AwsBus, AwsSettings, Bus};

messaging::conformance_suite!(fixtures::bus());

#[tokio::test]
async fn a_bus_that_is_not_there_is_waited_for_and_then_named() {
    let settings = AwsSettings {
        endpoint: Some("http://127.0.0.1:9".to_owned()),
        region: Some("us-east-1".to_owned()),
        ..AwsSettings::default()
    };
    let error = AwsBus::new(settings).await.wait_until_ready(std::time::Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "SNS and SQS at http://127.0.0.1:9 did not answer within 1s");
}
