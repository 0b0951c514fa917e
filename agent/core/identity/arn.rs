//! The name of a role, as IAM writes it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `arn:aws:iam::123456789012:role/path/name`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleArn(String);

/// It is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the ARN of a role")]
pub struct NotARole;

impl RoleArn {
    /// As an editor's schema checks it: what [`Self::parse`] takes, and nothing, which is as if the key were left out.
    pub const PATTERN: &'static str =
        "arn:aws(?:-[a-z]+)*:iam::[0-9]{12}:role/(?:[!-.0-~]+/)*[A-Za-z0-9_+=,.@-]{1,64}|\\s*";
    /// The most characters of a path.
    const PATH: usize = 512;

    /// Reads one, of any partition.
    pub fn parse(text: &str) -> Result<Self, NotARole> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else {
            return Err(NotARole);
        };
        let mut words = partition.split('-');
        let is_partition = words.next() == Some("aws")
            && words.all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let path = resource.strip_prefix("role/").ok_or(NotARole)?;
        let (path, name) = path.rsplit_once('/').unwrap_or(("", path));
        let is_path = path.len() <= Self::PATH
            && (path.is_empty()
                || path
                    .split('/')
                    .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic())));
        // A path that is empty has no slash behind it.
        let is_path = is_path && !resource.starts_with("role//");
        let is_name = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
        (is_partition && is_account && is_path && is_name)
            .then(|| Self(text.to_owned()))
            .ok_or(NotARole)
    }

    /// The whole of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RoleArn {
    type Error = NotARole;

    fn try_from(text: String) -> Result<Self, NotARole> {
        Self::parse(&text)
    }
}

impl From<RoleArn> for String {
    fn from(arn: RoleArn) -> Self {
        arn.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_of_every_partition_and_nothing_else() {
        for good in [
            "arn:aws:iam::123456789012:role/my-app",
            "arn:aws-cn:iam::123456789012:role/my-app",
            "arn:aws-us-gov:iam::123456789012:role/a/b:c/My_App+=,.@-1",
            "arn:aws-iso-b:iam::123456789012:role/x",
        ] {
            assert_eq!(RoleArn::parse(good).unwrap().as_str(), good);
        }
        let long = format!("arn:aws:iam::123456789012:role/{}", "x".repeat(65));
        for bad in [
            "",
            "my-app",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role//my-app",
            "arn:aws:iam::123456789012:role/a//my-app",
            "arn:aws:iam::123456789012:role/a b/my-app",
            "arn:aws:iam::12345678901:role/my-app",
            "arn:aws:iam::1234567890123:role/my-app",
            "arn:aws:iam:eu-central-1:123456789012:role/my-app",
            "arn:aws:iam::123456789012:instance-profile/my-app",
            "arn:aws:iam::123456789012:user/my-app",
            "arn:aws:sts::123456789012:assumed-role/my-app/session",
            "arn:Aws:iam::123456789012:role/my-app",
            "arn:aws-:iam::123456789012:role/my-app",
            "arn:aws:iam::123456789012:role/my-app\n",
            "arn:aws:iam::123456789012:role/mÿ",
            " arn:aws:iam::123456789012:role/my-app",
            &long,
        ] {
            assert_eq!(RoleArn::parse(bad), Err(NotARole), "{bad}");
        }
    }
}
