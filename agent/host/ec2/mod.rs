//! EBS volumes: four calls to EC2, by the SDK's signer and its credentials.
//!
//! The SDK's client for EC2 takes 8 GiB of memory to compile, so its query protocol is spoken here: a form in a POST, XML in
//! the answer ([`request`], [`answer`]).
//!
//! Nothing is ever detached here: who holds a volume keeps it until it lets go.

mod answer;
mod request;

use std::collections::BTreeSet;

use monopod_core::storage::volume::{ERASE_TAG, Volume};
use reqwest::Client;
use tokio::sync::OnceCell;

use super::aws::{self, AwsError};
use super::sigv4::{Came, NoAnswer, Service};
use super::{Class, Classified};
use answer::{Element, Verdict};
use request::{CONTENT_TYPE, Call};

/// A page has a hundred volumes with fifty tags each at most.
const LARGEST_ANSWER: usize = 4 << 20;
/// No name is on so many volumes: whoever has always one page more is not EC2.
const MOST_PAGES: usize = 100;

/// What came of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// EC2 is at it; the device appears in a while.
    Begun,
    /// Somebody was faster, this machine in an earlier attempt perhaps: look again.
    Taken,
}

/// Why EC2 did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Ec2Error {
    /// It was not reached, or said no.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// Somebody else answered, or EC2 in parts: it may have been done all the same.
    #[error(
        "{service} answered {status} to {subject} with something that is no answer of EC2's; if it stays so, look for a proxy in between"
    )]
    Nonsense {
        /// Which one, and where.
        service: String,
        /// What was asked for.
        subject: String,
        /// The answer.
        status: u16,
    },
}

impl Classified for Ec2Error {
    fn class(&self) -> Class {
        match self {
            Self::Aws(error) => error.class(),
            Self::Nonsense { status: 429, .. } => Class::Throttled,
            Self::Nonsense { .. } => Class::Transient,
        }
    }
}

/// EC2 in one region.
#[derive(Debug)]
pub struct Ec2 {
    service: Service,
    client: OnceCell<Client>,
}

impl Ec2 {
    /// Loads credentials' sources and endpoints from the SDK's usual places; asks nobody yet.
    pub async fn new(region: &str) -> Self {
        Self {
            service: Service::new("ec2", "AWS_ENDPOINT_URL_EC2", region).await,
            client: OnceCell::new(),
        }
    }

    /// All volumes of a zone with this name, to the letter.
    pub async fn volumes_named(&self, name: &str, zone: &str) -> Result<Vec<Volume>, Ec2Error> {
        let subject = format!("the volumes named {name:?} in {zone}");
        let filters = [("tag:Name", name), ("availability-zone", zone)];
        let mut volumes = self.volumes(&subject, &filters).await?;
        volumes.retain(|volume| {
            volume
                .tags
                .iter()
                .any(|(key, value)| key == "Name" && value == name)
        });
        Ok(volumes)
    }

    /// All volumes that are attached to an instance, or on the way: the device names of its block device mappings.
    pub async fn volumes_of(&self, instance: &str) -> Result<Vec<Volume>, Ec2Error> {
        let subject = format!("the volumes of {instance}");
        self.volumes(&subject, &[("attachment.instance-id", instance)])
            .await
    }

    /// Asks EC2 to attach a volume as this device. It is not there yet when this returns.
    pub async fn attach(&self, volume: &str, instance: &str, device: &str) -> Result<Attached, Ec2Error> {
        let subject = format!("attaching {volume} to {instance} as {device}");
        let call = Call::attach(volume, instance, device);
        match self.call(&subject, &call).await? {
            (_, Verdict::Done(_)) => Ok(Attached::Begun),
            (_, Verdict::Refused { code, message }) if is_taken(&code, &message, instance) => {
                Ok(Attached::Taken)
            }
            (answer, verdict) => Err(self.error(&subject, &answer, verdict)),
        }
    }

    /// Takes the order to erase a volume back. Without an error, EC2 has said that it is gone.
    pub async fn remove_erase_tag(&self, volume: &str) -> Result<(), Ec2Error> {
        let subject = format!("removing the tag {ERASE_TAG} of {volume}");
        let call = Call::delete_tag(volume, ERASE_TAG);
        match self.call(&subject, &call).await? {
            (_, Verdict::Done(root)) if root.is_true() => Ok(()),
            (answer, verdict) => Err(self.error(&subject, &answer, verdict)),
        }
    }

    async fn volumes(&self, subject: &str, filters: &[(&str, &str)]) -> Result<Vec<Volume>, Ec2Error> {
        let (mut volumes, mut page, mut seen) = (Vec::new(), None::<String>, BTreeSet::new());
        loop {
            let call = Call::describe(filters, page.as_deref());
            let (answer, verdict) = self.call(subject, &call).await?;
            let read = |root: &Element| Some((root.volumes()?, root.next_page()));
            let found = match &verdict {
                Verdict::Done(root) => read(root),
                Verdict::Refused { .. } | Verdict::Nonsense => None,
            };
            let Some((found, next)) = found else {
                return Err(self.error(subject, &answer, verdict));
            };
            volumes.extend(found);
            match next {
                None => return Ok(volumes),
                // A page that was there already has no end behind it.
                Some(next) if seen.len() == MOST_PAGES || !seen.insert(next.clone()) => {
                    return Err(self.error(subject, &answer, Verdict::Nonsense));
                }
                next => page = next,
            }
        }
    }

    async fn call(&self, subject: &str, call: &Call) -> Result<(Came, Verdict), Ec2Error> {
        let said = |came: &Came| match Verdict::of(came, call.action()) {
            Verdict::Refused { code, message } => Some((code, message)),
            Verdict::Done(_) | Verdict::Nonsense => None,
        };
        let client = self.client.get_or_try_init(async || self.service.client());
        let client = client.await.map_err(|why| self.unreachable(subject, why))?;
        let (headers, body) = ([("content-type", CONTENT_TYPE)], call.body());
        // What is cut is not well formed, so it is read as nobody's answer.
        let came = self
            .service
            .post(client, &headers, body.as_bytes(), LARGEST_ANSWER, said);
        let came = came.await.map_err(|why| self.unreachable(subject, why))?;
        let verdict = Verdict::of(&came, call.action());
        Ok((came, verdict))
    }

    fn error(&self, subject: &str, answer: &Came, verdict: Verdict) -> Ec2Error {
        match verdict {
            Verdict::Refused { code, message } => {
                let class = class_of(&code, &message, answer.status);
                let answer = aws::Answer::Error { class, code, message };
                AwsError::from_answer(&self.name(), subject, answer, advice).into()
            }
            Verdict::Done(_) | Verdict::Nonsense => Ec2Error::Nonsense {
                service: self.name(),
                subject: subject.to_owned(),
                status: answer.status,
            },
        }
    }

    fn name(&self) -> String {
        format!("EC2 in {}", self.service.region)
    }

    fn unreachable(&self, subject: &str, why: NoAnswer) -> Ec2Error {
        AwsError::from_answer(&self.name(), subject, aws::Answer::None(why), |_| "").into()
    }
}

/// Whether a refusal means that the volume is somebody's, or on its way to or from somebody. `IncorrectState` has two
/// meanings: `vol-1 is not 'available'`, and `Instance 'i-1' is not 'running'` of a machine that is not done starting.
fn is_taken(code: &str, message: &str, instance: &str) -> bool {
    match code {
        "VolumeInUse" => true,
        "IncorrectState" => !message.contains(instance) && !message.contains("Instance"),
        _ => false,
    }
}

/// What only EC2 says; the rest is as everywhere.
fn class_of(code: &str, message: &str, status: u16) -> Class {
    match code {
        // The machine runs before EC2 says so, and before all of EC2 knows it.
        "IncorrectState" | "IncorrectInstanceState" | "InvalidInstanceID.NotFound"
        // As elsewhere InvalidClientTokenId: credentials that have not spread yet.
        | "AuthFailure"
        | "InternalError" | "Unavailable" => Class::Transient,
        "EC2ThrottledException" | "Client.RequestLimitExceeded" => Class::Throttled,
        _ => aws::class_of(code, message, status),
    }
}

fn advice(code: &str) -> &'static str {
    match code {
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
            "; grant the instance profile's role what `monopod plan --iam` prints: ec2:DescribeVolumes, ec2:AttachVolume, and ec2:DeleteTags where a tag orders the erasure"
        }
        "InvalidVolume.ZoneMismatch" => "; a volume can only be attached in its own availability zone",
        "InvalidVolume.NotFound" => "; it is gone since it was found",
        "InvalidParameterValue" => {
            "; the device name in `volumes.ebs` has to be one that EC2 knows and that is free: /dev/sdf to /dev/sdp"
        }
        "AttachmentLimitExceeded" => "; this type of instance takes no more volumes",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
