//! Every key of the contract, with its fate: the one table that says what monopod knows.
//!
//! A key that is read has its check in [`super::check`]. A key whose loss could cost data or a signal
//! is refused until it works; the others are reported and passed over. A later version moves a key
//! from one fate to another, and nothing else here changes.

pub(super) use super::nearest::nearest_of;

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Part of the configuration.
    Read,
    /// Known; refused while it cannot be carried out. Says what would be lost.
    Refused(&'static str),
    /// Known; passed over, with a warning.
    NoEffectYet,
    /// Its service is gone. Says what to use instead.
    Retired(&'static str),
}

use Fate::{NoEffectYet, Read, Refused, Retired};

const DATA: &str = "an app booted without its volume loses data";
const APM: &str = "build the vendor's agent into the image and configure it through `environment`";
const TOKENS: &str = "let the app get its tokens itself, and name the endpoint in `environment`";
const FLUENTD: &str = "monopod ships logs itself; the `logging` keys say where to";

/// Names, and families of names with a `*` at the end.
const KEYS: &[(&str, Fate)] = &[
    ("application_id", Read),
    ("application_version", Read),
    ("runtime", Read),
    ("source", Read),
    ("dockercfg", Read),
    ("ports", Read),
    ("environment", Read),
    ("capabilities_add", Read),
    ("capabilities_drop", Read),
    ("root", Read),
    ("privileged", Read),
    ("read_only", Read),
    ("hostname", Read),
    ("networking", Read),
    ("shm_size", Read),
    ("restart", Read),
    ("health_check_path", Read),
    ("health_check_port", Read),
    ("health_check_timeout_seconds", Read),
    ("notify_cfn", Read),
    ("docker_daemon_access", Read),
    ("mounts", Read),
    ("volumes", Refused(DATA)),
    (
        "mint_bucket",
        Refused("an app booted without its credentials cannot work"),
    ),
    (
        "unknown_keys",
        Refused("a policy that nobody enforces is worse than none"),
    ),
    ("mount_var_log", NoEffectYet),
    ("mount_custom_log", NoEffectYet),
    ("mount_certs", NoEffectYet),
    ("healthcheck", NoEffectYet),
    ("shutdown", NoEffectYet),
    ("rsyslog_application_log_format", NoEffectYet),
    ("rsyslog_max_message_size", NoEffectYet),
    ("rsyslog_aws_metadata", NoEffectYet),
    ("application_logrotate_*", NoEffectYet),
    ("customlog_logrotate_*", NoEffectYet),
    ("cloudwatch_logs", NoEffectYet),
    ("logging", NoEffectYet),
    ("scalyr_account_key", NoEffectYet),
    ("scalyr_region", NoEffectYet),
    ("scalyr_application_log_parser", NoEffectYet),
    ("scalyr_custom_log_parser", NoEffectYet),
    ("logentries_account_key", NoEffectYet),
    ("instance_logs_url", NoEffectYet),
    ("logsink_username", NoEffectYet),
    ("logsink_password", NoEffectYet),
    ("sysctl", NoEffectYet),
    ("sysfs", NoEffectYet),
    ("ssh_ports", NoEffectYet),
    ("ssh_gateway_ports", NoEffectYet),
    ("keep_instance_users", NoEffectYet),
    ("enhanced_cloudwatch_metrics", NoEffectYet),
    ("xray_enabled", NoEffectYet),
    ("etcd_discovery_domain", NoEffectYet),
    ("tokeninfo_url", NoEffectYet),
    ("local_planb_tokeninfo", NoEffectYet),
    ("deployment_id", NoEffectYet),
    ("newrelic_*", Retired(APM)),
    ("appdynamics_*", Retired(APM)),
    ("nodejs_disable_snapshots", Retired(APM)),
    ("opa_*", Retired("run the policy agent inside the image")),
    ("nat_gateways", Retired("routes belong to the VPC's route tables")),
    ("upstream_tokeninfo_url", Retired("`tokeninfo_url`")),
    ("access_token_url", Retired(TOKENS)),
    ("token_service_url", Retired(TOKENS)),
    ("oauth_access_token_url", Retired(TOKENS)),
    ("openid_provider_configuration_url", Retired("`tokeninfo_url`")),
    ("revocation_provider_url", Retired("`tokeninfo_url`")),
    ("tokeninfo_business_partners", Retired("`tokeninfo_url`")),
    (
        "local_planb_tokeninfo_introspection",
        Retired("`local_planb_tokeninfo`"),
    ),
    (
        "local_planb_tokeninfo_lightstep_token",
        Retired("`local_planb_tokeninfo`"),
    ),
    ("fluentd_*", Retired(FLUENTD)),
];

/// The fate of a key; `None` when nobody knows it.
pub(super) fn fate(name: &str) -> Option<Fate> {
    let family = |known: &str| {
        known
            .strip_suffix('*')
            .is_some_and(|prefix| name.len() > prefix.len() && name.starts_with(prefix))
    };
    KEYS.iter()
        .find(|(known, _)| *known == name || family(known))
        .map(|(_, fate)| *fate)
}

/// The known key closest to a typo.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    nearest_of(
        name,
        KEYS.iter()
            .map(|(known, _)| *known)
            .filter(|known| !known.ends_with('*')),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_key_has_one_fate() {
        let names: BTreeSet<&str> = KEYS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), KEYS.len());
        assert_eq!(fate("source"), Some(Read));
        assert_eq!(fate("newrelic_account_key"), Some(Retired(APM)));
        assert_eq!(fate("application_logrotate_size"), Some(NoEffectYet));
        assert_eq!(fate("opa_"), None);
        assert_eq!(fate("sourc"), None);
    }

    #[test]
    fn a_typo_finds_its_key_and_a_private_key_finds_none() {
        for (typo, key) in [
            ("heath_check_path", "health_check_path"),
            ("sorce", "source"),
            ("enviroment", "environment"),
            ("port", "ports"),
            ("Application-Id", "application_id"),
            ("volume", "volumes"),
            ("notify_cf", "notify_cfn"),
            ("image", "source"),
        ] {
            assert_eq!(nearest(typo), Some(key), "{typo}");
        }
        for private in ["my_team_dashboard", "x", "stack", "foo"] {
            assert_eq!(nearest(private), None, "{private}");
        }
    }
}
