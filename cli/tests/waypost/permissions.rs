//! The policies that `waypost topology policies` prints, held against the calls that processes make: none may be missing,
//! and none unused.

use std::collections::BTreeSet;

use fixtures::eventually;
use messaging::{AwsBus, AwsSettings, Bus, Names, OutgoingMessage, QueueSettings, Subscriber, Topology};
use reqwest::{Client, StatusCode};
use schemas::{Clock, Envelope, EventType, Header, Sequence, ServiceName, UserDeletedV1, event_id};
use serde_json::{Value, json};

use crate::{
    recording::{ACCOUNT, Call, REGION, Recorder},
    run,
    running::{Installation, free_port, signal, terminate},
};

const NAMED: [(&str, &str); 2] = [("AWS_REGION", REGION), ("AWS_ACCOUNT_ID", ACCOUNT)];

/// What a policy allows: action, and the pattern of a resource.
async fn grants(prefix: &str, who: &str) -> BTreeSet<Call> {
    let environment = [NAMED[0], NAMED[1], ("WAYPOST_NAME_PREFIX", prefix)];
    let (code, stdout, stderr) = run(&["topology", "policies", who], &environment).await;
    assert_eq!(code, 0, "{stderr}");
    let policy: Value = serde_json::from_str(&stdout).unwrap();
    let mut grants = BTreeSet::new();
    for statement in policy["Statement"].as_array().unwrap() {
        assert_eq!(statement["Effect"], "Allow");
        for action in statement["Action"].as_array().unwrap() {
            for resource in statement["Resource"].as_array().unwrap() {
                grants.insert((action.as_str().unwrap().to_owned(), resource.as_str().unwrap().to_owned()));
            }
        }
    }
    grants
}

fn allows((action, pattern): &Call, (called, resource): &Call) -> bool {
    let matches = match pattern.strip_suffix('*') {
        Some(start) => resource.starts_with(start),
        None => resource == pattern,
    };
    action == called && matches
}

/// Whose queues are worked with here. What is allowed with others' is the same, as a test says.
const CONSUMER: &str = "user-service";
/// With whose process each is.
const OTHER_CONSUMERS: [(&str, &str); 2] = [("mailer", "mailer"), ("auth-service", "auth-worker")];

const PUBLISH: &str = "sns:Publish";

/// Of its queue, or of one beside it.
fn is_of(prefix: &str, consumer: &str, (_, resource): &Call) -> bool {
    resource.rsplit(':').next().is_some_and(|name| {
        let rest = name.strip_prefix(prefix).and_then(|name| name.strip_prefix(consumer));
        matches!(rest, Some("" | "-dlq" | "-undelivered"))
    })
}

async fn assert_exact(prefix: &str, who: &str, recorder: &Recorder) {
    let (mut grants, calls) = (grants(prefix, who).await, recorder.calls());
    if who == "operator" {
        grants.retain(|grant| !OTHER_CONSUMERS.iter().any(|(consumer, _)| is_of(prefix, consumer, grant)));
    }
    // Of all the events that a producer sends, a few are sent here.
    if calls.iter().any(|(call, _)| call == PUBLISH) {
        grants.retain(|grant| grant.0 != PUBLISH || calls.iter().any(|call| allows(grant, call)));
    }
    let missing: Vec<_> = calls.iter().filter(|call| !grants.iter().any(|grant| allows(grant, call))).collect();
    let unused: Vec<_> = grants.iter().filter(|grant| !calls.iter().any(|call| allows(grant, call))).collect();
    assert!(missing.is_empty() && unused.is_empty(), "{who}: missing {missing:#?}, unused {unused:#?}");
}

#[tokio::test]
async fn every_consumers_worker_and_operator_may_do_the_same_with_its_queues() {
    let prefix = "apart-";
    let of = |grants: BTreeSet<Call>, consumer: &str| -> BTreeSet<Call> {
        let own = grants.into_iter().filter(|grant| is_of(prefix, consumer, grant));
        let (named, any) = (format!("{prefix}{consumer}"), format!("{prefix}CONSUMER"));
        own.map(|(action, resource)| (action, resource.replace(&named, &any))).collect()
    };
    let worker = of(grants(prefix, "user-worker").await, CONSUMER);
    let operator = of(grants(prefix, "operator").await, CONSUMER);
    assert!(worker.len() > 3 && operator.len() > 3, "{worker:?}{operator:?}");
    for (consumer, process) in OTHER_CONSUMERS {
        assert_eq!(of(grants(prefix, process).await, consumer), worker, "{consumer}");
        assert_eq!(of(grants(prefix, "operator").await, consumer), operator, "{consumer}");
    }
}

async fn register(api: u16, email: &str) {
    let body = json!({ "email": email, "password": "correct horse battery staple" });
    let url = format!("http://127.0.0.1:{api}/v1/auth/register");
    let answer = Client::new().post(url).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
}

async fn has_profile(installation: &Installation, email: &str) {
    eventually(&format!("the profile of {email}"), async || {
        let found = sqlx::query_scalar("SELECT email FROM user_profiles WHERE email = $1").bind(email);
        let found: Option<String> = found.fetch_optional(&installation.user.pool).await.unwrap();
        found
    })
    .await;
}

/// Has user-service erase somebody it doesn't know.
async fn delete(installation: &Installation) {
    let now = Clock::system().now();
    let event = UserDeletedV1 {
        user_id: event_id(now),
        timestamp: now,
        source: ServiceName::AUTH_SERVICE,
        erasure_id: event_id(now),
    };
    let sequence = Sequence::after(None, now);
    let header = Header { id: event_id(now), source: "auth-service", time: now, sequence, traceparent: None };
    let body = serde_json::to_string(&Envelope::new(&event, header).unwrap()).unwrap();
    let queue = installation.bus.queue("user-service").await;
    queue.send(&[OutgoingMessage { body, ..OutgoingMessage::default() }]).await[0].as_ref().unwrap();
}

async fn has_published(installation: &Installation, answers: i64) {
    eventually("the answer is published", async || {
        let published = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE status = 'published'");
        let published: i64 = published.fetch_one(&installation.user.pool).await.unwrap();
        (published == answers).then_some(())
    })
    .await;
}

fn not_an_event() -> OutgoingMessage {
    OutgoingMessage { body: "no event".to_owned(), ..OutgoingMessage::default() }
}

async fn database(installation: &Installation, statement: &'static str) {
    sqlx::raw_sql(statement).execute(&installation.user.pool).await.unwrap();
}

/// As a release that can't handle one address; not a rejection, so it is tried again after a back-off.
const BREAK: &str = "
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'a bad release'; END $$;
    CREATE TRIGGER fail BEFORE INSERT ON user_profiles
        FOR EACH ROW WHEN (NEW.email = 'eve@example.com') EXECUTE FUNCTION fail()";
const MEND: &str = "DROP TRIGGER fail ON user_profiles";

#[tokio::test]
async fn services_and_operators_make_the_calls_that_their_policies_allow_and_no_others() {
    let installation = Installation::make(fixtures::bus().await).await;
    let (api, admin, relay, worker) = (free_port(), free_port(), free_port(), free_port());
    let listens = [api, relay, worker, admin].map(|port| format!("127.0.0.1:{port}"));
    let by = |recorder: &Recorder, more: &[(&'static str, &str)]| {
        let own = [("LOCALSTACK_ENDPOINT", recorder.endpoint.as_str())];
        let all = [&NAMED[..], &own, more].concat();
        all.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>()
    };
    let start = async |arguments: &[&str], environment: &[(&'static str, String)], port| {
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        installation.start(arguments, &environment, port).await
    };
    let (auth_calls, relay_calls, worker_calls, operator_calls, silent_calls) =
        tokio::join!(Recorder::start(), Recorder::start(), Recorder::start(), Recorder::start(), Recorder::start());
    let user_relay_calls = Recorder::start().await;

    let settings = [
        ("WORKER_ADMIN_LISTEN", listens[2].as_str()),
        ("WORKER_MAX_ATTEMPTS", "2"),
        ("WORKER_RETRY_BASE_MILLIS", "100"),
    ];
    let worker_child = start(&["run", "user-worker"], &by(&worker_calls, &settings), worker).await;
    let api_settings = [("AUTH_LISTEN", listens[0].as_str()), ("AUTH_ADMIN_LISTEN", listens[3].as_str())];
    let auth = start(&["run", "auth-service"], &by(&auth_calls, &api_settings), admin).await;
    register(api, "ada@example.com").await;
    has_profile(&installation, "ada@example.com").await;
    // The worker answers, and so publishes as well.
    delete(&installation).await;
    has_published(&installation, 1).await;
    terminate(auth).await;

    // With a relay of its own, the service itself asks nothing of the bus.
    let settings = [&api_settings[..], &[("OUTBOX_RELAY", "standalone")]].concat();
    let auth = start(&["run", "auth-service"], &by(&silent_calls, &settings), admin).await;
    let settings = [("RELAY_ADMIN_LISTEN", listens[1].as_str())];
    let relay_child = start(&["run", "relay", "--service", "auth"], &by(&relay_calls, &settings), relay).await;
    database(&installation, BREAK).await;
    register(api, "eve@example.com").await;
    let dead_letters = installation.bus.queue("user-service-dlq").await;
    eventually("the dead letter", async || (dead_letters.counts().await.unwrap().visible == 1).then_some(())).await;
    database(&installation, MEND).await;

    let operator = [by(&operator_calls, &[]), installation.environment()].concat();
    let operator: Vec<_> = operator.iter().rev().map(|(name, value)| (*name, value.as_str())).collect();
    let works = async |arguments: &[&str]| {
        let (code, stdout, stderr) = run(&[&["dlq"], arguments].concat(), &operator).await;
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        stdout
    };
    let why = ["--execute", "--reason", "a test"];
    works(&["list", "--json", "--consumer", "user-service"]).await;
    works(&["stats", "--consumer", "user-service"]).await;
    let discarded = works(&[&["discard", "--all-matching", "--json"][..], &why].concat()).await;
    let discarded: Value = serde_json::from_str(&discarded).unwrap();
    works(&[&["restore", discarded["operation"].as_str().unwrap()][..], &why].concat()).await;
    works(&[&["replay", "--all-matching"][..], &why].concat()).await;
    has_profile(&installation, "eve@example.com").await;
    // What SNS could not deliver; that it comes twice is nothing to the worker.
    let undelivered = installation.bus.queue("user-service-undelivered").await;
    let sent = undelivered.send(&[not_an_event()]).await;
    sent[0].as_ref().unwrap();
    works(&["groups", "--undelivered"]).await;
    works(&[&["discard", "--undelivered", "--all-matching"][..], &why].concat()).await;
    // And a move by SQS itself, slow enough to be stopped.
    let sent = dead_letters.send(&vec![not_an_event(); 20]).await;
    assert!(sent.iter().all(Result::is_ok));
    let native = [&["dlq", "replay", "--native", "--rate", "1"][..], &why].concat();
    let mut moving = crate::waypost(&native, &operator).spawn().unwrap();
    eventually("SQS moves", async || {
        operator_calls.calls().iter().any(|(call, _)| call == "sqs:ListMessageMoveTasks").then_some(())
    })
    .await;
    signal(&moving, "INT").await;
    let status = tokio::time::timeout(fixtures::DEADLINE, moving.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130));
    for child in [auth, relay_child, worker_child] {
        terminate(child).await;
    }
    let settings = [("WORKER_ADMIN_LISTEN", listens[2].as_str()), ("OUTBOX_RELAY", "standalone")];
    let worker_child = start(&["run", "user-worker"], &by(&worker_calls, &settings), worker).await;
    delete(&installation).await;
    let settings = [("RELAY_ADMIN_LISTEN", listens[1].as_str())];
    let relay_child = start(&["run", "relay", "--service", "user"], &by(&user_relay_calls, &settings), relay).await;
    has_published(&installation, 2).await;
    for child in [relay_child, worker_child] {
        terminate(child).await;
    }

    let prefix = &installation.bus.prefix;
    assert_exact(prefix, "auth-service", &auth_calls).await;
    assert_exact(prefix, "auth-service-relay", &relay_calls).await;
    assert_exact(prefix, "user-worker", &worker_calls).await;
    assert_exact(prefix, "user-service-relay", &user_relay_calls).await;
    assert_exact(prefix, "operator", &operator_calls).await;
    assert_eq!(silent_calls.calls(), BTreeSet::new());
}

#[tokio::test]
async fn a_deployer_makes_the_calls_that_its_policy_allows_and_no_others() {
    let (bus, recorder) = (fixtures::bus().await, Recorder::start().await);
    let environment = [
        NAMED[0],
        NAMED[1],
        ("LOCALSTACK_ENDPOINT", recorder.endpoint.as_str()),
        ("WAYPOST_NAME_PREFIX", bus.prefix.as_str()),
    ];
    let topology = async |arguments: &[&str], expected: i32| {
        let (code, stdout, stderr) = run(&[&["topology"], arguments].concat(), &environment).await;
        assert_eq!(code, expected, "{stdout}{stderr}");
        stdout
    };
    topology(&["plan"], 0).await;
    topology(&["apply"], 0).await;

    // Something to change in each kind of resource, and something to remove of each.
    let arn = |service: &str, name: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{}{name}", bus.prefix);
    let listed = [("Action", "ListSubscriptionsByTopic".to_owned()), ("TopicArn", arn("sns", "user-created"))];
    let listed = request(&listed).await;
    let subscription = listed.split("<SubscriptionArn>").nth(1).unwrap().split('<').next().unwrap();
    request(&[
        ("Action", "SetSubscriptionAttributes".to_owned()),
        ("SubscriptionArn", subscription.to_owned()),
        ("AttributeName", "RawMessageDelivery".to_owned()),
        ("AttributeValue", "false".to_owned()),
    ])
    .await;
    let events = [EventType::new("user.left")].into();
    let leaver = Subscriber { consumer: "leaver".to_owned(), events, settings: QueueSettings::DEFAULT };
    bus.bus.apply(&Topology { subscribers: vec![leaver], ..Topology::default() }).await.unwrap();

    let drift = topology(&["verify"], 1).await;
    assert!(drift.contains("RawMessageDelivery of subscription"), "{drift}");
    topology(&["apply", "--prune"], 0).await;
    assert_eq!(topology(&["verify"], 0).await, "");
    assert_exact(&bus.prefix, "deployer", &recorder).await;
}

async fn request(form: &[(&str, String)]) -> String {
    let scope = format!("test/20261122/{REGION}/sns/aws4_request");
    let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none");
    let endpoint = fixtures::required_variable("LOCALSTACK_ENDPOINT");
    let answer = Client::new().post(endpoint).header("authorization", signature).form(form).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{text}");
    text
}

/// Listing can't be limited to a topic, so it is worth telling a publisher its account.
#[tokio::test]
async fn a_publisher_that_is_told_its_account_does_not_list_topics() {
    let bus = fixtures::bus().await;
    let happened = EventType::new("test.happened");
    bus.bus.apply(&Topology { published: [happened].into(), ..Topology::default() }).await.unwrap();
    let topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:{}test-happened", bus.prefix);
    let publish = ("sns:Publish".to_owned(), topic);
    let list = ("sns:ListTopics".to_owned(), "*".to_owned());
    let message = OutgoingMessage { body: "m".to_owned(), ..OutgoingMessage::default() };
    for (account, expected) in [(Some(ACCOUNT), vec![&publish]), (None, vec![&list, &publish])] {
        let recorder = Recorder::start().await;
        let settings = AwsSettings {
            endpoint: Some(recorder.endpoint.clone()),
            region: Some(REGION.to_owned()),
            account: account.map(str::to_owned),
            names: Names::with_prefix(&bus.prefix),
            ..AwsSettings::default()
        };
        let bus = AwsBus::new(settings).await;
        bus.wait_until_ready(fixtures::DEADLINE).await.unwrap();
        bus.publisher().publish(happened.as_str(), std::slice::from_ref(&message)).await[0].as_ref().unwrap();
        assert_eq!(recorder.calls().iter().collect::<Vec<_>>(), expected);
        // A topic that is not there is named either way.
        let refused = bus.publisher().publish("test.unknown", std::slice::from_ref(&message)).await;
        let error = refused[0].as_ref().unwrap_err().to_string();
        assert!(error.contains("waypost topology apply"), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_service_is_refused_with_those_that_there_are() {
    let (code, stdout, stderr) = run(&["topology", "policies", "nobody"], &[]).await;
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(
        stderr.contains(
            "there are: auth-service, auth-service-relay, auth-worker, deployer, mailer, operator, product-service, \
             product-service-relay, user-service-relay, user-worker"
        ),
        "{stderr}"
    );
    let (_, stdout, _) = run(&["topology", "policies", "--json"], &[("AWS_ACCOUNT_ID", "123456789012")]).await;
    let policies: Value = serde_json::from_str(&stdout).unwrap();
    let topics = policies["auth-service"]["Statement"][0]["Resource"].as_array().unwrap();
    assert!(topics.contains(&json!("arn:aws:sns:*:123456789012:user-created")), "{topics:?}");
    let (code, _, stderr) = run(&["topology", "policies"], &[("AWS_ACCOUNT_ID", "1234")]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("AWS_ACCOUNT_ID is `1234`"), "{stderr}");
}
