//! The image's own registry's login.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monopod_core::config::RegistryAuth;
use monopod_core::plan::Plan;
use monopod_core::secret::{Secret, SecretSource};

use crate::boot::BootError;
use crate::boot::steps::secrets::Decryptor;
use crate::context::Context;
use crate::host::docker::Credentials;

/// For the image's own registry; nobody else's.
pub(super) async fn credentials(
    context: &Context,
    plan: &Plan,
    secrets: &Decryptor<'_>,
) -> Result<Option<Credentials>, BootError> {
    match &plan.registry_auth {
        Some(auth) => from_dockercfg(context, auth, secrets).await.map(Some),
        None => Ok(None),
    }
}

/// One entry of `dockercfg`, for its own host.
pub(super) async fn from_dockercfg(
    context: &Context,
    auth: &RegistryAuth,
    secrets: &Decryptor<'_>,
) -> Result<Credentials, BootError> {
    let encoded = match &auth.auth {
        SecretSource::Literal(secret) => secret.clone(),
        SecretSource::Kms(ciphertext) => secrets.value(ciphertext).await?,
    };
    let unusable = || BootError::Credentials {
        registry: auth.registry.clone(),
    };
    let decoded = STANDARD.decode(encoded.expose().trim()).map_err(|_| unusable())?;
    let decoded = Secret::new(String::from_utf8(decoded).map_err(|_| unusable())?);
    let (user, password) = decoded.expose().split_once(':').ok_or_else(unusable)?;
    let password = Secret::new(password.to_owned());
    let name = format!("dockercfg.{}", auth.registry);
    context.reporter.learn(&name, &password);
    context.reporter.learn(&name, &encoded);
    Ok(Credentials {
        registry: auth.registry.clone(),
        user: user.to_owned(),
        password,
    })
}
