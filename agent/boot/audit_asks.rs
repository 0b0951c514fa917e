//! What the audit's courier asks for when it needs it: the password of its receiver, and the user data, masked.

use std::sync::Arc;

use monopod_core::logs::LogKey;

use super::late::Late;
use crate::audit::Asks;
use crate::context::{Directories, Sources};
use crate::report::Reporter;

const PASSWORD: &str = "logsink_password";

/// For one machine.
pub fn of(
    password: Option<&LogKey>,
    region: &str,
    sources: &Sources,
    directories: &Directories,
    reporter: &Reporter,
) -> Asks {
    let late = Late::new(region, sources, directories);
    let all = Arc::new((password.cloned(), late.clone(), reporter.clone()));
    Asks {
        password: Arc::new(move || {
            let all = Arc::clone(&all);
            Box::pin(async move {
                let (password, late, reporter) = &*all;
                let secret = late.secret(password.as_ref(), PASSWORD, |report| {
                    report.audit().literal_password()
                });
                let secret = secret.await?;
                reporter.learn(PASSWORD, &secret);
                Ok(secret)
            })
        }),
        user_data: Arc::new(move || {
            let late = late.clone();
            Box::pin(async move { Ok(late.report("the user data").await?.masked().clone()) })
        }),
    }
}
