//! The request, as a value: every byte of it follows from what is given.

use std::fmt::Write as _;

/// Its only one since 2016.
const VERSION: &str = "2016-11-15";
pub(super) const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// Volumes in one answer: each may have fifty tags of 384 characters.
const PAGE: &str = "100";

/// A call, with its parameters in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    action: &'static str,
    parameters: Vec<(String, String)>,
}

impl Call {
    /// A page of the volumes that match all filters.
    pub(super) fn describe(filters: &[(&str, &str)], page: Option<&str>) -> Self {
        let mut parameters = Vec::new();
        for (number, (name, value)) in filters.iter().enumerate() {
            let number = number + 1;
            parameters.push((format!("Filter.{number}.Name"), (*name).to_owned()));
            parameters.push((format!("Filter.{number}.Value.1"), literal(value)));
        }
        parameters.push(("MaxResults".to_owned(), PAGE.to_owned()));
        parameters.extend(page.map(|page| ("NextToken".to_owned(), page.to_owned())));
        Self {
            action: "DescribeVolumes",
            parameters,
        }
    }

    pub(super) fn attach(volume: &str, instance: &str, device: &str) -> Self {
        Self::with(
            "AttachVolume",
            &[("Device", device), ("InstanceId", instance), ("VolumeId", volume)],
        )
    }

    /// Without the tag's value, which would be a condition: another value would keep the tag, and EC2 would still say yes.
    pub(super) fn delete_tag(resource: &str, key: &str) -> Self {
        Self::with("DeleteTags", &[("ResourceId.1", resource), ("Tag.1.Key", key)])
    }

    fn with(action: &'static str, parameters: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            action,
            parameters: parameters.iter().map(owned).collect(),
        }
    }

    pub(super) fn action(&self) -> &'static str {
        self.action
    }

    /// As a browser sends a form.
    pub(super) fn body(&self) -> String {
        let mut body = format!("Action={}&Version={VERSION}", self.action);
        for (name, value) in &self.parameters {
            body.push('&');
            body.push_str(name);
            body.push('=');
            for byte in value.bytes() {
                match byte {
                    b' ' => body.push('+'),
                    b'-' | b'.' | b'_' | b'~' => body.push(char::from(byte)),
                    _ if byte.is_ascii_alphanumeric() => body.push(char::from(byte)),
                    // Writing to a string does not fail.
                    _ => write!(body, "%{byte:02X}").unwrap_or_default(),
                }
            }
        }
        body
    }
}

/// What a filter takes for itself: `*` and `?` stand for any characters in one.
fn literal(value: &str) -> String {
    let mut escaped = String::new();
    for character in value.chars() {
        if matches!(character, '*' | '?' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_credential_types::Credentials;

    use super::*;
    use crate::host::sigv4::{Unsigned, endpoint, signed};

    fn url(region: &str, variable: impl Fn(&str) -> Option<String>) -> String {
        endpoint("AWS_ENDPOINT_URL_EC2", "ec2", region, variable)
    }

    /// What botocore 1.44.5 sends for `describe_volumes(Filters=[...], MaxResults=100)`, taken from its `before-send` event
    /// with the clock of `botocore.auth` held at 2026-11-21 04:16:55: the body's bytes, the headers it signs, the signature.
    #[test]
    fn a_request_is_botocores_byte_for_byte() {
        let token = Some("session/token+example".to_owned());
        let key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let credentials = Credentials::new("AKIDEXAMPLE", key, token, None, "test");
        let filters = [
            ("tag:Name", "shop data/10.0.0.7"),
            ("availability-zone", "eu-central-1a"),
        ];
        let body = Call::describe(&filters, None).body();
        assert_eq!(
            body,
            "Action=DescribeVolumes&Version=2016-11-15&Filter.1.Name=tag%3AName&Filter.1.Value.1=shop+data%2F10.0.0.7\
             &Filter.2.Name=availability-zone&Filter.2.Value.1=eu-central-1a&MaxResults=100"
        );
        let time = UNIX_EPOCH + Duration::from_secs(1_795_234_615);
        for (region, host, signature) in [
            (
                "eu-central-1",
                "https://ec2.eu-central-1.amazonaws.com",
                "c4f02bc66e9c8c4aa32233d5b31f2732834243718688092671dbba5147c83e53",
            ),
            (
                "cn-north-1",
                "https://ec2.cn-north-1.amazonaws.com.cn",
                "2e76a6665883a99cd1957fa496b5ea12831740a9d41d3c6dfec266123cb6b4d5",
            ),
        ] {
            let url = url(region, |_| None);
            assert_eq!(url, host);
            let unsigned = Unsigned {
                method: "POST",
                url: &url,
                headers: &[("content-type", CONTENT_TYPE)],
                body: body.as_bytes(),
                service: "ec2",
                region,
            };
            let headers = signed(&unsigned, &credentials, time).unwrap();
            let mut headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, value.expose().to_owned()))
                .collect();
            headers.sort_unstable();
            let authorization = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/{region}/ec2/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature={signature}"
            );
            assert_eq!(
                headers,
                [
                    ("authorization", authorization),
                    (
                        "content-type",
                        "application/x-www-form-urlencoded; charset=utf-8".to_owned()
                    ),
                    ("x-amz-date", "20261121T041655Z".to_owned()),
                    ("x-amz-security-token", "session/token+example".to_owned()),
                ]
            );
        }
    }

    #[test]
    fn a_name_is_no_pattern() {
        let body = Call::describe(&[("tag:Name", r"a*b?c\d")], Some("next=1")).body();
        assert!(
            body.contains("Filter.1.Value.1=a%5C%2Ab%5C%3Fc%5C%5Cd&MaxResults=100&NextToken=next%3D1"),
            "{body}"
        );
    }

    #[test]
    fn the_other_calls() {
        assert_eq!(
            Call::attach("vol-0a", "i-1", "/dev/sdf").body(),
            "Action=AttachVolume&Version=2016-11-15&Device=%2Fdev%2Fsdf&InstanceId=i-1&VolumeId=vol-0a"
        );
        assert_eq!(
            Call::delete_tag("vol-0a", "Taupage:erase-on-boot").body(),
            "Action=DeleteTags&Version=2016-11-15&ResourceId.1=vol-0a&Tag.1.Key=Taupage%3Aerase-on-boot"
        );
    }

    #[test]
    fn an_endpoint_may_be_set() {
        let set = |wanted: &'static str| {
            move |name: &str| (name == wanted).then(|| "http://127.0.0.1:4566".to_owned())
        };
        for name in ["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"] {
            assert_eq!(url("eu-central-1", set(name)), "http://127.0.0.1:4566");
        }
    }
}
