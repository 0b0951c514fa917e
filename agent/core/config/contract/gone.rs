//! Keys whose service is gone: accepted, one warning each, never an error.

use super::Fate::Retired;
use super::Key;
use super::Shape::Anything;

const APM: &str = "build the vendor's agent into the image and configure it through `environment`";
const TOKENS: &str = "let the app get its tokens itself, and name the endpoint in `environment`";

const fn gone(name: &'static str, what: &'static str, instead: &'static str) -> Key {
    Key::new(name, Anything, Retired(instead), what)
}

pub(super) const KEYS: &[Key] = &[
    gone("newrelic_*", "New Relic's agent on the machine.", APM),
    gone("appdynamics_*", "AppDynamics' agent on the machine.", APM),
    gone(
        "nodejs_disable_snapshots",
        "A setting of AppDynamics' agent.",
        APM,
    ),
    gone(
        "opa_*",
        "A policy agent on the machine.",
        "run the policy agent inside the image",
    ),
    gone(
        "nat_gateways",
        "Routes of the machine.",
        "routes belong to the VPC's route tables",
    ),
    gone(
        "upstream_tokeninfo_url",
        "Where the local tokeninfo asked.",
        "`tokeninfo_url`",
    ),
    gone("access_token_url", "Where tokens were fetched.", TOKENS),
    gone("token_service_url", "Where tokens were fetched.", TOKENS),
    gone("oauth_access_token_url", "Where tokens were fetched.", TOKENS),
    gone(
        "openid_provider_configuration_url",
        "Plan B's OpenID provider.",
        "`tokeninfo_url`",
    ),
    gone(
        "revocation_provider_url",
        "Plan B's revocation service.",
        "`tokeninfo_url`",
    ),
    gone(
        "tokeninfo_business_partners",
        "A setting of Plan B's tokeninfo.",
        "`tokeninfo_url`",
    ),
    gone(
        "local_planb_tokeninfo_introspection",
        "A setting of Plan B's tokeninfo.",
        "`local_planb_tokeninfo`",
    ),
    gone(
        "local_planb_tokeninfo_lightstep_token",
        "A setting of Plan B's tokeninfo.",
        "`local_planb_tokeninfo`",
    ),
    gone(
        "fluentd_*",
        "Fluentd's own tuning.",
        "monopod ships logs itself; the `logging` keys say where to",
    ),
];
