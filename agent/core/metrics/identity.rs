//! The credentials that are served to the container.

use super::text::{Exposition, Kind, seconds};
use crate::identity::counts::IdentityRecord;

pub(super) fn write(out: &mut Exposition, identity: Option<&IdentityRecord>) {
    let Some(identity) = identity else { return };
    for (name, help, value) in [
        (
            "monopod_credentials_served_total",
            "Requests that were answered with credentials.",
            identity.served,
        ),
        (
            "monopod_credentials_refused_total",
            "Requests for credentials without the right token.",
            identity.refused,
        ),
        (
            "monopod_credentials_failed_total",
            "Requests with the right token for which there were no credentials.",
            identity.failed,
        ),
    ] {
        out.single(name, Kind::Counter, help, Some(value));
    }
    out.single(
        "monopod_credentials_expire_timestamp_seconds",
        Kind::Gauge,
        "When the credentials end that are served.",
        identity.expires_at.map(seconds),
    );
}
