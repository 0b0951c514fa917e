//! Reading what the engine has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::{
    ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum, HealthConfig, HealthStatusEnum,
    NetworkSettings,
};
use bollard::query_parameters::ListContainersOptionsBuilder;
use monopod_core::plan::container::{NAME, STOP_TIMEOUT};
use monopod_core::plan::reconcile::{LABEL_DIGEST, LABEL_SECRETS, LABEL_SOURCE, LABEL_SPEC, Observed, Phase};
use monopod_core::secret::Secret;
use monopod_core::supervise::Exit;
use monopod_core::text;

use super::{ASK, Engine, EngineError, What};

/// How one container is doing.
#[derive(Clone, Debug)]
pub struct ContainerStatus {
    /// What it is doing.
    pub phase: Phase,
    /// How it ended last; meaningless while it runs.
    pub exit: Exit,
    /// Why the engine could not start it the last time; empty if it could.
    pub error: String,
    /// When it was started, in milliseconds since the epoch.
    pub started_at: Option<u64>,
    /// Its json-file log.
    pub log_path: Option<PathBuf>,
    /// What its image's HEALTHCHECK says; `None` if the image has none.
    pub health: Option<Health>,
    /// How long that check may say "starting" by its own settings.
    pub health_grace: Duration,
    /// What asks it to end.
    pub stop_signal: String,
    /// How long it may take then.
    pub stop_timeout: Duration,
    /// Where its ports are.
    pub address: Address,
    /// Commands that run in it beside its own, by their ids.
    pub exec_ids: Vec<String>,
    /// The secrets in its environment, as far as its label names them, to be redacted by whoever quotes it.
    pub secrets: Vec<(String, Secret)>,
}

/// Where a container's ports are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// At an address of its own.
    Own(IpAddr),
    /// At the machine's: it has no network of its own.
    Machine,
    /// Nowhere, and never: it has no network.
    Nowhere,
    /// Nowhere yet: it does not run.
    Unknown,
}

/// What an image's HEALTHCHECK says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Too early to say.
    Starting,
    /// Well.
    Healthy,
    /// Not well; the last probe's output.
    Unhealthy(String),
}

impl Engine {
    /// Everything that is ours, or has our name.
    pub async fn observe(&self) -> Result<Vec<Observed>, EngineError> {
        // The engine joins different filters with "and", so ours and namesakes are two questions.
        let by_label = HashMap::from([("label", vec![LABEL_SPEC])]);
        let by_name = HashMap::from([("name", vec![NAME])]);
        let list = async |filters: HashMap<&str, Vec<&str>>| {
            let options = ListContainersOptionsBuilder::default()
                .all(true)
                .filters(&filters)
                .build();
            self.within(ASK, What::List, |docker| docker.list_containers(Some(options)))
                .await
        };
        let (labelled, namesakes) = futures_util::try_join!(list(by_label), list(by_name))?;
        let mut found: Vec<Observed> = Vec::new();
        for one in labelled.into_iter().chain(namesakes).filter_map(observed) {
            if !found.iter().any(|other| other.id == one.id) {
                found.push(one);
            }
        }
        Ok(found)
    }

    /// How one container is doing; `None` if it is gone.
    pub async fn status(&self, id: &str) -> Result<Option<ContainerStatus>, EngineError> {
        let what = What::Inspect {
            subject: format!("the container {}", text::short_id(id)),
        };
        let options = None::<bollard::query_parameters::InspectContainerOptions>;
        let answer = match self
            .within(ASK, what, |docker| docker.inspect_container(id, options))
            .await
        {
            Ok(answer) => answer,
            Err(EngineError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let state = answer.state.unwrap_or_default();
        let host_config = answer.host_config.unwrap_or_default();
        let address = address(host_config.network_mode.as_deref(), answer.network_settings);
        let memory_limit = host_config
            .memory
            .and_then(|bytes| u64::try_from(bytes).ok())
            .filter(|&bytes| bytes > 0);
        let out_of_memory = state.oom_killed.unwrap_or(false);
        let config = answer.config.unwrap_or_default();
        let stop_timeout = config
            .stop_timeout
            .and_then(|seconds| u64::try_from(seconds).ok());
        let health_grace = config.healthcheck.as_ref().map_or(Duration::ZERO, grace);
        let secrets = secrets(
            config.labels.unwrap_or_default().get(LABEL_SECRETS),
            config.env.unwrap_or_default(),
        );
        let health = state.health.and_then(|health| match health.status {
            Some(HealthStatusEnum::STARTING) => Some(Health::Starting),
            Some(HealthStatusEnum::HEALTHY) => Some(Health::Healthy),
            Some(HealthStatusEnum::UNHEALTHY) => {
                let last = health
                    .log
                    .and_then(|mut log| log.pop())
                    .and_then(|probe| probe.output);
                Some(Health::Unhealthy(last.unwrap_or_default().trim().to_owned()))
            }
            Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => None,
        });
        Ok(Some(ContainerStatus {
            phase: match state.status {
                Some(
                    ContainerStateStatusEnum::RUNNING
                    | ContainerStateStatusEnum::RESTARTING
                    | ContainerStateStatusEnum::STOPPING,
                ) => Phase::Running,
                Some(ContainerStateStatusEnum::PAUSED) => Phase::Paused,
                Some(ContainerStateStatusEnum::CREATED) => Phase::Created,
                Some(ContainerStateStatusEnum::EXITED) => Phase::Exited,
                Some(
                    ContainerStateStatusEnum::REMOVING
                    | ContainerStateStatusEnum::DEAD
                    | ContainerStateStatusEnum::EMPTY,
                )
                | None => Phase::Dead,
            },
            exit: Exit {
                code: state.exit_code.unwrap_or_default(),
                out_of_memory,
                memory_limit: memory_limit.filter(|_| out_of_memory),
            },
            error: refusal(id, state.error),
            started_at: state.started_at.as_deref().and_then(text::parse_timestamp_millis),
            log_path: answer.log_path.filter(|path| !path.is_empty()).map(PathBuf::from),
            health,
            health_grace,
            stop_signal: config
                .stop_signal
                .filter(|signal| !signal.is_empty())
                .unwrap_or_else(|| "SIGTERM".to_owned()),
            stop_timeout: Duration::from_secs(stop_timeout.unwrap_or(u64::from(STOP_TIMEOUT))),
            address,
            exec_ids: answer.exec_ids.unwrap_or_default(),
            secrets,
        }))
    }
}

/// Told as what a refused start says.
fn refusal(id: &str, error: Option<String>) -> String {
    error
        .filter(|error| !error.is_empty())
        .map(|error| EngineError::of_start(id, error).to_string())
        .unwrap_or_default()
}

fn address(mode: Option<&str>, settings: Option<NetworkSettings>) -> Address {
    match mode {
        Some("host") => return Address::Machine,
        Some("none") => return Address::Nowhere,
        _ => {}
    }
    let networks = settings
        .and_then(|settings| settings.networks)
        .unwrap_or_default();
    networks
        .into_values()
        .flat_map(|network| [network.ip_address, network.global_ipv6_address])
        .flatten()
        .find_map(|address| address.parse().ok())
        .map_or(Address::Unknown, Address::Own)
}

/// Docker probes first after one interval, and says unhealthy after as many failures as it has retries.
fn grace(check: &HealthConfig) -> Duration {
    let nanos = |value: Option<i64>, default: u64| {
        let nanos = value
            .and_then(|nanos| u64::try_from(nanos).ok())
            .filter(|&nanos| nanos > 0);
        Duration::from_nanos(nanos.unwrap_or(default))
    };
    const DEFAULT: u64 = 30_000_000_000;
    let retries = check
        .retries
        .and_then(|retries| u32::try_from(retries).ok())
        .filter(|&retries| retries > 0)
        .unwrap_or(3);
    let one = nanos(check.interval, DEFAULT) + nanos(check.timeout, DEFAULT);
    nanos(check.start_period, 0) + one.saturating_mul(retries)
}

fn secrets(names: Option<&String>, environment: Vec<String>) -> Vec<(String, Secret)> {
    let names: Vec<&str> = names.map(|names| names.split(',').collect()).unwrap_or_default();
    let pairs = environment.into_iter().map(Secret::new);
    pairs
        .filter_map(|pair| {
            let (name, value) = pair.expose().split_once('=')?;
            names
                .contains(&name)
                .then(|| (format!("environment.{name}"), Secret::new(value.to_owned())))
        })
        .collect()
}

fn observed(summary: ContainerSummary) -> Option<Observed> {
    let names = summary.names.unwrap_or_default();
    let mut labels = summary.labels.unwrap_or_default();
    let spec = labels.remove(LABEL_SPEC);
    let plain: Vec<&str> = names.iter().map(|name| name.trim_start_matches('/')).collect();
    // The engine's name filter finds parts of names too.
    if spec.is_none() && !plain.contains(&NAME) {
        return None;
    }
    let name = plain
        .iter()
        .find(|name| **name == NAME)
        .or(plain.first())
        .copied()
        .unwrap_or_default();
    Some(Observed {
        id: summary.id?,
        name: name.to_owned(),
        spec,
        digest: labels.remove(LABEL_DIGEST),
        source: labels.remove(LABEL_SOURCE),
        phase: match summary.state {
            Some(ContainerSummaryStateEnum::CREATED) => Phase::Created,
            Some(ContainerSummaryStateEnum::PAUSED) => Phase::Paused,
            Some(ContainerSummaryStateEnum::EXITED) => Phase::Exited,
            Some(
                ContainerSummaryStateEnum::RUNNING
                | ContainerSummaryStateEnum::RESTARTING
                | ContainerSummaryStateEnum::STOPPING,
            ) => Phase::Running,
            Some(
                ContainerSummaryStateEnum::REMOVING
                | ContainerSummaryStateEnum::DEAD
                | ContainerSummaryStateEnum::EMPTY,
            )
            | None => Phase::Dead,
        },
    })
}

#[cfg(test)]
mod tests {
    use bollard::models::EndpointSettings;

    use super::*;

    fn on_bridge(ip: &str) -> Option<NetworkSettings> {
        let endpoint = EndpointSettings {
            ip_address: Some(ip.to_owned()),
            ..Default::default()
        };
        Some(NetworkSettings {
            networks: Some(HashMap::from([("bridge".to_owned(), endpoint)])),
            ..Default::default()
        })
    }

    #[test]
    fn a_container_is_where_its_network_says() {
        let own = Address::Own("172.17.0.2".parse().unwrap());
        assert_eq!(address(Some("bridge"), on_bridge("172.17.0.2")), own);
        // It has an entry without an address when it doesn't run.
        assert_eq!(address(Some("bridge"), on_bridge("")), Address::Unknown);
        assert_eq!(address(Some("host"), on_bridge("")), Address::Machine);
        assert_eq!(address(Some("none"), None), Address::Nowhere);
    }
}
