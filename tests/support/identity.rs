//! Who a machine says it is: the identity document and the metadata beside it.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

/// Who the machine is. Served as the identity document and under meta-data.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are the identity document's own")]
pub struct Identity {
    pub account_id: String,
    pub region: String,
    pub availability_zone: String,
    pub instance_id: String,
    pub instance_type: String,
    pub image_id: String,
    pub private_ip: String,
    /// None: no public address, the path answers 404.
    pub public_ip: Option<String>,
    pub pending_time: SystemTime,
    /// The access key of the instance's role.
    pub role_key: String,
}

/// What cloud-init finds when it lists the metadata.
const METADATA: &[&str] = &[
    "ami-id",
    "hostname",
    "instance-id",
    "instance-type",
    "local-hostname",
    "local-ipv4",
    "mac",
];

impl Identity {
    /// The machine with this number, which is in its instance id.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self {
            account_id: "123456789012".into(),
            region: "eu-central-1".into(),
            availability_zone: "eu-central-1a".into(),
            instance_id: format!("i-{number:017x}"),
            instance_type: "t3.micro".into(),
            image_id: "ami-0123456789abcdef0".into(),
            private_ip: "10.0.0.7".into(),
            public_ip: None,
            pending_time: SystemTime::now(),
            role_key: "AKIARIGINSTANCEROLE0".into(),
        }
    }

    /// The identity document, byte for byte as it is served.
    #[must_use]
    pub fn document(&self) -> String {
        let document = json!({
            "accountId": self.account_id,
            "architecture": "x86_64",
            "availabilityZone": self.availability_zone,
            "billingProducts": null,
            "imageId": self.image_id,
            "instanceId": self.instance_id,
            "instanceType": self.instance_type,
            "pendingTime": rfc3339(self.pending_time),
            "privateIp": self.private_ip,
            "region": self.region,
            "version": "2017-09-30",
        });
        format!("{document:#}")
    }

    /// The document's signature as it is served: in lines, the last one without an end. It has the shape of the real one,
    /// and is another for another document; the AWS stand-in compares it with this.
    #[must_use]
    pub fn signature(&self) -> String {
        let document = self.document();
        let mut state = 0xcbf2_9ce4_8422_2325_u64;
        let mut bytes = Vec::with_capacity(128);
        while bytes.len() < 128 {
            for byte in document.bytes() {
                state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
            bytes.extend_from_slice(&state.rotate_left(29).to_be_bytes());
        }
        let text = BASE64.encode(bytes);
        let mut rest = text.as_str();
        let mut lines = Vec::new();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(76));
            lines.push(line);
            rest = more;
        }
        lines.join("\n")
    }

    /// The answer to a path below /latest.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let host = format!(
            "ip-{}.{}.compute.internal",
            self.private_ip.replace('.', "-"),
            self.region
        );
        Some(match path {
            "dynamic/instance-identity/document" => self.document(),
            "dynamic/instance-identity/signature" => self.signature(),
            // A signature over nothing: it has the right shape, and nobody here checks it.
            "dynamic/instance-identity/pkcs7" => "TU9OT1BPRCBSSUc=\n".repeat(3),
            "meta-data/" => METADATA.join("\n"),
            "meta-data/instance-id" => self.instance_id.clone(),
            "meta-data/instance-type" => self.instance_type.clone(),
            "meta-data/ami-id" => self.image_id.clone(),
            "meta-data/placement/availability-zone" => self.availability_zone.clone(),
            "meta-data/placement/region" => self.region.clone(),
            "meta-data/local-ipv4" => self.private_ip.clone(),
            "meta-data/public-ipv4" => self.public_ip.clone()?,
            "meta-data/hostname" | "meta-data/local-hostname" => host,
            "meta-data/mac" => "02:00:00:00:00:07".into(),
            "meta-data/iam/security-credentials" | "meta-data/iam/security-credentials/" => {
                "monopod-rig".into()
            }
            "meta-data/iam/security-credentials/monopod-rig" => json!({
                "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": rfc3339(self.pending_time),
                "AccessKeyId": self.role_key, "SecretAccessKey": "instance-role-secret",
                "Token": "instance-role-token", "Expiration": "2099-01-01T00:00:00Z",
            })
            .to_string(),
            _ => return None,
        })
    }
}

/// A time as EC2 writes it: seconds, in UTC.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in 400-year eras: leap days are then the last of their year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_ec2_does() {
        let at = |seconds| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59Z");
    }
}
