//! What all clients of the AWS SDK have in common.
//!
//! The SDK's own retries are off: ours know the boot budget. Credentials are the SDK's business (on
//! an instance, the instance profile's).

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};

/// One call may take this long.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Whoever does not even accept a connection is not there.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Loads credentials' sources and endpoints from the SDK's usual places; asks nobody yet.
pub(super) async fn config(region: &str) -> SdkConfig {
    common().region(Region::new(region.to_owned())).load().await
}

/// The same for a person's machine: without a region of its own, the one the SDK finds (environment, profile, metadata).
pub(super) async fn config_of_a_person(region: Option<&str>) -> SdkConfig {
    match region {
        Some(region) => config(region).await,
        None => common().load().await,
    }
}

fn common() -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
}
