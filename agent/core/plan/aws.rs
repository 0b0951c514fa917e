//! The AWS calls a plan makes, and the least permission that allows them.
//!
//! Asking the instance metadata service needs no permission, and neither does a signal to CloudFormation that is signed
//! with the instance's identity, which is the default; neither is here.

use serde::Serialize;
use serde_json::{Value, json};

use super::Plan;
use crate::config::{EcrHost, RegistryHost, RegistryLogin, Storage};
use crate::identity::Served;
use crate::secret::Source;
use crate::storage::{ERASE_TAG, Origin};

const DESCRIBE_VOLUMES: &str = "ec2:DescribeVolumes";
const ATTACH_VOLUME: &str = "ec2:AttachVolume";
const DELETE_TAGS: &str = "ec2:DeleteTags";

/// One kind of call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AwsCall {
    /// As IAM names it: `kms:Decrypt`.
    pub action: &'static str,
    /// What it is called on, as an ARN.
    pub resource: String,
    /// How often in a boot; 0 for calls that a registry makes of what the engine asks it, and for those that go on.
    pub times: usize,
    /// What for.
    pub why: String,
}

impl Plan {
    /// Every AWS call that a first boot makes, those of shipping logs, which go on, and those of the machine's end. A reboot
    /// that finds its container makes only the latter two and asks the load balancers.
    pub fn aws_calls(&self) -> Vec<AwsCall> {
        let mut calls: Vec<AwsCall> = Vec::new();
        for one in &self.every_use() {
            let (action, resource, verb) = self.access(&one.source);
            match calls
                .iter_mut()
                .find(|call| (call.action, &call.resource) == (action, &resource))
            {
                Some(call) => {
                    call.times += 1;
                    call.why.push_str(", ");
                    call.why.push_str(&one.used_by());
                }
                None => calls.push(AwsCall {
                    action,
                    resource,
                    times: 1,
                    why: format!("{verb} {}", one.used_by()),
                }),
            }
        }
        if let Some(bucket) = &self.container.mint_bucket {
            let partition = partition(self.facts.as_ref().map_or("*", |facts| facts.region.as_str()));
            calls.push(AwsCall {
                action: "s3:GetObject",
                resource: format!("arn:{partition}:s3:::{bucket}/{}/*", self.application.id),
                times: 2,
                why: "fetch the application's credentials, then every two minutes".to_owned(),
            });
        }
        self.storage_calls(&mut calls);
        self.ecr_calls(&mut calls);
        self.log_calls(&mut calls);
        self.lifecycle_calls(&mut calls);
        self.audit_calls(&mut calls);
        self.events_calls(&mut calls);
        self.extra_calls(&mut calls);
        if let Some(Served::Role(role)) = self.container.identity.served() {
            calls.push(AwsCall {
                action: "sts:AssumeRole",
                resource: role.to_string(),
                times: 0,
                why: "get the container's credentials, each hour that it asks for them".to_owned(),
            });
        }
        calls
    }

    /// What has to be allowed on what, and what it does.
    pub(super) fn access(&self, source: &Source) -> (&'static str, String, &'static str) {
        match source {
            // A ciphertext names its key to KMS only, so this is as narrow as the user data tells.
            Source::Kms { .. } => ("kms:Decrypt", format!("{}:key/*", self.arn("kms")), "decrypt"),
            // The version or label behind the colon is no part of what is allowed.
            Source::Parameter { name } if name.starts_with("arn:") => {
                let bare: Vec<&str> = name.split(':').take(6).collect();
                ("ssm:GetParameter", bare.join(":"), "fetch")
            }
            Source::Parameter { name } => {
                let name = name.split(':').next().unwrap_or_default().trim_start_matches('/');
                (
                    "ssm:GetParameter",
                    format!("{}:parameter/{name}", self.arn("ssm")),
                    "fetch",
                )
            }
            Source::SecretsManager { id, .. } if id.starts_with("arn:") => {
                ("secretsmanager:GetSecretValue", id.clone(), "fetch")
            }
            Source::SecretsManager { id, .. } => (
                "secretsmanager:GetSecretValue",
                // Six random characters end every secret's ARN.
                format!("{}:secret:{id}-??????", self.arn("secretsmanager")),
                "fetch",
            ),
        }
    }

    /// A first boot finds every volume available: it looks once for each and attaches it.
    fn storage_calls(&self, calls: &mut Vec<AwsCall>) {
        let storage = &self.storage;
        let attached = storage.ebs.len();
        let tagged: Vec<&str> = storage
            .mounts
            .iter()
            .filter(|mount| mount.erase_on_boot.is_none())
            .filter_map(|mount| mount.partition.as_deref())
            .filter(|device| may_have_tag(storage, device))
            .collect();
        // A volume that the file attaches was looked at before; one that came with the machine is looked for once.
        let of_machine = storage
            .mounts
            .iter()
            .filter_map(|mount| mount.partition.as_deref())
            .chain(
                storage
                    .raid
                    .iter()
                    .flat_map(|raid| raid.members.iter().map(String::as_str)),
            )
            .any(|device| may_be_mapped(storage, device));
        let volumes = format!("{}:volume/*", self.arn("ec2"));
        let mut add = |action, resource: &str, times, why: String| {
            calls.push(AwsCall {
                action,
                resource: resource.to_owned(),
                times,
                why,
            });
        };
        let mut looks: Vec<&str> = Vec::new();
        looks.extend(
            (attached > 0).then_some("find volumes by their Name tags, and wait until they are attached"),
        );
        looks.extend(of_machine.then_some("see what the machine was launched with"));
        if !looks.is_empty() {
            // Descriptions know no narrower resource.
            add(
                DESCRIBE_VOLUMES,
                "*",
                attached + usize::from(of_machine),
                looks.join("; "),
            );
        }
        if attached > 0 {
            let devices: Vec<&str> = storage.ebs.iter().map(|volume| volume.device.as_str()).collect();
            let why = format!("attach the volumes of {}", devices.join(", "));
            let instance = self
                .facts
                .as_ref()
                .map_or("*", |facts| facts.instance_id.as_str());
            let instance = format!("{}:instance/{instance}", self.arn("ec2"));
            add(ATTACH_VOLUME, &volumes, attached, why);
            let why = "the same, on the machine's side".to_owned();
            add(ATTACH_VOLUME, &instance, attached, why);
        }
        if !tagged.is_empty() {
            let why = format!(
                "take the tag {ERASE_TAG} off a volume before it is formatted for {}",
                tagged.join(", ")
            );
            add(DELETE_TAGS, &volumes, 0, why);
        }
    }

    /// A login is one call of ours, for each host; the other two the registry checks whenever the engine asks it for the
    /// image.
    fn ecr_calls(&self, calls: &mut Vec<AwsCall>) {
        let logins = || self.registry_auth.iter().chain(&self.mirror_auths);
        let logs_in = logins().filter(|auth| matches!(auth.login, RegistryLogin::Ecr { .. }));
        let hosts: Vec<&str> = logs_in.map(|auth| auth.registry.as_str()).collect();
        if !hosts.is_empty() {
            calls.push(AwsCall {
                action: "ecr:GetAuthorizationToken",
                // Tokens belong to no repository: IAM knows no narrower resource.
                resource: "*".to_owned(),
                times: hosts.len(),
                why: format!("log in to {}", hosts.join(", ")),
            });
        }
        let image = &self.container.image;
        let own = (image.registry(), image.repository().to_owned());
        let mirrored = self
            .mirrors
            .iter()
            .map(|mirror| (mirror.registry(), mirror.repository(image.repository())));
        let mut repositories: Vec<String> = Vec::new();
        for (host, path) in [own].into_iter().chain(mirrored) {
            let Some(RegistryLogin::Ecr { region }) = logins()
                .find(|auth| auth.registry == host)
                .map(|auth| &auth.login)
            else {
                continue;
            };
            let account = EcrHost::parse(&RegistryHost::new(host).to_string())
                .map_or_else(|| "*".to_owned(), |host| host.account);
            let repository = format!(
                "arn:{}:ecr:{region}:{account}:repository/{path}",
                partition(region)
            );
            if !repositories.contains(&repository) {
                repositories.push(repository);
            }
        }
        for repository in repositories {
            for (action, why) in [
                ("ecr:BatchGetImage", "read the image's manifest"),
                ("ecr:GetDownloadUrlForLayer", "read its layers"),
            ] {
                calls.push(AwsCall {
                    action,
                    resource: repository.clone(),
                    times: 0,
                    why: why.to_owned(),
                });
            }
        }
    }

    /// The policy to attach to the instance's role, ready to paste; no statement when no call is made.
    pub fn iam_policy(&self) -> Value {
        let statements: Vec<Value> = self.aws_calls().iter().map(|call| self.statement(call)).collect();
        json!({ "Version": "2012-10-17", "Statement": statements })
    }

    /// Tags are taken off by their names, so the permission is for that name alone.
    fn condition(&self, action: &str) -> Option<Value> {
        if action == DELETE_TAGS {
            return Some(json!({ "ForAllValues:StringEquals": { "aws:TagKeys": [ERASE_TAG] } }));
        }
        self.extra_condition(action)
    }

    fn statement(&self, call: &AwsCall) -> Value {
        let mut statement = json!({ "Effect": "Allow", "Action": call.action, "Resource": call.resource });
        if let (Some(condition), Some(map)) = (self.condition(call.action), statement.as_object_mut()) {
            map.insert("Condition".to_owned(), condition);
        }
        statement
    }

    /// `arn:aws:kms:eu-central-1:123456789012`, with stars where no machine is known.
    pub(super) fn arn(&self, service: &str) -> String {
        let (region, account) = self
            .facts
            .as_ref()
            .map_or(("*", "*"), |facts| (&facts.region, &facts.account_id));
        let partition = self.partition();
        format!("arn:{partition}:{service}:{region}:{account}")
    }

    fn partition(&self) -> &'static str {
        partition(self.facts.as_ref().map_or("*", |facts| facts.region.as_str()))
    }
}

/// Whether a volume's tag can be an order for a device: that is so for the whole volumes that the file attaches. A partition of one has
/// no tag, as Taupage had it; an array and the machine's own disks have none either.
pub(super) fn may_have_tag(storage: &Storage, device: &str) -> bool {
    match Origin::of(storage, device) {
        Origin::Ebs { partition, .. } => partition.is_none(),
        Origin::Machine { .. } | Origin::Raid { .. } => false,
    }
}

/// Whether EC2 has to be asked what a device is: on Nitro there is no such file for what a launch template attaches.
fn may_be_mapped(storage: &Storage, device: &str) -> bool {
    let launched = |device: &str| {
        ["/dev/sd", "/dev/xvd"]
            .iter()
            .any(|prefix| device.starts_with(prefix))
    };
    matches!(Origin::of(storage, device), Origin::Machine { device, .. } if launched(&device))
}

/// The first part of every ARN of a region.
pub fn partition(region: &str) -> &'static str {
    match region {
        china if china.starts_with("cn-") => "aws-cn",
        gov if gov.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}
