//! The request, as a value: every byte of it follows from what is given.

use std::fmt::Write as _;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monopod_core::secret::Secret;

use super::Status;
use crate::host::imds::SignedDocument;

/// The name in signatures.
const SERVICE: &str = "cloudformation";

/// A signal, and where it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal<'a> {
    pub(super) endpoint: &'a str,
    pub(super) resource: &'a str,
    pub(super) stack: &'a str,
    pub(super) unique_id: &'a str,
    pub(super) status: Status,
}

/// A GET without a body. Headers may prove who we are, so they are kept like passwords.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, Secret)>,
}

impl Signal<'_> {
    /// Parameters in cfn-signal's order.
    fn url(&self) -> String {
        let parameters = [
            ("Action", "SignalResource"),
            ("LogicalResourceId", self.resource),
            ("StackName", self.stack),
            ("UniqueId", self.unique_id),
            ("Status", self.status.word()),
            ("ContentType", "JSON"),
            ("Version", "2010-05-15"),
        ];
        let mut url = format!("{}/", self.endpoint.trim_end_matches('/'));
        for (at, (name, value)) in parameters.into_iter().enumerate() {
            url.push(if at == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            escape(&mut url, value);
        }
        url
    }

    /// Signed as cfn-signal does: with the document that EC2 signed, as it stands in the metadata service.
    pub(super) fn by_instance(&self, identity: &SignedDocument) -> Request {
        let signature: String = identity.signature.expose().split_ascii_whitespace().collect();
        let authorization = format!("CFN_V1 {}:{signature}", STANDARD.encode(&identity.document));
        Request {
            url: self.url(),
            headers: vec![
                ("accept", Secret::new("application/json".to_owned())),
                ("authorization", Secret::new(authorization)),
            ],
        }
    }

    /// Signed with a role's credentials, version 4.
    pub(super) fn by_role(
        &self,
        credentials: &Credentials,
        region: &str,
        time: SystemTime,
    ) -> Result<Request, String> {
        let identity = credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(SERVICE)
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let url = self.url();
        let accept = ("accept", "application/json");
        let request = SignableRequest::new("GET", url.as_str(), [accept].into_iter(), SignableBody::empty())
            .map_err(|error| error.to_string())?;
        let (instructions, _) = sign(request, &parameters)
            .map_err(|error| error.to_string())?
            .into_parts();
        let mut headers = vec![(accept.0, Secret::new(accept.1.to_owned()))];
        let (signed, _) = instructions.into_parts();
        headers.extend(
            signed
                .iter()
                .map(|header| (header.name(), Secret::new(header.value().to_owned()))),
        );
        Ok(Request { url, headers })
    }
}

/// As signatures want it: everything but letters, digits and `-._~` as `%XX`.
fn escape(url: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            write!(url, "%{byte:02X}").ok();
        }
    }
}

/// Where CloudFormation answers for a region: the SDKs' own variables, then AWS's name for it.
pub(super) fn endpoint(region: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let written = ["AWS_ENDPOINT_URL_CLOUDFORMATION", "AWS_ENDPOINT_URL"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()));
    let domain = match region {
        china if china.starts_with("cn-") => "amazonaws.com.cn",
        _ => "amazonaws.com",
    };
    written.unwrap_or_else(|| format!("https://cloudformation.{region}.{domain}"))
}
