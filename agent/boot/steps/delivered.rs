//! What the container needs from AWS, for the three ways it can come to run.
//!
//! - Created: everything, waited for inside the boot budget.
//! - Started again: what its files are made of, for its variables are the engine's. Files that still lie in memory are
//!   taken as they are, and nobody is asked. After a reboot they are fetched; where an encrypted copy was kept, one try
//!   that gets no answer is enough, and the copy is used.
//! - Taken over as it runs: the same, but one try is enough, whatever comes of it: it has its files open, and only its
//!   next start needs them.
//!
//! A refusal is an answer: it ends the boot, and no copy is used. Somebody took the secret or the permission away, and
//! a disk must not give it back. What is broken where it is kept (no JSON, no text) is no refusal: the copy stands in.

use monopod_core::event::Event;
use monopod_core::plan::reconcile::{SpecHash, Then};
use monopod_core::plan::sets::{Contents, FileSet, SetName};
use monopod_core::plan::{Plan, SecretUse, Step, StepId};
use monopod_core::secret::{Secret, SecretRef};
use monopod_core::{retry, text};
use tokio::time::Instant;

use super::secrets::{Fetched, Fetcher, Old, Patience};
use super::until_it_works;
use crate::boot::sets::{self, SetCharge};
use crate::boot::{BootError, copies, timed};
use crate::context::Context;
use crate::host::delivery::{Delivery, DeliveryError};
use crate::host::mint::{Mint, MintFetch};
use crate::host::secret_set::Files;
use crate::host::{Verdict, chain, clock};

/// A container's files and sets, their values as far as they are known.
pub(in crate::boot) struct Delivered {
    pub(in crate::boot) files: Delivery,
    pub(in crate::boot) sets: Vec<SetCharge>,
    /// What was fetched for `files` just now.
    fresh: Vec<(SecretRef, Secret)>,
}

impl Delivered {
    /// From what was fetched, else from what lies there.
    pub(in crate::boot) fn new(context: &Context, plan: &Plan, spec: &SpecHash, fetched: &Fetched) -> Self {
        let runtime = &context.directories.runtime;
        let value = |reference: &_| fetched.value(reference).cloned();
        let mut files = Delivery::new(runtime, spec, &plan.container.files, value);
        // What AWS gave is known to whoever redacts since it came.
        if !files.is_known() && files.recall() || fetched.old(SetName::Secrets).is_some() {
            for (name, secret) in files.secrets() {
                context.reporter.learn(&name, secret);
            }
        }
        let sets = plan.sets.iter().map(|wanted| {
            let mut set = SetCharge::new(context, wanted, spec);
            let values = fetched.files(wanted);
            let is_fetched = values.is_some();
            match values {
                Some(values) => set.fetched_now(values),
                None => set.found(set.recalled(), copies::set(context, instance_id(plan), wanted)),
            }
            if let Some(old) = fetched.old(wanted.name) {
                set.fetched_at = Some(old.fetched_at);
                set.stale_since = Some(clock::now_millis());
                set.last_error = Some(context.reporter.redacted(&old.error));
            }
            if !is_fetched || set.stale_since.is_some() || wanted.name == SetName::Credentials {
                set.learn(context);
            }
            set
        });
        let fresh = plan
            .container
            .fetched_files()
            .filter(|_| fetched.old(SetName::Secrets).is_none())
            .filter_map(|(_, reference)| Some((reference.clone(), fetched.value(reference)?.clone())));
        Self {
            sets: sets.collect(),
            fresh: fresh.collect(),
            files,
        }
    }

    /// The directories they will lie in are as they have to be, before anything else is touched for them.
    pub(in crate::boot) fn ensure_layout(&self) -> Result<(), DeliveryError> {
        self.files.ensure_layout()?;
        self.sets.iter().try_for_each(|set| set.place.ensure_layout())
    }

    /// The container finds all that is known; nothing else lies there.
    pub(in crate::boot) fn ensure(&self, context: &Context, plan: &Plan) -> Result<(), DeliveryError> {
        sets::ensure_no_others(context, plan);
        self.files.ensure()?;
        self.sets.iter().try_for_each(|set| set.ensure().map(drop))
    }

    /// Copies for a reboot without AWS are there where they are asked for, and nowhere else.
    pub(in crate::boot) fn ensure_copies(&self, context: &Context, plan: &Plan) {
        let instance_id = instance_id(plan);
        let is_asked = plan.container.fetched_files().next().is_some();
        if !is_asked || !self.fresh.is_empty() {
            copies::keep_files(context, plan, instance_id, &self.fresh);
        }
        for set in self.sets.iter().filter(|set| set.stale_since.is_none()) {
            copies::keep_set(context, instance_id, set);
        }
    }
}

fn instance_id(plan: &Plan) -> &str {
    plan.facts.as_ref().map_or("", |facts| facts.instance_id.as_str())
}

/// The step.
pub(in crate::boot) async fn run(
    context: &Context,
    plan: &Plan,
    then: &Then,
    step: &Step,
    fetcher: &Fetcher<'_>,
    deadline: Instant,
) -> Result<Fetched, BootError> {
    let Step::FetchSecrets { uses, .. } = step else {
        return Ok(Fetched::default());
    };
    let fetch = Fetch {
        context,
        plan,
        uses,
        fetcher,
        deadline,
    };
    timed(context, StepId::Secrets, step.to_string(), async {
        match then {
            Then::Create => fetch.all(Patience::Budget).await,
            Then::Resume { digest, .. } | Then::Adopt { digest, .. } if fetch.is_there(digest) => Ok((
                Fetched::default(),
                "the container's files are there, nobody was asked".to_owned(),
            )),
            Then::Resume { .. } => fetch.or_old().await,
            Then::Adopt { .. } => fetch.all(Patience::Once).await.or_else(|error| {
                let text = format!(
                    "the running container keeps the files it has, but can't be started again yet: {}",
                    chain(&error)
                );
                context.reporter.tell(Event::Warning { text });
                Ok((Fetched::default(), "not fetched".to_owned()))
            }),
        }
    })
    .await
}

struct Fetch<'a> {
    context: &'a Context,
    plan: &'a Plan,
    uses: &'a [SecretUse],
    fetcher: &'a Fetcher<'a>,
    deadline: Instant,
}

impl Fetch<'_> {
    fn is_there(&self, digest: &str) -> bool {
        let spec = SpecHash::new(&self.plan.intent, digest);
        let runtime = &self.context.directories.runtime;
        let mut files = Delivery::new(runtime, &spec, &self.plan.container.files, |_| None);
        let is_there = |set: &FileSet| SetCharge::new(self.context, set, &spec).recalled().is_some();
        (files.is_known() || files.recall()) && self.plan.sets.iter().all(is_there)
    }

    async fn all(&self, patience: Patience) -> Result<(Fetched, String), BootError> {
        let (values, credentials) =
            futures_util::try_join!(self.fetcher.all(self.uses, patience), self.credentials(patience))?;
        Ok(self.done(Fetched::new(values, credentials, Vec::new())))
    }

    /// From AWS, or as it was kept where AWS does not answer.
    async fn or_old(&self) -> Result<(Fetched, String), BootError> {
        let ((values, old_values), (credentials, old_credentials)) =
            futures_util::try_join!(self.values_or_old(), self.credentials_or_old())?;
        let old = [old_values, old_credentials].into_iter().flatten().collect();
        Ok(self.done(Fetched::new(values, credentials, old)))
    }

    async fn values_or_old(&self) -> Result<(Vec<(SecretRef, Secret)>, Option<Old>), BootError> {
        let Some((kept, fetched_at)) = self.kept_values() else {
            return Ok((self.fetcher.all(self.uses, Patience::Budget).await?, None));
        };
        match self.fetcher.all(self.uses, Patience::Once).await {
            Ok(values) => Ok((values, None)),
            Err(error) => {
                let old = self.old(SetName::Secrets, fetched_at, error)?;
                Ok((kept, Some(old)))
            }
        }
    }

    async fn credentials_or_old(&self) -> Result<(Option<Files>, Option<Old>), BootError> {
        let kept = self
            .set(SetName::Credentials)
            .and_then(|set| copies::set(self.context, instance_id(self.plan), set));
        let Some((kept, fetched_at)) = kept else {
            return Ok((self.credentials(Patience::Budget).await?, None));
        };
        match self.credentials(Patience::Once).await {
            Ok(files) => Ok((files, None)),
            Err(error) => {
                let old = self.old(SetName::Credentials, fetched_at, error)?;
                Ok((Some(kept), Some(old)))
            }
        }
    }

    /// All values that files and `secrets` are made of, if each was kept; the age is that of the oldest.
    fn kept_values(&self) -> Option<(Vec<(SecretRef, Secret)>, u64)> {
        let instance_id = instance_id(self.plan);
        let mut all = Vec::new();
        let mut oldest = u64::MAX;
        if self.plan.container.fetched_files().next().is_some() {
            let (values, at) = copies::files(self.context, self.plan, instance_id)?;
            all.extend(values);
            oldest = oldest.min(at);
        }
        if let Some(set) = self.set(SetName::Secrets)
            && let Contents::Stores(wanted) = &set.contents
        {
            let (files, at) = copies::set(self.context, instance_id, set)?;
            let references = wanted.iter().map(|(_, reference)| reference.clone());
            all.extend(references.zip(files.into_iter().map(|(_, value)| value)));
            oldest = oldest.min(at);
        }
        (!all.is_empty()).then_some((all, oldest))
    }

    /// No answer is a reason to use a copy, and so is one that is broken; a refusal is not.
    fn old(&self, set: SetName, fetched_at: u64, error: BootError) -> Result<Old, BootError> {
        let verdict = error.verdict();
        if !verdict.allows_copy() {
            return Err(error);
        }
        let age = std::time::Duration::from_millis(clock::now_millis().saturating_sub(fetched_at));
        let until = match verdict {
            Verdict::Broken => "it is mended in AWS",
            Verdict::NoAnswer | Verdict::Refused => "AWS answers",
        };
        let warn = |what: &str, until: &str| {
            let text = format!(
                "the encrypted copy of {what} from {} ago is used until {until}: {}",
                text::duration(age),
                chain(&error)
            );
            self.context.reporter.tell(Event::Warning { text });
        };
        if self.set(set).is_some() {
            warn(set.word(), until);
        }
        // A mounted file can't be swapped while the container runs, so nobody looks after these.
        if set == SetName::Secrets && self.plan.container.fetched_files().next().is_some() {
            warn("files", "the next boot of the machine");
        }
        Ok(Old {
            set,
            fetched_at,
            error: chain(&error),
        })
    }

    /// What lies in the bucket, where there is one.
    async fn credentials(&self, patience: Patience) -> Result<Option<Files>, BootError> {
        let Some(Contents::Bucket {
            bucket,
            application_id,
        }) = self.set(SetName::Credentials).map(|set| &set.contents)
        else {
            return Ok(None);
        };
        let region = self.plan.facts.as_ref().map_or("", |facts| facts.region.as_str());
        let mint = Mint::new(region, bucket, application_id);
        let fetched = match patience {
            Patience::Once => mint.fetch(&[]).await.map_err(BootError::Mint)?,
            Patience::Budget => until_it_works(
                self.context,
                StepId::Secrets,
                retry::AWS,
                Some(self.deadline),
                async || mint.fetch(&[]).await,
            )
            .await
            .map_err(|gave_up| gave_up.into_boot_error(StepId::Secrets, BootError::Mint))?,
        };
        Ok(match fetched {
            MintFetch::Files(files) => Some(files),
            MintFetch::Unchanged => None,
        })
    }

    fn set(&self, name: SetName) -> Option<&FileSet> {
        self.plan.sets.iter().find(|set| set.name == name)
    }

    fn done(&self, fetched: Fetched) -> (Fetched, String) {
        let values = text::count(self.uses.len() as u64, "value");
        let credentials = self.set(SetName::Credentials).is_some();
        let detail = match (self.uses.len(), credentials) {
            (0, false) => "nothing to decrypt".to_owned(),
            (0, true) => "the application's credentials are here".to_owned(),
            (_, false) => format!("{values} fetched"),
            (_, true) => format!("{values} fetched, and the application's credentials"),
        };
        (fetched, detail)
    }
}
