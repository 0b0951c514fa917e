//! Whether the image may run, asked of the registry before anything is pulled.
//!
//! Everything fails closed: a refusal is final (78), a registry that is away is tried again until the deadline, and the
//! boot ends then. What is decided is decided in `monopod_core::trust`; here are the questions. All of them are about one
//! digest, the one that is pulled and run afterwards, so that a tag that moves meanwhile changes nothing.
//!
//! Asked whenever a container is made. One that exists was verified under the same policy: an instance keeps its machine
//! image, so a reboot needs no registry.

use std::cell::OnceCell;

use monopod_core::config::ImageRef;
use monopod_core::event::Event;
use monopod_core::plan::{Plan, StepId};
use monopod_core::retry;
use monopod_core::trust::{
    self, Refusal, Refused, Requirement, TrustedKey, Unverified, Verified, header, signature as signed,
};
use tokio::time::{Instant, timeout_at};

use super::{GaveUp, until_it_works};
use crate::boot::BootError;
use crate::context::Context;
use crate::host::registry::{Credentials, Options, Registry, RegistryError};
use crate::host::{Classified, signature};

/// What is asked of a registry.
pub(in crate::boot) trait Manifests {
    /// What goes wrong.
    type Error: Classified + Send + Sync + 'static;

    /// A manifest by tag or digest; `None` if there is none.
    async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Served>, Self::Error>;

    /// A blob of `limit` bytes at most; `None` if there is none with this digest.
    async fn blob(
        &self,
        repository: &str,
        digest: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// A manifest as it was served.
#[derive(Clone, Debug, Default)]
pub(in crate::boot) struct Served {
    pub(in crate::boot) bytes: Vec<u8>,
    pub(in crate::boot) headers: Vec<(String, String)>,
}

/// Ends well only if the image of this digest is what the plan's rule wants; gives what was found out, which is told
/// already.
pub(in crate::boot) async fn verify(
    context: &Context,
    plan: &Plan,
    image: &ImageRef,
    digest: &str,
    registry: &impl Manifests,
    deadline: Instant,
) -> Result<Verified, BootError> {
    let asking = Asking {
        context,
        plan,
        image,
        digest,
        registry,
        deadline,
    };
    let judged = match trust::judge_digest(image, digest) {
        Err(refusal) => Err(refusal),
        Ok(()) => match &plan.trust.requirement {
            Requirement::Nothing => Ok(Verified::Nothing),
            Requirement::Digest => trust::judge_pinned(image, digest),
            Requirement::Header => asking.header().await?,
            Requirement::Signature(keys) => asking.signature(keys).await?,
        },
    };
    let verified = judged.map_err(|why| {
        BootError::Refused(Box::new(Refused {
            image: image.to_string(),
            digest: digest.to_owned(),
            rule: plan.trust.rule.clone(),
            why,
        }))
    })?;
    context.reporter.tell(Event::ImageTrusted {
        what: verified.to_string(),
    });
    Ok(verified)
}

/// What every question shares.
struct Asking<'a, R> {
    context: &'a Context,
    plan: &'a Plan,
    image: &'a ImageRef,
    digest: &'a str,
    registry: &'a R,
    deadline: Instant,
}

impl<R: Manifests> Asking<'_, R> {
    async fn header(&self) -> Result<Result<Verified, Refusal>, BootError> {
        let Some(served) = self.manifest(self.digest).await? else {
            return Ok(Err(Refusal::Gone));
        };
        let answer =
            |served: &Served| header::read(&served.headers, |text| self.context.reporter.redacted(text));
        let by_digest = answer(&served);
        let by_tag = match (&by_digest, self.image.tag()) {
            // Some registries speak of tags alone.
            (header::Answer::Silent, Some(tag)) => self.manifest(tag).await?.map(|served| {
                let same = if trust::has_digest(&served.bytes, self.digest) {
                    header::SameImage::Yes
                } else {
                    header::SameImage::No
                };
                (answer(&served), same)
            }),
            _ => None,
        };
        Ok(header::judge(by_digest, by_tag).map(|()| Verified::Header))
    }

    async fn signature(&self, keys: &[TrustedKey]) -> Result<Result<Verified, Refusal>, BootError> {
        let tag = signed::tag(self.digest);
        let layers = match self.manifest(&tag).await? {
            None => Ok(Vec::new()),
            Some(served) => signed::layers(&served.bytes),
        };
        let layers = match layers {
            Ok(layers) if layers.is_empty() => return Ok(Err(Refusal::Unsigned { tag })),
            Ok(layers) => layers,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut refusals = Vec::new();
        for layer in &layers {
            let Some(payload) = self.blob(&layer.digest).await? else {
                refusals.push(Refusal::BadSignature {
                    what: "the registry does not have what was signed",
                });
                continue;
            };
            let verified_by: Vec<usize> = keys
                .iter()
                .enumerate()
                .filter(|(_, key)| signature::verifies(&key.key, &payload, &layer.signature))
                .map(|(index, _)| index)
                .collect();
            let facts = signed::Facts {
                layer,
                payload: &payload,
                verified_by: &verified_by,
                now: crate::host::clock::now_seconds(),
            };
            match signed::judge(&facts, keys, self.image, self.digest) {
                Ok(key) => return Ok(Ok(Verified::Signature(key.name().to_owned()))),
                Err(refusal) => refusals.push(refusal),
            }
        }
        Ok(Err(
            signed::most_telling(refusals).unwrap_or(Refusal::Unsigned { tag })
        ))
    }

    async fn manifest(&self, reference: &str) -> Result<Option<Served>, BootError> {
        let repository = self.image.repository();
        self.ask(async || self.registry.manifest(repository, reference).await)
            .await
    }

    async fn blob(&self, digest: &str) -> Result<Option<Vec<u8>>, BootError> {
        let repository = self.image.repository();
        self.ask(async || {
            self.registry
                .blob(repository, digest, signed::LARGEST_PAYLOAD)
                .await
        })
        .await
    }

    /// Until there is an answer, or no time left.
    async fn ask<T>(&self, question: impl AsyncFnMut() -> Result<T, R::Error>) -> Result<T, BootError> {
        let unverified = |source| {
            Box::new(Unverified {
                image: self.image.to_string(),
                rule: self.plan.trust.rule.clone(),
                source,
            })
        };
        let spent = |source| BootError::BudgetSpent {
            step: StepId::Image,
            last: unverified(source),
        };
        let deadline = Some(self.deadline);
        let answered = until_it_works(self.context, StepId::Image, retry::REGISTRY, deadline, question);
        match timeout_at(self.deadline, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(GaveUp::Permanent(error))) => Err(BootError::Unverified(unverified(Box::new(error)))),
            Ok(Err(GaveUp::TimeUp(error))) => Err(spent(Box::new(error))),
            Err(_) => Err(spent("the registry has not answered in time".into())),
        }
    }
}

impl Manifests for Registry {
    type Error = RegistryError;

    async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Served>, RegistryError> {
        let manifest = match Self::manifest(self, repository, reference).await {
            Ok(manifest) => manifest,
            Err(RegistryError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let said = manifest.trust;
        let headers = [
            ("X-Production-Ready-Taupage", said.production_ready),
            ("X-Trusted", said.trusted),
            ("X-Production-Ready-Reason", said.reason),
        ];
        Ok(Some(Served {
            bytes: manifest.bytes,
            headers: headers
                .into_iter()
                .flat_map(|(name, values)| values.into_iter().map(move |value| (name.to_owned(), value)))
                .collect(),
        }))
    }

    async fn blob(
        &self,
        repository: &str,
        digest: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        match Self::blob(self, repository, digest, limit).await {
            Ok(bytes) => Ok(Some(bytes)),
            // As good as none: somebody else's layer must not keep a good one beside it from counting.
            Err(
                RegistryError::NotFound { .. }
                | RegistryError::TooLarge { .. }
                | RegistryError::DigestMismatch { .. },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A registry that is set up once it is asked: where nothing is required, nothing about it can fail.
pub(in crate::boot) struct Registries<'a> {
    host: &'a str,
    login: Option<&'a Credentials>,
    registry: OnceCell<Registry>,
}

impl<'a> Registries<'a> {
    pub(in crate::boot) fn new(host: &'a str, login: Option<&'a Credentials>) -> Self {
        Self {
            host,
            login,
            registry: OnceCell::new(),
        }
    }

    fn registry(&self) -> Result<&Registry, RegistryError> {
        if let Some(registry) = self.registry.get() {
            return Ok(registry);
        }
        let registry = Registry::new(self.host, self.login, &Options::default())?;
        Ok(self.registry.get_or_init(|| registry))
    }
}

impl Manifests for Registries<'_> {
    type Error = RegistryError;

    async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Served>, RegistryError> {
        Manifests::manifest(self.registry()?, repository, reference).await
    }

    async fn blob(
        &self,
        repository: &str,
        digest: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        Manifests::blob(self.registry()?, repository, digest, limit).await
    }
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
