//! Where what runs comes from: commit, image, machine image, and whoever asked for it, in one value that status,
//! metrics, log fields and the boot record share; and what the policy of the machine's image says to it.
//!
//! ```text
//! /scm-source.json in the image ─► scm ──┐
//! labels and date of the image ─► labels ┼─► Trace ─┐
//! /etc/monopod/image.json ─────► ami ────┘          ├─► verdicts ─► ignore, warn, deny
//! policy.yaml: verdicts, max_image_age, scm_repositories ─┘
//! ```
//!
//! What an image says about itself was written by whoever built it: each text is cut to a length, and no control
//! character of it comes out. A login in an address is taken out.
//!
//! Invariant: whatever an image holds under these names, there is a value for it, and no panic.

mod ami;
mod labels;
pub mod repository;
mod scm;
#[cfg(test)]
mod tests;
pub mod verdict;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::Application;
use crate::text;

pub use ami::{Ami, AmiFile};
pub use labels::Labels;
pub use scm::{FILE as SCM_FILE, MOST_BYTES as SCM_MOST_BYTES, ScmFile, ScmOutcome};
pub use verdict::{Denied, Level, Verdict, VerdictName, VerdictPolicy, verdicts};

/// No text of an image's is longer here.
pub(crate) const LONGEST: usize = 256;

/// What is known of where everything comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trace {
    /// The commit that the image was built from.
    pub commit: Option<String>,
    /// Where that commit lies.
    pub source_url: Option<String>,
    /// Who built it.
    pub author: Option<String>,
    /// What was not committed when it was built; empty is nothing.
    pub scm_status: Option<String>,
    /// What came of reading `/scm-source.json`.
    pub scm_source: ScmOutcome,
    /// The digest that runs.
    pub digest: Option<String>,
    /// When the image was built, in seconds since the epoch; `None` where it does not say, as reproducible builds.
    pub image_created: Option<u64>,
    /// Its labels `org.opencontainers.image.*`, without that prefix.
    pub labels: BTreeMap<String, String>,
    /// The image that the machine was launched from.
    pub ami_id: Option<String>,
    /// What that says about itself.
    pub ami: Option<Ami>,
    /// Who runs.
    pub application: Option<Application>,
    /// Names the deployment.
    pub deployment_id: Option<String>,
    /// The keys that open what is closed by default.
    pub opt_outs: Vec<String>,
}

/// What was read from the image, before anything is made of it.
#[derive(Clone, Debug, Default)]
pub struct OfImage {
    /// `/scm-source.json`.
    pub scm: ScmFile,
    /// All labels of the image.
    pub labels: BTreeMap<String, String>,
    /// When it was built, as the engine writes it.
    pub created: Option<String>,
}

/// What is known without the image.
#[derive(Clone, Debug, Default)]
pub struct OfMachine {
    /// The digest that runs.
    pub digest: String,
    /// From the metadata service.
    pub ami_id: Option<String>,
    /// `/etc/monopod/image.json`.
    pub ami: AmiFile,
    /// Who runs.
    pub application: Option<Application>,
    /// `deployment_id`.
    pub deployment_id: Option<String>,
    /// The keys that open what is closed by default.
    pub opt_outs: Vec<String>,
}

impl Trace {
    /// Puts together what was read.
    pub fn new(image: OfImage, machine: OfMachine) -> Self {
        let scm = scm::read(&image.scm);
        let labels = Labels::new(&image.labels);
        let ami = ami::read(&machine.ami);
        let opt_outs = machine.opt_outs;
        Self {
            commit: scm.commit.or_else(|| labels.commit()),
            source_url: scm.url.or_else(|| labels.get("source").map(scm::without_login)),
            author: scm.author.or_else(|| labels.get("authors").map(str::to_owned)),
            scm_status: scm.status,
            scm_source: scm.outcome,
            digest: Some(machine.digest).filter(|digest| !digest.is_empty()),
            image_created: labels::created(image.created.as_deref(), &labels),
            labels: labels.shown(),
            ami_id: machine.ami_id,
            ami,
            application: machine.application,
            deployment_id: machine.deployment_id.map(|id| clean(&id)),
            opt_outs,
        }
    }

    /// Changes every text in it. Each field is named, so that a new one has to say whether it holds a text.
    pub fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        let Self {
            commit,
            source_url,
            author,
            scm_status,
            scm_source,
            digest: _,
            image_created: _,
            labels,
            ami_id,
            ami,
            application,
            deployment_id,
            opt_outs,
        } = self;
        for text in [commit, source_url, author, scm_status, ami_id, deployment_id] {
            text.iter_mut().for_each(&mut change);
        }
        if let ScmOutcome::Invalid { reason } = scm_source {
            change(reason);
        }
        labels.values_mut().for_each(&mut change);
        if let Some(ami) = ami {
            ami.each_text(&mut change);
        }
        if let Some(Application { id, version }) = application {
            change(id);
            change(version);
        }
        opt_outs.iter_mut().for_each(change);
    }

    /// What the machine's image is called for people and labels: its version, or else its name.
    pub fn ami_version(&self) -> Option<&str> {
        let ami = self.ami.as_ref()?;
        ami.version.as_deref().or(ami.name.as_deref())
    }
}

/// A text of somebody else's: no control character, and not too long.
pub(crate) fn clean(value: &str) -> String {
    text::printable(&text::shortened(value.trim(), LONGEST))
}
