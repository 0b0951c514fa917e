//! What Scalyr is told about machine and file with every request: the original's server attributes, its paths, the
//! user data's parser.

use monopod_core::logs::{Attributes, ScalyrTarget, StreamName};
use serde::Serialize;

/// All of it, encoded once.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// `sessionInfo`, as JSON.
    pub(super) info: Vec<u8>,
    /// `logs`, as JSON: one, called 1.
    pub(super) logs: Vec<u8>,
}

/// What isn't known is left out.
#[derive(Serialize)]
struct Info<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    application_id: &'a str,
    #[serde(rename = "serverHost", skip_serializing_if = "str::is_empty")]
    server_host: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    application_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    stack: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    source: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    image: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    aws_region: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    aws_account: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    aws_ec2_hostname: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    aws_ec2_instance_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    aws_ec2_ami_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    deployment_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    commit: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    digest: &'a str,
}

#[derive(Serialize)]
struct Log<'a> {
    id: &'a str,
    attrs: LogAttributes<'a>,
}

#[derive(Serialize)]
struct LogAttributes<'a> {
    logfile: &'a str,
    parser: &'a str,
}

impl About {
    pub(super) fn new(
        target: &ScalyrTarget,
        stream: StreamName,
        file: Option<&str>,
        attributes: &Attributes,
    ) -> Self {
        let attrs = LogAttributes {
            logfile: file.unwrap_or(path_of(stream)),
            parser: &target.parser,
        };
        // Writing strings to a vector can't fail.
        Self {
            info: info_of(attributes),
            logs: serde_json::to_vec(&[Log { id: "1", attrs }]).unwrap_or_default(),
        }
    }

    /// True where that is news.
    pub(super) fn learn(&mut self, attributes: &Attributes) -> bool {
        let info = info_of(attributes);
        let is_news = info != self.info;
        self.info = info;
        is_news
    }
}

/// As JSON.
fn info_of(attributes: &Attributes) -> Vec<u8> {
    let info = Info {
        application_id: &attributes.application_id,
        server_host: &attributes.application_id,
        application_version: &attributes.application_version,
        stack: attributes.stack.as_deref().unwrap_or_default(),
        source: &attributes.image,
        // Whatever stands before the first colon, be it one before a registry's port: so did the original.
        image: attributes.image.split(':').next().unwrap_or_default(),
        aws_region: &attributes.region,
        aws_account: &attributes.account,
        aws_ec2_hostname: &attributes.hostname,
        aws_ec2_instance_id: &attributes.instance_id,
        aws_ec2_ami_id: &attributes.ami,
        deployment_id: &attributes.deployment_id,
        commit: &attributes.commit,
        digest: &attributes.digest,
    };
    // Writing strings to a vector can't fail.
    serde_json::to_vec(&info).unwrap_or_default()
}

/// Where the original had the stream. The last two always come with a file of their own.
const fn path_of(stream: StreamName) -> &'static str {
    match stream {
        StreamName::Applog => "/var/log/application.log",
        StreamName::Syslog => "/var/log/syslog",
        StreamName::Authlog => "/var/log/auth.log",
        StreamName::Customlog | StreamName::File => "/var/log-custom",
    }
}

#[cfg(test)]
mod tests {
    use monopod_core::logs::LogKey;

    use super::*;

    fn texts(stream: StreamName, file: Option<&str>, attributes: &Attributes) -> [String; 2] {
        let target = ScalyrTarget {
            key: LogKey::UserData("scalyr_account_key".into()),
            region: "eu".into(),
            parser: "slf4j".into(),
        };
        let about = About::new(&target, stream, file, attributes);
        [about.info, about.logs].map(|json| String::from_utf8(json).unwrap())
    }

    #[test]
    fn a_machine_as_the_original_had_it() {
        let attributes = Attributes {
            application_id: "my-app".into(),
            application_version: "1.0".into(),
            image: "registry.example.org/team/my-app:1.0".into(),
            stack: Some("my-app-1".into()),
            account: "123456789012".into(),
            region: "eu-central-1".into(),
            instance_id: "i-1".into(),
            hostname: "ip-10-0-0-1".into(),
            ..Attributes::default()
        };
        let expected = concat!(
            r#"{"application_id":"my-app","serverHost":"my-app","application_version":"1.0","stack":"my-app-1","#,
            r#""source":"registry.example.org/team/my-app:1.0","image":"registry.example.org/team/my-app","#,
            r#""aws_region":"eu-central-1","aws_account":"123456789012","aws_ec2_hostname":"ip-10-0-0-1","#,
            r#""aws_ec2_instance_id":"i-1"}"#,
        );
        let [info, logs] = texts(StreamName::Applog, None, &attributes);
        assert_eq!(info, expected);
        assert_eq!(
            logs,
            r#"[{"id":"1","attrs":{"logfile":"/var/log/application.log","parser":"slf4j"}}]"#
        );
    }

    #[test]
    fn what_is_learnt_later_is_said_from_then_on() {
        let mut attributes = Attributes {
            application_id: "my-app".into(),
            ami: "ami-1".into(),
            ..Attributes::default()
        };
        let target = ScalyrTarget {
            key: LogKey::UserData("scalyr_account_key".into()),
            region: "eu".into(),
            parser: "slf4j".into(),
        };
        let mut about = About::new(&target, StreamName::Applog, None, &attributes);
        assert!(!about.learn(&attributes));
        (attributes.commit, attributes.digest) = ("7f8b6ad".into(), "sha256:feed".into());
        assert!(about.learn(&attributes));
        assert_eq!(
            String::from_utf8(about.info).unwrap(),
            r#"{"application_id":"my-app","serverHost":"my-app","aws_ec2_ami_id":"ami-1","commit":"7f8b6ad","digest":"sha256:feed"}"#
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let attributes = Attributes {
            image: "app".into(),
            ..Attributes::default()
        };
        let [info, logs] = texts(StreamName::Customlog, Some("/var/log-custom/x.log"), &attributes);
        assert_eq!(info, r#"{"source":"app","image":"app"}"#);
        assert_eq!(
            logs,
            r#"[{"id":"1","attrs":{"logfile":"/var/log-custom/x.log","parser":"slf4j"}}]"#
        );
    }
}
