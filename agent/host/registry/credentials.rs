//! What a registry is asked with.

use monopod_core::secret::Secret;

/// A user and a password for one registry.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The registry's host, with its port, as image references name it. They are sent to nobody else.
    pub registry: String,
    /// User.
    pub user: String,
    /// Password.
    pub password: Secret,
    /// What this login is, for messages: "the login of `dockercfg`". Never a value.
    pub origin: String,
}
