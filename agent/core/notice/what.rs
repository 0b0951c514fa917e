//! The kinds of what happens.

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The engine has a container that the agent did not make.
    ContainerNotOurs {
        /// Its id, short.
        container: String,
        /// Its name.
        name: String,
        /// What it was made of.
        image: String,
        /// `created`, `started`, `found`.
        did: &'static str,
        /// How many of this image, where it is told for several.
        times: u64,
    },
    /// A command was run in our container, and it is none of its health checks.
    Exec {
        /// Our container's id, short.
        container: String,
        /// The program's name; never its arguments, which may hold a secret.
        program: String,
        /// How often, where it is told for several.
        times: u64,
    },
    /// Our container was stopped, paused or removed, and not by the agent.
    StoppedByHand {
        /// Our container's id, short.
        container: String,
        /// `SIGTERM`, `paused`, `removed`.
        how: String,
    },
    /// Somebody may come in, came in, or was turned away.
    Access(Box<Access>),
    /// A file that the agent goes by is another one than when the machine booted.
    FileChanged {
        /// Which; never what is in it.
        path: String,
        /// `changed`, `new`, `gone`.
        how: &'static str,
    },
    /// What the configuration opens that is shut otherwise.
    OptOut {
        /// The keys.
        keys: Vec<String>,
    },
    /// A rule of the image's policy about where an image comes from was not met.
    Verdict {
        /// `EC2_WITH_A_SNAPSHOT_IMAGE`.
        name: String,
        /// `warn`, `deny`.
        severity: String,
        /// One sentence.
        text: String,
    },
    /// How a boot ended, and when that changes.
    Boot(Box<Boot>),
    /// For some time nobody watched.
    Unseen {
        /// What is not known, as one sentence.
        text: String,
    },
}

/// What the record of logins says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// `granted`, `refused`, `login`, `logout`, `ended`, `failed`.
    pub what: String,
    /// Who.
    pub user: String,
    /// `guest`, `admin`.
    pub role: String,
    /// Why, as whoever granted it said.
    pub reason: String,
    /// Who granted it.
    pub by: String,
    /// From where.
    pub from: String,
    /// What else there is to say.
    pub detail: String,
    /// When it ends, in milliseconds since the epoch.
    pub until: Option<u64>,
}

/// One boot's result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// `ready`, `completed`, `degraded`, `failed`.
    pub outcome: String,
    /// Why, where it is not well.
    pub reason: Option<String>,
    /// From the agent's start to the outcome.
    pub seconds: u64,
    /// Which boot of the machine.
    pub boot_id: String,
    /// The image as the user wrote it.
    pub image: Option<String>,
    /// The digest that runs.
    pub digest: Option<String>,
    /// `deployment_id`.
    pub deployment_id: Option<String>,
    /// The commit that the image was built from, where it says so.
    pub commit: Option<String>,
    /// The agent's own version.
    pub agent_version: String,
}

impl What {
    /// One word for every kind: `kind` of the JSON, and a label of the metric.
    pub const KINDS: [&'static str; 9] = [
        "container-not-ours",
        "exec",
        "stopped-by-hand",
        "access",
        "file-changed",
        "opt-out",
        "verdict",
        "boot",
        "unseen",
    ];

    /// Which of them this is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ContainerNotOurs { .. } => "container-not-ours",
            Self::Exec { .. } => "exec",
            Self::StoppedByHand { .. } => "stopped-by-hand",
            Self::Access(_) => "access",
            Self::FileChanged { .. } => "file-changed",
            Self::OptOut { .. } => "opt-out",
            Self::Verdict { .. } => "verdict",
            Self::Boot(_) => "boot",
            Self::Unseen { .. } => "unseen",
        }
    }

    /// Whether the audit has to know. How a boot ended is told to it as a record of its own.
    pub const fn is_security(&self) -> bool {
        !matches!(self, Self::Boot(_))
    }

    /// Whether somebody did what nobody should have to do.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::ContainerNotOurs { .. }
            | Self::Exec { .. }
            | Self::StoppedByHand { .. }
            | Self::FileChanged { .. }
            | Self::Unseen { .. } => true,
            Self::Access(access) => matches!(access.what.as_str(), "refused" | "failed"),
            // Told as events of their own already.
            Self::Verdict { .. } | Self::OptOut { .. } | Self::Boot(_) => false,
        }
    }
}

/// One of every kind with the same text everywhere, for tests.
#[cfg(test)]
pub(crate) fn every_kind(text: &str) -> impl Iterator<Item = What> {
    let text = || text.to_owned();
    let access = Access {
        what: text(),
        user: text(),
        role: text(),
        reason: text(),
        by: text(),
        from: text(),
        detail: text(),
        until: None,
    };
    let boot = Boot {
        outcome: text(),
        reason: Some(text()),
        seconds: 1,
        boot_id: text(),
        image: Some(text()),
        digest: Some(text()),
        deployment_id: Some(text()),
        commit: Some(text()),
        agent_version: text(),
    };
    [
        What::ContainerNotOurs {
            container: text(),
            name: text(),
            image: text(),
            did: "created",
            times: 1,
        },
        What::Exec {
            container: text(),
            program: text(),
            times: 1,
        },
        What::StoppedByHand {
            container: text(),
            how: text(),
        },
        What::Access(Box::new(access)),
        What::FileChanged {
            path: text(),
            how: "changed",
        },
        What::OptOut { keys: vec![text()] },
        What::Verdict {
            name: text(),
            severity: text(),
            text: text(),
        },
        What::Boot(Box::new(boot)),
        What::Unseen { text: text() },
    ]
    .into_iter()
}
