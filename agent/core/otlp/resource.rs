//! Who sends, by OpenTelemetry's semantic conventions.

use serde_json::{Value, json};

use super::text;
use crate::logs::Attributes;
use crate::record::BootRecord;

/// What is known of whoever the data is about; an empty text is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Who<'a> {
    /// `application_id`.
    pub application: &'a str,
    /// `application_version`.
    pub version: &'a str,
    /// The instance.
    pub instance_id: &'a str,
    /// Its host name.
    pub hostname: &'a str,
    /// `t3.micro`.
    pub instance_type: &'a str,
    /// The machine image.
    pub machine_image: &'a str,
    /// The account.
    pub account: &'a str,
    /// The region.
    pub region: &'a str,
    /// The availability zone.
    pub zone: &'a str,
    /// CloudFormation's stack.
    pub stack: &'a str,
    /// The container.
    pub container: &'a str,
    /// Its image, as the user wrote it.
    pub image: &'a str,
    /// The digest that runs.
    pub digest: &'a str,
    /// The commit that the image was built from.
    pub commit: &'a str,
    /// `deployment_id`.
    pub deployment: &'a str,
}

impl<'a> Who<'a> {
    /// Whose lines these are.
    pub fn of_lines(attributes: &'a Attributes) -> Self {
        Self {
            application: &attributes.application_id,
            version: &attributes.application_version,
            instance_id: &attributes.instance_id,
            hostname: &attributes.hostname,
            account: &attributes.account,
            region: &attributes.region,
            stack: attributes.stack.as_deref().unwrap_or_default(),
            image: &attributes.image,
            machine_image: &attributes.ami,
            digest: &attributes.digest,
            commit: &attributes.commit,
            deployment: &attributes.deployment_id,
            ..Self::default()
        }
    }

    /// Whose machine it is.
    pub fn of_machine(record: &'a BootRecord) -> Self {
        let application = record.application.as_ref();
        let facts = record.facts.as_ref();
        let container = record.container.as_ref();
        let trace = record.trace.as_ref();
        let optional = |text: Option<&'a String>| text.map_or("", String::as_str);
        Self {
            application: optional(application.map(|one| &one.id)),
            version: optional(application.map(|one| &one.version)),
            instance_id: optional(facts.map(|facts| &facts.instance_id)),
            instance_type: optional(facts.and_then(|facts| facts.instance_type.as_ref())),
            machine_image: optional(facts.and_then(|facts| facts.image_id.as_ref())),
            account: optional(facts.map(|facts| &facts.account_id)),
            region: optional(facts.map(|facts| &facts.region)),
            zone: optional(facts.map(|facts| &facts.availability_zone)),
            container: optional(container.map(|one| &one.id)),
            image: optional(container.map(|one| &one.image)),
            digest: optional(container.map(|one| &one.digest)),
            commit: optional(trace.and_then(|trace| trace.commit.as_ref())),
            deployment: optional(trace.and_then(|trace| trace.deployment_id.as_ref())),
            ..Self::default()
        }
    }

    /// The resource. `service.instance.id` is the instance's: receivers that make Prometheus series of metrics tell
    /// machines apart by it and by nothing else.
    pub fn resource(&self) -> Value {
        let name = repository(self.image);
        let on_aws = !self.instance_id.is_empty();
        let aws = |word: &'static str| if on_aws { word } else { "" };
        let mut attributes: Vec<Value> = [
            ("service.name", self.application),
            ("service.version", self.version),
            ("service.instance.id", self.instance_id),
            ("host.id", self.instance_id),
            ("host.name", self.hostname),
            ("host.type", self.instance_type),
            ("host.image.id", self.machine_image),
            ("cloud.provider", aws("aws")),
            ("cloud.platform", aws("aws_ec2")),
            ("cloud.account.id", self.account),
            ("cloud.region", self.region),
            ("cloud.availability_zone", self.zone),
            ("aws.cloudformation.stack.name", self.stack),
            ("container.id", self.container),
            ("container.image.name", name),
            ("vcs.ref.head.revision", self.commit),
            ("deployment.id", self.deployment),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| text(key, value))
        .collect();
        attributes.extend(tag(self.image).map(|tag| list("container.image.tags", tag)));
        if !name.is_empty() && !self.digest.is_empty() {
            let by_digest = format!("{name}@{}", self.digest);
            attributes.push(list("container.image.repo_digests", &by_digest));
        }
        json!({ "attributes": attributes })
    }
}

/// A list of one text.
fn list(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "arrayValue": { "values": [{ "stringValue": value }] } } })
}

/// `registry.example.org/team/app:1@sha256:…` without its tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    match tag(image) {
        Some(tag) => image
            .strip_suffix(tag)
            .map_or(image, |name| name.trim_end_matches(':')),
        None => image,
    }
}

/// A colon with a slash behind it is a port's.
fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next()?;
    let (_, tag) = image.rsplit_once(':')?;
    (!tag.contains('/')).then_some(tag)
}
