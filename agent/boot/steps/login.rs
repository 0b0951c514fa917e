//! The login for the image's registry, wherever it comes from: the user data, ECR, or the instance's identity.
//!
//! Cheap to ask for again: what can be kept is kept, and what ends is made anew in time. So ask before every try that
//! may come long after the one before.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monopod_core::config::{RegistryAuth, RegistryLogin};
use monopod_core::plan::{Plan, StepId};
use monopod_core::retry;
use monopod_core::secret::{Secret, SecretSource};
use tokio::time::Instant;

use super::secrets::Fetcher;
use super::until_it_works;
use crate::boot::BootError;
use crate::context::Context;
use crate::host::imds::{ENDPOINT_VARIABLE, Imds};
use crate::host::registry::Credentials;

/// Whom Pier One takes an instance's identity document from.
const IDENTITY_USER: &str = "instance-identity-document";

/// For the image's own registry; nobody else's. `None`: it is asked without one.
pub(in crate::boot) async fn credentials(
    context: &Context,
    plan: &Plan,
    secrets: &Fetcher<'_>,
    deadline: Instant,
) -> Result<Option<Credentials>, BootError> {
    match &plan.registry_auth {
        Some(auth) => of(context, auth, secrets, deadline).await.map(Some),
        None => Ok(None),
    }
}

/// One login, for its own host.
pub(in crate::boot) async fn of(
    context: &Context,
    auth: &RegistryAuth,
    secrets: &Fetcher<'_>,
    deadline: Instant,
) -> Result<Credentials, BootError> {
    let (user, password) = match &auth.login {
        RegistryLogin::Auth(encoded) => decoded(context, auth, &value(secrets, encoded).await?)?,
        RegistryLogin::Password { user, password } => {
            let user = value(secrets, user).await?.expose().to_owned();
            (user, value(secrets, password).await?)
        }
        RegistryLogin::Ecr { region } => from_ecr(context, auth, region, deadline).await?,
        RegistryLogin::InstanceIdentity => (IDENTITY_USER.to_owned(), identity(context, deadline).await?),
    };
    // What the user's name ends with would be taken for the password's beginning.
    if user.contains(':') {
        return Err(BootError::Credentials {
            registry: auth.registry.clone(),
        });
    }
    context
        .reporter
        .learn(&format!("dockercfg.{}", auth.registry), &password);
    Ok(Credentials {
        registry: auth.registry.clone(),
        user,
        password,
        origin: auth.login.to_string(),
    })
}

async fn value(secrets: &Fetcher<'_>, source: &SecretSource) -> Result<Secret, BootError> {
    match source {
        SecretSource::Literal(secret) => Ok(secret.clone()),
        SecretSource::Stored(reference) => secrets.value(reference).await,
    }
}

fn decoded(context: &Context, auth: &RegistryAuth, encoded: &Secret) -> Result<(String, Secret), BootError> {
    let unusable = || BootError::Credentials {
        registry: auth.registry.clone(),
    };
    let decoded = STANDARD.decode(encoded.expose().trim()).map_err(|_| unusable())?;
    let decoded = Secret::new(String::from_utf8(decoded).map_err(|_| unusable())?);
    let (user, password) = decoded.expose().split_once(':').ok_or_else(unusable)?;
    context
        .reporter
        .learn(&format!("dockercfg.{}", auth.registry), encoded);
    Ok((user.to_owned(), Secret::new(password.to_owned())))
}

async fn from_ecr(
    context: &Context,
    auth: &RegistryAuth,
    region: &str,
    deadline: Instant,
) -> Result<(String, Secret), BootError> {
    let login = until_it_works(context, StepId::Image, retry::AWS, Some(deadline), async || {
        context.ecr.login(region).await
    })
    .await
    .map_err(|gave_up| {
        gave_up.into_boot_error(StepId::Image, |source| BootError::Ecr {
            registry: auth.registry.clone(),
            source: Box::new(source),
        })
    })?;
    Ok((login.user, login.password))
}

/// As the service gives it, line ends and all: Pier One's own client sends it so.
async fn identity(context: &Context, deadline: Instant) -> Result<Secret, BootError> {
    let imds = Imds::new(std::env::var(ENDPOINT_VARIABLE).ok().as_deref())?;
    until_it_works(context, StepId::Image, retry::LOCAL, Some(deadline), async || {
        imds.pkcs7().await
    })
    .await
    .map_err(|gave_up| gave_up.into_boot_error(StepId::Image, BootError::Imds))
}
