//! SNS and SQS: the real ones, or LocalStack where an endpoint is named.

mod connect;
mod export;
mod queue;
mod removing;
mod requests;
mod resources;
mod results;
mod sns;
mod topology;

pub use connect::{AwsBus, AwsSettings};
pub use export::awslocal_script;
