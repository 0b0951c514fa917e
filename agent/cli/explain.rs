//! What the contract says: the schema for editors, and a key or a code at length.

use monopod_core::config::contract::{explain as contract, schema as contract_schema};

use super::print;

/// As clap ends for wrong usage.
const EXIT_USAGE: u8 = 2;

/// Prints the JSON Schema of user data, or of the image's policy.
pub(super) fn schema(policy: bool) -> u8 {
    let schema = if policy {
        contract_schema::policy()
    } else {
        contract_schema::schema()
    };
    print(&format!("{schema:#}\n"));
    0
}

/// Prints the JSON Schema of the status.
pub(super) fn status_schema() -> u8 {
    print(&format!("{:#}\n", monopod_core::record::schema()));
    0
}

/// Explains a key or a code; without one, lists them all.
pub(super) fn explain(word: Option<&str>) -> u8 {
    let Some(word) = word else {
        print(&contract::overview());
        return 0;
    };
    match contract::explain(word) {
        Ok(text) => {
            print(&text);
            0
        }
        Err(near) => {
            let hint = near.map_or_else(
                || "`monopod explain` lists all keys and codes".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            tracing::error!("nobody knows the key or code `{word}`: {hint}");
            EXIT_USAGE
        }
    }
}
