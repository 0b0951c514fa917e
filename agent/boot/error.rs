//! What ends a boot, and with which exit code.

use monopod_core::plan::StepId;
use monopod_core::plan::container::NAME;
use monopod_core::plan::reconcile::NameTaken;
use monopod_core::secret::NotInThere;
use monopod_core::trace::Denied;
use monopod_core::trust::{Refused, Unverified};

use super::steps::image::ImageError;
use super::steps::prepare::Unprepared;
use crate::host::delivery::DeliveryError;
use crate::host::docker::EngineError;
use crate::host::ecr::EcrError;
use crate::host::files::{FileError, LockError};
use crate::host::imds::ImdsError;
use crate::host::include::FetchError;
use crate::host::mint::MintError;
use crate::host::secrets::StoreError;
use crate::host::surroundings::SurroundingsError;
use crate::host::{Class, Classified, Verdict};

/// sysexits(3) EX_CONFIG: nothing will change until somebody changes something. The unit does not restart on it.
pub const EXIT_PERMANENT: u8 = 78;
/// sysexits(3) EX_TEMPFAIL: systemd starts the agent again.
pub const EXIT_TRANSIENT: u8 = 75;

/// What ends a boot.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Another agent, or no lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of the machine's image that is there and can't be read: nobody changes it while the machine runs.
    #[error("what the machine's image says about containers can't be read; mend it there, or take it out")]
    ImageFiles(#[source] FileError),
    /// The instance was launched without any.
    #[error(
        "this instance has no user data: put a file beginning with #taupage-ami-config into its launch template (config-samples/ has some to start from)"
    )]
    NoUserData,
    /// It was read and is wrong; the text shows every problem at its place.
    #[error("the user data cannot be used: {count} in {origin}\n{report}")]
    Config {
        /// `2 errors`.
        count: String,
        /// Where it came from.
        origin: String,
        /// Every problem at its place.
        report: String,
    },
    /// The text that the user data includes.
    #[error(transparent)]
    Include(FetchError),
    /// A facts file given on the command line.
    #[error("cannot read the facts in {path}: {what}")]
    FactsFile {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// The metadata service.
    #[error(transparent)]
    Imds(#[from] ImdsError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The image is not to be had, or not for this machine.
    #[error(transparent)]
    Image(Box<ImageError>),
    /// Files of the user data.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// Disks or settings of the machine.
    #[error(transparent)]
    Unprepared(#[from] Unprepared),
    /// Something of the machine's.
    #[error(transparent)]
    Surroundings(#[from] SurroundingsError),
    /// A secret could not be had.
    #[error("cannot get the value of {used_by}")]
    Secret {
        /// `environment.DB_PASSWORD`.
        used_by: String,
        /// Why.
        #[source]
        source: Box<StoreError>,
    },
    /// The application's credentials.
    #[error(transparent)]
    Mint(MintError),
    /// A secret has not what a reference picks out of it.
    #[error("cannot get the value of {used_by}; mend `?key=` in the user data, or the secret")]
    NotInSecret {
        /// `environment.DB_PASSWORD`.
        used_by: String,
        /// Why.
        #[source]
        source: NotInThere,
    },
    /// ECR.
    #[error("there is no login for the registry {registry}")]
    Ecr {
        /// The registry.
        registry: String,
        /// Why.
        #[source]
        source: Box<EcrError>,
    },
    /// The decrypted registry credentials are none.
    #[error(
        "the credentials for {registry} in `dockercfg` are not the base64 of user:password; take the `auth` value that docker login writes"
    )]
    Credentials {
        /// The registry.
        registry: String,
    },
    /// The image is not what the policy wants.
    #[error(transparent)]
    Refused(Box<Refused>),
    /// Where the image comes from is not what the policy wants.
    #[error(transparent)]
    Denied(Box<Denied>),
    /// The registry refused to say whether it is.
    #[error(transparent)]
    Unverified(Box<Unverified>),
    /// Somebody else's container.
    #[error("{0}; remove it (`docker rm -f {NAME}`), or start a new machine")]
    NameTaken(NameTaken),
    /// The engine changed under the boot: look at everything again.
    #[error(transparent)]
    StartOver(EngineError),
    /// The container was gone when it was looked at.
    #[error("the container {id} was removed by somebody else while it was being set up")]
    Vanished {
        /// Its short id.
        id: String,
    },
    /// A user-data file given on the command line.
    #[error("there is no user-data file {path}")]
    NoUserDataFile {
        /// The file.
        path: String,
    },
    /// It was back in its warm pool, and has left for that: whoever starts next begins anew.
    #[error(
        "the group wants this machine, which it had put back into its warm pool, to serve again: starting afresh"
    )]
    Woken,
    /// The time is up.
    #[error("the boot budget is spent, and {step} still fails")]
    BudgetSpent {
        /// What ate the time.
        step: StepId,
        /// What failed last.
        #[source]
        last: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A defect of ours.
    #[error("monopod panicked: {what}; this is a defect, please report it")]
    Panicked {
        /// Its words.
        what: String,
    },
    /// The plan ended without a container: our own mistake, said instead of silence.
    #[error("the plan had no container to run; this is a defect in monopod, please report it")]
    NothingToRun,
}

impl Classified for BootError {
    fn class(&self) -> Class {
        match self {
            Self::Imds(error) => error.class(),
            Self::Engine(error) => error.class(),
            Self::Image(error) => error.class(),
            Self::Delivery(error) => error.class(),
            Self::Surroundings(error) => error.class(),
            Self::Unprepared(error) => error.class(),
            Self::Secret { source, .. } => source.class(),
            Self::Ecr { source, .. } => source.class(),
            Self::Mint(error) => error.class(),
            Self::Include(error) => error.class(),
            Self::Lock(_)
            | Self::File(_)
            | Self::StartOver(_)
            | Self::Vanished { .. }
            | Self::BudgetSpent { .. }
            | Self::Woken
            // It may have been a matter of timing, and there is a container to go back to.
            | Self::Panicked { .. } => Class::Transient,
            Self::NoUserData
            | Self::ImageFiles(_)
            | Self::NoUserDataFile { .. }
            | Self::Config { .. }
            | Self::FactsFile { .. }
            | Self::Credentials { .. }
            | Self::NotInSecret { .. }
            | Self::Refused(_)
            | Self::Denied(_)
            | Self::Unverified(_)
            | Self::NameTaken(_)
            | Self::NothingToRun => Class::Permanent,
        }
    }
}

impl BootError {
    /// From what a panic left.
    pub fn panicked(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let what = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::Panicked {
            what: what.unwrap_or("it left no words").to_owned(),
        }
    }

    /// What the agent exits with.
    pub fn exit_code(&self) -> u8 {
        match self.class() {
            Class::Permanent => EXIT_PERMANENT,
            Class::Transient | Class::Throttled => EXIT_TRANSIENT,
        }
    }
}

impl BootError {
    /// What it says of a value that was to be fetched.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Secret { source, .. } => source.verdict(),
            Self::Mint(error) => error.verdict(),
            Self::NotInSecret { .. } => Verdict::Broken,
            Self::Lock(_)
            | Self::File(_)
            | Self::ImageFiles(_)
            | Self::NoUserData
            | Self::Config { .. }
            | Self::Include(_)
            | Self::FactsFile { .. }
            | Self::Imds(_)
            | Self::Engine(_)
            | Self::Image(_)
            | Self::Delivery(_)
            | Self::Unprepared(_)
            | Self::Surroundings(_)
            | Self::Ecr { .. }
            | Self::Credentials { .. }
            | Self::Refused(_)
            | Self::Denied(_)
            | Self::Unverified(_)
            | Self::NameTaken(_)
            | Self::StartOver(_)
            | Self::Vanished { .. }
            | Self::NoUserDataFile { .. }
            | Self::BudgetSpent { .. }
            | Self::Woken
            | Self::Panicked { .. }
            | Self::NothingToRun => Verdict::of(self.class()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::kms::KmsError;

    #[test]
    fn a_copy_stands_in_for_silence_and_for_what_is_broken() {
        let store = |source: StoreError| BootError::Secret {
            used_by: "secrets.db".into(),
            source: Box::new(source),
        };
        let text = String::new;
        let throttled = KmsError::Throttled {
            region: text(),
            code: text(),
            message: text(),
        };
        let refused = KmsError::Refused {
            region: text(),
            code: text(),
            message: text(),
        };
        let unusable = StoreError::Unusable {
            source_name: text(),
            what: "",
        };
        let no_key = BootError::NotInSecret {
            used_by: text(),
            source: NotInThere::NoKey { key: text() },
        };
        let not_json = BootError::Mint(MintError::NotJson {
            place: text(),
            at: text(),
        });
        for (error, verdict) in [
            (store(throttled.into()), Verdict::NoAnswer),
            (store(unusable), Verdict::Broken),
            (store(KmsError::Unusable("").into()), Verdict::Broken),
            (no_key, Verdict::Broken),
            (not_json, Verdict::Broken),
            (store(refused.into()), Verdict::Refused),
            (BootError::NothingToRun, Verdict::Refused),
        ] {
            assert_eq!(error.verdict(), verdict, "{error}");
            assert_eq!(error.verdict().allows_copy(), verdict != Verdict::Refused);
        }
    }

    #[test]
    fn bad_config_is_final_and_a_spent_budget_is_not() {
        assert_eq!(BootError::NoUserData.exit_code(), 78);
        let directory = std::path::Path::new("/proc/self");
        let unreadable = crate::host::files::read(directory).unwrap_err();
        assert_eq!(BootError::ImageFiles(unreadable).exit_code(), 78);
        let spent = BootError::BudgetSpent {
            step: StepId::Image,
            last: "refused".into(),
        };
        assert_eq!(spent.exit_code(), 75);
        assert_eq!(
            crate::host::chain(&spent),
            "the boot budget is spent, and image still fails: refused"
        );
    }
}
