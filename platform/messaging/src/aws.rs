//! SNS and SQS: the real ones, or LocalStack where an endpoint is named.

mod alarms;
mod calls;
mod cloudformation;
mod connect;
mod export;
mod inspection;
mod moving;
mod permissions;
mod queue;
mod removing;
mod requests;
mod resources;
mod results;
mod sns;
mod topology;

pub use cloudformation::cloudformation_template;
pub use connect::{AwsBus, AwsSettings};
pub use export::awslocal_script;
pub use permissions::{Duty, policy_document};
pub use resources::Place;
