//! What a maintainer asks of the engine: its own description, and that of our container, both without what may be a
//! secret.

use std::collections::BTreeSet;

use bollard::query_parameters::InspectContainerOptions;
use monopod_core::machine::gpu;
use monopod_core::text;
use serde_json::{Map, Value, json};

use super::{ASK, Engine, EngineError, What};

/// What is shown of the engine. Proxies and registries are not: both may have a login in their addresses.
const OF_ENGINE: &[&str] = &[
    "Architecture",
    "CgroupDriver",
    "CgroupVersion",
    "Containers",
    "ContainersRunning",
    "DefaultRuntime",
    "DockerRootDir",
    "Driver",
    "Images",
    "KernelVersion",
    "LiveRestoreEnabled",
    "LoggingDriver",
    "MemTotal",
    "NCPU",
    "OperatingSystem",
    "SecurityOptions",
    "ServerVersion",
    "SystemTime",
    "Warnings",
];

impl Engine {
    /// The engine, as far as it may be shown.
    pub async fn description(&self) -> Result<Value, EngineError> {
        let answer = self.within(ASK, What::Describe, bollard::Docker::info).await?;
        let mut value = serde_json::to_value(answer).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            map.retain(|name, _| OF_ENGINE.contains(&name.as_str()));
        }
        Ok(value)
    }

    /// What it says about devices that have names.
    pub async fn gpus(&self) -> Result<gpu::Engine, EngineError> {
        let answer = self.within(ASK, What::Describe, bollard::Docker::info).await?;
        let devices = answer.discovered_devices.unwrap_or_default();
        Ok(gpu::Engine {
            directories: answer.cdi_spec_dirs.unwrap_or_default(),
            devices: devices.into_iter().filter_map(|device| device.id).collect(),
        })
    }

    /// A container, as far as it may be shown: of its environment the names, of its command the length, of its health
    /// checks no output, which is the application's own words.
    pub async fn container_description(&self, id: &str) -> Result<Value, EngineError> {
        let what = What::Inspect {
            subject: format!("the container {}", text::short_id(id)),
        };
        let options = None::<InspectContainerOptions>;
        let answer = self
            .within(ASK, what, |docker| docker.inspect_container(id, options))
            .await?;
        Ok(shown(serde_json::to_value(answer).unwrap_or_default()))
    }
}

fn shown(mut container: Value) -> Value {
    let empty = Map::new();
    let config = container
        .get("Config")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let names: BTreeSet<String> = config
        .get("Env")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|pair| pair.split('=').next().unwrap_or_default().to_owned())
        .collect();
    for (path, name) in [
        ("", "Args"),
        ("", "Path"),
        ("/Config", "Cmd"),
        ("/Config", "Entrypoint"),
        ("/Config", "Healthcheck"),
    ] {
        let inside = container.pointer_mut(path).and_then(Value::as_object_mut);
        if let Some(value) = inside.and_then(|map| map.get_mut(name))
            && !value.is_null()
        {
            let words = value.as_array().map_or(1, Vec::len);
            *value = match name {
                "Healthcheck" => json!("not shown"),
                _ => json!(format!("{}, not shown", text::count(words as u64, "word"))),
            };
        }
    }
    if let Some(config) = container.get_mut("Config").and_then(Value::as_object_mut) {
        config.insert("Env".to_owned(), json!(names));
    }
    let probes = container
        .pointer_mut("/State/Health/Log")
        .and_then(Value::as_array_mut);
    for probe in probes.into_iter().flatten() {
        if let Some(probe) = probe.as_object_mut() {
            probe.remove("Output");
        }
    }
    container
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_and_values_are_not() {
        let value = shown(json!({
            "Id": "0123", "Path": "canary", "Args": ["canary", "canary"],
            "Config": {
                "Env": ["B=canary=canary", "A=canary", "EMPTY="], "Cmd": ["canary"], "Entrypoint": null,
                "Healthcheck": {"Test": ["CMD", "canary"]}, "Image": "app",
            },
            "State": {"ExitCode": 1, "Health": {"Log": [{"ExitCode": 1, "Output": "canary"}]}},
        }));
        assert!(!value.to_string().contains("canary"), "{value}");
        assert_eq!(value["Config"]["Env"], json!(["A", "B", "EMPTY"]));
        assert_eq!(value["Args"], "2 words, not shown");
        assert_eq!(value["State"]["Health"]["Log"][0], json!({"ExitCode": 1}));
        assert_eq!(
            (&value["Id"], &value["Config"]["Image"]),
            (&json!("0123"), &json!("app"))
        );
    }
}
