//! Whose certificates are believed.

use std::io;

use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::host::Class;
use crate::logs::sinks::SendError;

/// The authorities.
#[derive(Clone, Debug)]
pub(super) enum Trust {
    /// The machine's, or those `SSL_CERT_FILE` names.
    System,
    /// These.
    #[cfg(test)]
    Only(RootCertStore),
}

/// Reads the authorities, on a thread where that may take its time.
pub(super) async fn config(trust: &Trust) -> Result<ClientConfig, SendError> {
    let roots = match trust {
        Trust::System => tokio::task::spawn_blocking(system)
            .await
            .unwrap_or_else(|_| RootCertStore::empty()),
        #[cfg(test)]
        Trust::Only(roots) => roots.clone(),
    };
    if roots.is_empty() {
        return Err(SendError {
            class: Class::Permanent,
            text: "cannot send to Logentries: this machine has no certificates of authorities; install the package \
                   ca-certificates, or name a file of them in SSL_CERT_FILE"
                .into(),
        });
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| SendError::io("cannot prepare TLS to Logentries", &io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // One that can't be read is one that signs nothing for us: the handshake says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
