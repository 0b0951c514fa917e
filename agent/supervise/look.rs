//! One look at the container: what its state, its image's HEALTHCHECK and the health check say.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use monopod_core::config;
use monopod_core::plan::Gate;
use monopod_core::plan::reconcile::Phase;
use monopod_core::text;

use crate::boot::hint::Charge;
use crate::context::Context;
use crate::host::docker::{Address, ContainerStatus, Health, Ran};
use crate::host::probe::{self, Answer};
use crate::host::{chain, clock};

/// Without any check, running for so long is enough.
pub(super) const SETTLED: Duration = Duration::from_secs(3);

/// Characters of what somebody else wrote in one line of ours.
const LINE_LENGTH: usize = 300;

/// What the application is asked.
pub(super) enum Question {
    /// Nothing: that it runs is enough.
    Running,
    Http(probe::Http),
    Tcp {
        port: u16,
        patience: Duration,
    },
    Exec {
        command: Vec<String>,
        patience: Duration,
    },
}

/// Not healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum No {
    /// But it may become so.
    Yet(String),
    /// Nor will it ever be.
    Never(String),
    /// Nobody knows: the engine is away, the container is not up, or its image's check has not made up its mind.
    Unasked(String),
}

impl Question {
    /// As the gate has it.
    pub(super) fn new(gate: &Gate) -> Result<Self, String> {
        let patience = gate.probe_timeout();
        Ok(match &gate.probe {
            config::Probe::Running => Self::Running,
            config::Probe::Http {
                port,
                path,
                statuses,
                headers,
            } => Self::Http(
                probe::Http::new(*port, path, statuses, headers, patience)
                    .map_err(|error| format!("the probe could not be made: {}", chain(&error)))?,
            ),
            config::Probe::Tcp { port } => Self::Tcp {
                port: *port,
                patience,
            },
            config::Probe::Exec { command } => Self::Exec {
                command: command.clone(),
                patience,
            },
        })
    }

    /// Asks once: the image's own check first, then ours.
    pub(super) async fn ask(&self, context: &Context, charge: &Charge) -> Result<String, No> {
        let status = match context.engine.status(&charge.container_id).await {
            Ok(Some(status)) => status,
            Ok(None) => return Err(No::Unasked("the container is gone".to_owned())),
            Err(error) => return Err(No::Unasked(chain(&error))),
        };
        if status.phase != Phase::Running {
            return Err(No::Unasked(describe(&status)));
        }
        let image_says = match &status.health {
            None => "",
            Some(Health::Healthy) => " and the image's HEALTHCHECK says healthy",
            Some(Health::Starting) => {
                return Err(No::Unasked("the image's HEALTHCHECK says starting".to_owned()));
            }
            Some(Health::Unhealthy(output)) => {
                let output = quoted(output, |text| context.reporter.redacted(text)).join(" | ");
                let output = text::shortened(&output, LINE_LENGTH);
                return Err(No::Yet(format!(
                    "the image's HEALTHCHECK says unhealthy: {output}"
                )));
            }
        };
        let detail = match self {
            // A process that dies at once runs for a moment too.
            Self::Running if status.health.is_none() && runs_for(&status) < SETTLED => {
                return Err(No::Unasked("it has just been started".to_owned()));
            }
            Self::Running => "it runs".to_owned(),
            Self::Http(probe) => match probe.ask().await {
                Answer::Healthy(status) => format!("{} answers {status}", probe.url()),
                answer => return Err(No::Yet(format!("{} answers: {answer}", probe.url()))),
            },
            Self::Tcp { port, patience } => tcp(status.address, *port, *patience).await?,
            Self::Exec { command, patience } => exec(context, charge, &status, command, *patience).await?,
        };
        Ok(format!("{detail}{image_says}"))
    }
}

/// At the container's own address: a published port takes connections whether anybody listens behind it or not.
async fn tcp(address: Address, port: u16, patience: Duration) -> Result<String, No> {
    let address = match address {
        Address::Own(address) => address,
        Address::Machine => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Address::Unknown => return Err(No::Unasked("the container has no address yet".to_owned())),
        Address::Nowhere => {
            return Err(No::Never(
                "the container has no network (`networking: none`), so none of its ports can be asked; write `health_check_type: exec`"
                    .to_owned(),
            ));
        }
    };
    let to = std::net::SocketAddr::new(address, port);
    match probe::connects(to, patience).await {
        Ok(()) => Ok(format!("{to} takes connections")),
        Err(why) => Err(No::Yet(format!("{to} takes no connection: {why}"))),
    }
}

async fn exec(
    context: &Context,
    charge: &Charge,
    status: &ContainerStatus,
    command: &[String],
    patience: Duration,
) -> Result<String, No> {
    let ran = context
        .engine
        .run(&charge.container_id, status, command, patience)
        .await;
    let why = match ran {
        Ok(Ran::Ended { code: 0, .. }) => return Ok("the health check's command ended with 0".to_owned()),
        Ok(Ran::Ended { code, output }) => {
            let lines = quoted(&output, |text| context.reporter.redacted(text));
            let said = match lines.last() {
                Some(line) => format!(": {line}"),
                None => ", and wrote nothing".to_owned(),
            };
            format!("the health check's command ended with {code}{said}")
        }
        Ok(Ran::TooSlow) => format!(
            "the health check's command did not end within {}",
            text::duration(patience)
        ),
        Ok(Ran::StillRuns) => {
            "the health check's command of an earlier try still runs in the container, so it is not started again"
                .to_owned()
        }
        Err(error) if error.is_outage() => return Err(No::Unasked(chain(&error))),
        Err(error) => chain(&error),
    };
    Err(No::Yet(why))
}

fn runs_for(status: &ContainerStatus) -> Duration {
    Duration::from_millis(
        status
            .started_at
            .map_or(0, |at| clock::now_millis().saturating_sub(at)),
    )
}

/// What a container is doing, in words.
pub(super) fn describe(status: &ContainerStatus) -> String {
    match status.phase {
        Phase::Running => "it runs".to_owned(),
        Phase::Paused => "it is paused".to_owned(),
        Phase::Created if status.error.is_empty() => "it was not started yet".to_owned(),
        Phase::Created => status.error.clone(),
        Phase::Exited | Phase::Dead if status.error.is_empty() => format!("it ended with {}", status.exit),
        Phase::Exited | Phase::Dead => format!("it ended with {}, and {}", status.exit, status.error),
    }
}

/// What an application wrote, as lines that fit into ours. Redacted first, as a whole: a secret may
/// have several lines and control characters, and a part of one is not found.
pub(super) fn quoted(text: &str, redacted: impl FnOnce(&str) -> String) -> Vec<String> {
    let text = redacted(text);
    text.trim_end()
        .lines()
        .map(|line| text::shortened(&text::printable(line), LINE_LENGTH))
        .collect()
}

#[cfg(test)]
mod tests {
    use monopod_core::redact::Redactor;
    use monopod_core::secret::Secret;

    use super::*;

    #[test]
    fn what_an_application_wrote_is_redacted_then_tidied_then_cut() {
        let mut redactor = Redactor::default();
        for value in ["hunter2-hunter2", "ab-1\ncd-2\nef-3", "tab\there-and-there"] {
            redactor.learn(&Secret::new(value.to_owned()));
        }
        let long = format!("{:.<290} hunter2-hunter2{}", "", "x".repeat(200_000));
        let text = format!("\x1b[31mred\0\rwiped\r\n{long}\nab-1\ncd-2\nef-3\n\ntab\there-and-there\n\n");
        let lines = quoted(&text, |text| redactor.redact(text).into_owned());
        let cut = format!("{:.<290} [redacted…", "");
        assert_eq!(lines, ["·[31mred··wiped", &cut, "[redacted]", "", "[redacted]"]);
    }

    #[tokio::test]
    async fn a_port_is_asked_where_it_is() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = Address::Own(Ipv4Addr::LOCALHOST.into());
        for address in [own, Address::Machine] {
            let detail = tcp(address, port, SETTLED).await.unwrap();
            assert_eq!(detail, format!("127.0.0.1:{port} takes connections"));
        }
        drop(listener);
        let no = tcp(own, port, SETTLED).await.unwrap_err();
        assert!(matches!(&no, No::Yet(why) if why.contains("refused")), "{no:?}");
        let no = tcp(Address::Nowhere, port, SETTLED).await.unwrap_err();
        assert!(
            matches!(&no, No::Never(why) if why.contains("health_check_type: exec")),
            "{no:?}"
        );
    }

    #[test]
    fn nothing_written_is_no_line() {
        assert!(quoted("", str::to_owned).is_empty());
        assert!(quoted("\n\n", str::to_owned).is_empty());
    }
}
