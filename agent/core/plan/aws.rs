//! The AWS calls a plan makes, and the least permission that allows them.
//!
//! Asking the instance metadata service needs no permission, and signals to CloudFormation are signed with the
//! instance's identity; neither is here.

use serde::Serialize;
use serde_json::{Value, json};

use super::Plan;
use crate::config::{EcrHost, RegistryAuth, RegistryLogin};

/// One kind of call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AwsCall {
    /// As IAM names it: `kms:Decrypt`.
    pub action: &'static str,
    /// What it is called on, as an ARN.
    pub resource: String,
    /// How often in a boot.
    pub times: usize,
    /// What for.
    pub why: String,
}

impl Plan {
    /// Every AWS call a first boot makes. A reboot that finds its container makes none.
    pub fn aws_calls(&self) -> Vec<AwsCall> {
        let mut calls = Vec::new();
        if !self.secrets.is_empty() {
            let used: Vec<&str> = self
                .secrets
                .iter()
                .flat_map(|one| &one.used_by)
                .map(String::as_str)
                .collect();
            calls.push(AwsCall {
                action: "kms:Decrypt",
                // A ciphertext names its key to KMS only, so this is as narrow as the user data tells.
                resource: format!("{}:key/*", self.arn("kms")),
                times: self.secrets.len(),
                why: format!("decrypt {}", used.join(", ")),
            });
        }
        self.ecr_calls(&mut calls);
        calls
    }

    /// The login is one call of ours; the other two the registry checks whenever the engine asks it for the image.
    fn ecr_calls(&self, calls: &mut Vec<AwsCall>) {
        let Some(RegistryAuth {
            registry,
            login: RegistryLogin::Ecr { region },
        }) = &self.registry_auth
        else {
            return;
        };
        calls.push(AwsCall {
            action: "ecr:GetAuthorizationToken",
            // Tokens belong to no repository: IAM knows no narrower resource.
            resource: "*".to_owned(),
            times: 1,
            why: format!("log in to {registry}"),
        });
        let account = EcrHost::parse(registry).map_or_else(|| "*".to_owned(), |host| host.account);
        let repository = format!(
            "arn:{}:ecr:{region}:{account}:repository/{}",
            partition(region),
            self.container.image.repository()
        );
        for (action, why) in [
            ("ecr:BatchGetImage", "read the image's manifest"),
            ("ecr:GetDownloadUrlForLayer", "read its layers"),
        ] {
            calls.push(AwsCall {
                action,
                resource: repository.clone(),
                times: 1,
                why: why.to_owned(),
            });
        }
    }

    /// The policy to attach to the instance's role, ready to paste; no statement when no call is made.
    pub fn iam_policy(&self) -> Value {
        let statements: Vec<Value> = self
            .aws_calls()
            .iter()
            .map(|call| json!({ "Effect": "Allow", "Action": call.action, "Resource": call.resource }))
            .collect();
        json!({ "Version": "2012-10-17", "Statement": statements })
    }

    /// `arn:aws:kms:eu-central-1:123456789012`, with stars where no machine is known.
    fn arn(&self, service: &str) -> String {
        let (region, account) = self
            .facts
            .as_ref()
            .map_or(("*", "*"), |facts| (&facts.region, &facts.account_id));
        format!("arn:{}:{service}:{region}:{account}", partition(region))
    }
}

fn partition(region: &str) -> &'static str {
    match region {
        china if china.starts_with("cn-") => "aws-cn",
        gov if gov.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}
