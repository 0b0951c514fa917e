//! What the rig's servers present over TLS: certificates of authorities made for this run.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::layout::{self, make_dir};
use crate::process::tool;

/// Which certificate a server presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presents {
    /// Of the run's authority, for 127.0.0.1 and localhost.
    Good,
    /// Of an authority that is not [`authority`].
    OtherAuthority,
    /// For `elsewhere.example.org`, of the run's authority.
    OtherName,
    /// Good until an hour ago.
    Expired,
}

impl Presents {
    fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::OtherAuthority => "other-authority",
            Self::OtherName => "other-name",
            Self::Expired => "expired",
        }
    }

    pub(crate) fn certificate(self) -> PathBuf {
        folder().join(format!("{}.pem", self.name()))
    }

    pub(crate) fn key(self) -> PathBuf {
        folder().join(format!("{}.key", self.name()))
    }

    /// For the servers that are the rig's own.
    pub(crate) fn server_config(self) -> Arc<ServerConfig> {
        let chain = CertificateDer::from_pem_file(self.certificate())
            .unwrap_or_else(|e| panic!("rig: reading {}: {e}", self.certificate().display()));
        let key = PrivateKeyDer::from_pem_file(self.key())
            .unwrap_or_else(|e| panic!("rig: reading {}: {e}", self.key().display()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![chain], key))
            .unwrap_or_else(|e| panic!("rig: a TLS server that presents {self:?}: {e}"));
        Arc::new(config)
    }
}

/// The certificate of the authority that clients are to trust.
#[must_use]
pub fn authority() -> PathBuf {
    folder().join("ca.pem")
}

/// The certificate of another one, behind [`Presents::OtherAuthority`].
#[must_use]
pub fn other_authority() -> PathBuf {
    folder().join("other-ca.pem")
}

/// Made when first asked for.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = layout::process().join("tls");
        make_dir(&folder);
        let output = tool(&layout::python().display().to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(layout::support().join("certificates.py"))
            .arg(&folder)
            .output()
            .unwrap_or_else(|e| panic!("rig: starting certificates.py: {e}"));
        assert!(
            output.status.success(),
            "rig: making certificates: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        folder
    })
}
