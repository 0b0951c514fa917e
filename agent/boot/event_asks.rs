//! What pushing notices asks for when it needs it: the headers of the webhook.

use std::sync::Arc;

use monopod_core::notice::{EventsPlan, header_key};
use monopod_core::secret::Secret;

use super::late::Late;
use crate::context::{Directories, Sources};
use crate::notices::AskHeaders;
use crate::report::Reporter;

/// For one machine.
pub fn of(
    plan: &EventsPlan,
    region: &str,
    sources: &Sources,
    directories: &Directories,
    reporter: &Reporter,
) -> AskHeaders {
    let late = Late::new(region, sources, directories);
    let all = Arc::new((plan.headers.clone(), late, reporter.clone()));
    Arc::new(move || {
        let all = Arc::clone(&all);
        Box::pin(async move {
            let (headers, late, reporter) = &*all;
            let mut values = Vec::new();
            for (name, key) in headers {
                let used_by = header_key(name);
                let value = late.secret(Some(key), &used_by, |report| report.events().literal_header(name));
                let value = value.await?;
                reporter.learn(&used_by, &value);
                // `Bearer TOKEN`: the token alone is as secret.
                if let Some((_, token)) = value.expose().split_once(' ') {
                    reporter.learn(&used_by, &Secret::new(token.to_owned()));
                }
                values.push((name.clone(), value));
            }
            Ok(values)
        })
    })
}
