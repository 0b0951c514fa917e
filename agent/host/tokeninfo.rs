//! The tokeninfo service on this machine.

use std::net::IpAddr;
use std::time::Duration;

use monopod_core::plan::extras::TOKENINFO_PORT;
use reqwest::StatusCode;
use tokio::time::Instant;

use super::{chain, web};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(500);
/// One answer may take so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks until it says that it is well, or until the deadline; why it is not, in words.
pub async fn is_there(machine: IpAddr, deadline: Instant) -> Result<(), String> {
    let client = web::builder()
        .no_proxy()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .timeout(PATIENCE)
        .build()
        .map_err(|error| chain(&error))?;
    let url = format!("http://{machine}:{TOKENINFO_PORT}/health");
    loop {
        let asked = tokio::time::timeout_at(deadline, client.get(&url).send()).await;
        let why = match asked {
            Ok(Ok(answer)) if answer.status() == StatusCode::OK => return Ok(()),
            Ok(Ok(answer)) => format!("{url} answered with status {}", answer.status().as_u16()),
            Ok(Err(error)) if !error.is_timeout() => format!("{url}: {}", chain(&error.without_url())),
            Ok(Err(_)) | Err(_) => format!("{url} did not answer in time"),
        };
        if Instant::now() + PAUSE >= deadline {
            return Err(why);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
