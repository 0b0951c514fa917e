//! The ways out: to this machine itself and to others, in clear and over TLS.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Error, Url};

use super::route;
use crate::host::web;

/// Made when they are needed: each but the first loads the system's certificates.
#[derive(Debug)]
pub(super) struct Clients {
    patience: Duration,
    certificates: Vec<Certificate>,
    /// http, to this machine.
    plain: OnceLock<Client>,
    /// https, to this machine.
    near: OnceLock<Client>,
    /// https, to anybody else; by way of a proxy, where the environment names one.
    far: OnceLock<Client>,
}

impl Clients {
    /// With certificates beside the system's.
    pub(super) fn new(patience: Duration, certificates: Vec<Certificate>) -> Self {
        Self {
            patience,
            certificates,
            plain: OnceLock::new(),
            near: OnceLock::new(),
            far: OnceLock::new(),
        }
    }

    /// Redirects are followed by who asks: only there is known who may send us where.
    pub(super) fn of(&self, url: &Url) -> Result<&Client, Error> {
        let builder = || web::builder().redirect(Policy::none()).timeout(self.patience);
        let trusting = || builder().tls_certs_merge(self.certificates.clone());
        let (slot, builder) = match (url.scheme(), route::is_loopback(url)) {
            ("http", _) => (&self.plain, builder().no_proxy().tls_certs_only([])),
            (_, true) => (&self.near, trusting().no_proxy()),
            (_, false) => (&self.far, trusting()),
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = builder.build()?;
        Ok(slot.get_or_init(|| client))
    }
}
