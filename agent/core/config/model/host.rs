//! The machine around the container, and whom it talks to.

use crate::metrics::MetricsPlan;
use crate::secret::{Secret, SecretSource};

/// Settings of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Host {
    /// Kernel settings: name and value.
    pub sysctl: Vec<(String, String)>,
    /// Files below `/sys` and their values.
    pub sysfs: Vec<(String, String)>,
    /// Where sshd listens.
    pub ssh_ports: Vec<u16>,
    /// sshd's GatewayPorts.
    pub ssh_gateway_ports: Option<String>,
    /// Whether the cloud image's authorized_keys stay.
    pub keep_instance_users: Option<bool>,
    /// Memory and disk as CloudWatch metrics.
    pub enhanced_cloudwatch_metrics: Option<bool>,
    /// The X-Ray daemon.
    pub xray_enabled: Option<bool>,
    /// Where etcd is found.
    pub etcd_discovery_domain: Option<String>,
    /// For the container's TOKENINFO_URL.
    pub tokeninfo_url: Option<String>,
    /// A tokeninfo service on the machine.
    pub local_planb_tokeninfo: Option<bool>,
    /// Figures beside those that are always told.
    pub metrics: MetricsPlan,
}

/// Who is told what happened here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// Where records go.
    pub instance_logs_url: Option<String>,
    /// Basic auth.
    pub logsink_username: Option<String>,
    /// Basic auth.
    pub logsink_password: Option<SecretSource>,
}

/// Whom notices are pushed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Events {
    /// Gets a POST for each.
    pub webhook: Option<String>,
    /// Sent with it.
    pub headers: Vec<(String, SecretSource)>,
    /// The name or ARN of a bus in EventBridge.
    pub event_bus: Option<String>,
}

impl Events {
    /// A header's value, where it stands in the user data as it is.
    pub fn literal_header(&self, name: &str) -> Option<Secret> {
        let (_, source) = self.headers.iter().find(|(one, _)| one == name)?;
        match source {
            SecretSource::Literal(secret) => Some(secret.clone()),
            SecretSource::Stored(_) => None,
        }
    }
}

impl Audit {
    /// The password, where it stands in the user data as it is.
    pub fn literal_password(&self) -> Option<Secret> {
        match self.logsink_password.as_ref()? {
            SecretSource::Literal(secret) => Some(secret.clone()),
            SecretSource::Stored(_) => None,
        }
    }
}
