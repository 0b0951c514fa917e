//! Signatures of AWS's version 4, for the calls that are not worth an SDK client of their own, by the SDK's own signer.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use monopod_core::secret::Secret;

/// A request as it is signed.
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'static str, &'a str)],
    pub(super) body: &'a [u8],
    /// The service's name in signatures.
    pub(super) service: &'a str,
    pub(super) region: &'a str,
}

/// Its headers, with those that sign it. They prove who we are, so they are kept like passwords.
pub(super) fn signed(
    request: &Unsigned<'_>,
    credentials: &Credentials,
    time: SystemTime,
) -> Result<Vec<(&'static str, Secret)>, String> {
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(request.region)
        .name(request.service)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let body = SignableBody::Bytes(request.body);
    let signable = SignableRequest::new(request.method, request.url, request.headers.iter().copied(), body)
        .map_err(|error| error.to_string())?;
    let (instructions, _) = sign(signable, &parameters)
        .map_err(|error| error.to_string())?
        .into_parts();
    let mut headers: Vec<(&'static str, Secret)> = request
        .headers
        .iter()
        .map(|(name, value)| (*name, Secret::new((*value).to_owned())))
        .collect();
    let (signing, _) = instructions.into_parts();
    headers.extend(
        signing
            .iter()
            .map(|header| (header.name(), Secret::new(header.value().to_owned()))),
    );
    Ok(headers)
}

/// Where a service answers in a region: the SDKs' own variables, then AWS's name for it.
pub(super) fn endpoint(
    variable_of_service: &str,
    service: &str,
    region: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> String {
    let written = [variable_of_service, "AWS_ENDPOINT_URL"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()));
    let domain = match region {
        china if china.starts_with("cn-") => "amazonaws.com.cn",
        _ => "amazonaws.com",
    };
    written.unwrap_or_else(|| format!("https://{service}.{region}.{domain}"))
}
