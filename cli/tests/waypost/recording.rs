//! A proxy before SNS and SQS that notes which calls pass, as IAM would judge them, and refuses what it is told to.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use fixtures::required_variable;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use url::{Url, form_urlencoded};

pub const ACCOUNT: &str = "000000000000";
pub const REGION: &str = "us-east-1";

/// An action of IAM, and the ARN of what it is done to, or `*` where IAM knows no resource for it.
pub type Call = (String, String);

pub struct Recorder {
    pub endpoint: String,
    calls: Arc<Mutex<BTreeSet<Call>>>,
}

impl Recorder {
    pub async fn start() -> Self {
        Self::refusing(&[]).await
    }

    /// These actions are answered as AWS answers who may not.
    pub async fn refusing(actions: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(BTreeSet::new()));
        let noted = calls.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, noted.clone(), actions));
            }
        });
        Self { endpoint, calls }
    }

    pub fn calls(&self) -> BTreeSet<Call> {
        self.calls.lock().unwrap().clone()
    }
}

/// Passes requests on one by one, and answers as they come.
async fn pass(client: TcpStream, calls: Arc<Mutex<BTreeSet<Call>>>, refused: &[&str]) -> Option<()> {
    let upstream: Url = required_variable("LOCALSTACK_ENDPOINT").parse().unwrap();
    let upstream = upstream.socket_addrs(|| None).unwrap()[0];
    let (mut answers, mut requests) = TcpStream::connect(upstream).await.ok()?.into_split();
    let (from_client, to_client) = client.into_split();
    let to_client = Arc::new(tokio::sync::Mutex::new(to_client));
    let answering = to_client.clone();
    tokio::spawn(async move {
        let mut some = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = answers.read(&mut some).await {
            answering.lock().await.write_all(&some[..length]).await.ok()?;
        }
        answering.lock().await.shutdown().await.ok()
    });
    let mut from_client = BufReader::new(from_client);
    loop {
        let (mut head, mut request) = (Vec::new(), Head::default());
        loop {
            let mut line = String::new();
            if from_client.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            head.extend_from_slice(line.as_bytes());
            if line == "\r\n" {
                break;
            }
            request.note(&line);
        }
        let mut body = vec![0; request.length];
        from_client.read_exact(&mut body).await.ok()?;
        // Whoever says nothing of who they are needs no permission.
        if request.is_signed {
            let (action, resource) = call(request.target.as_deref(), &body);
            if refused.contains(&action.as_str()) {
                to_client.lock().await.write_all(refusal(&action).as_bytes()).await.ok()?;
                continue;
            }
            calls.lock().unwrap().insert((action, resource));
        }
        requests.write_all(&[head, body].concat()).await.ok()?;
    }
}

/// As each service words it.
fn refusal(action: &str) -> String {
    let body = match action.starts_with("sqs:") {
        true => r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not authorized"}"#,
        false => {
            "<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code><Message>not authorized</Message></Error></ErrorResponse>"
        }
    };
    format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[derive(Default)]
struct Head {
    length: usize,
    target: Option<String>,
    is_signed: bool,
}

impl Head {
    fn note(&mut self, line: &str) {
        let Some((name, value)) = line.split_once(':') else { return };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => self.length = value.trim().parse().unwrap(),
            "x-amz-target" => self.target = Some(value.trim().to_owned()),
            "authorization" => self.is_signed = true,
            "transfer-encoding" => panic!("a body of unknown length"),
            _ => {}
        }
    }
}

/// SQS is spoken to in JSON, with the operation in a header; SNS in forms.
fn call(target: Option<&str>, body: &[u8]) -> Call {
    let (service, operation, name) = if let Some(target) = target {
        let body: Value = serde_json::from_slice(body).unwrap();
        let url = body["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next());
        // A move's handle is opaque on AWS; LocalStack's is JSON in base64.
        let handle = body["TaskHandle"].as_str().and_then(|handle| BASE64_STANDARD.decode(handle).ok());
        let handle: Option<Value> = handle.and_then(|handle| serde_json::from_slice(&handle).ok());
        let moved = body["SourceArn"].as_str().or_else(|| handle.as_ref()?["sourceArn"].as_str());
        let name = url.or(body["QueueName"].as_str()).or_else(|| moved?.rsplit(':').next()).map(str::to_owned);
        ("sqs", target.strip_prefix("AmazonSQS.").unwrap().to_owned(), name)
    } else {
        let field = |wanted: &str| {
            form_urlencoded::parse(body).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
        };
        let arn = field("TopicArn").or_else(|| field("ResourceArn"));
        let name = arn.map(|arn| arn.rsplit(':').next().unwrap().to_owned()).or_else(|| field("Name"));
        ("sns", field("Action").unwrap(), name)
    };
    let resource = name.map_or("*".to_owned(), |name| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"));
    // IAM has one action for a call and for its batch.
    let operation = operation.strip_suffix("Batch").unwrap_or(&operation);
    (format!("{service}:{operation}"), resource)
}

#[test]
fn a_call_is_noted_as_the_action_that_iam_knows() {
    let body = br#"{"QueueUrl":"http://localhost:4566/000000000000/reader"}"#;
    let queue = "arn:aws:sqs:us-east-1:000000000000:reader".to_owned();
    assert_eq!(call(Some("AmazonSQS.DeleteMessageBatch"), body), ("sqs:DeleteMessage".to_owned(), queue));
    let body = b"Action=PublishBatch&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A000000000000%3Ahappened";
    let topic = "arn:aws:sns:us-east-1:000000000000:happened".to_owned();
    assert_eq!(call(None, body), ("sns:Publish".to_owned(), topic));
    assert_eq!(call(None, b"Action=ListTopics"), ("sns:ListTopics".to_owned(), "*".to_owned()));
}
