//! The container's part of a plan.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::config::{EnvValue, Gpus, PortMapping, Seccomp};
use crate::identity::{ADDRESS, Identity, PATH, TOKEN_DIRECTORY};
use crate::plan::container::{
    Bind, CREDENTIALS, ContainerSpec, LOG_MAX_FILES, MemoryLimit, Mounted, NAME, SECRETS,
};
use crate::plan::extras::TOKENINFO_URL;
use crate::secret::{SecretRef, Source};
use crate::text;

impl ContainerSpec {
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let list = |names: &[String]| {
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        };
        let on = |yes: bool| if yes { "on" } else { "off" }.to_owned();
        let mut rows = vec![
            ("image", self.image.to_string()),
            (
                "user",
                self.user.clone().unwrap_or_else(|| "the image's own".to_owned()),
            ),
            (
                "capabilities",
                format!(
                    "dropped: {}; added: {}",
                    list(&self.capabilities_drop),
                    list(&self.capabilities_add)
                ),
            ),
            ("no-new-privileges", on(self.no_new_privileges)),
            ("privileged", on(self.privileged)),
            (
                "seccomp",
                match &self.seccomp {
                    _ if self.privileged => "off".to_owned(),
                    Seccomp::Default => "the engine's default".to_owned(),
                    Seccomp::Unconfined => "off".to_owned(),
                    Seccomp::Profile(path) => path.clone(),
                },
            ),
            (
                "root file system",
                if self.read_only { "read-only" } else { "writable" }.to_owned(),
            ),
            ("network", self.networking.to_string()),
        ];
        if self.identity != Identity::default() {
            rows.push(("AWS credentials", self.identity.text()));
        }
        for (key, words) in [("entrypoint", &self.entrypoint), ("command", &self.command)] {
            if let Some(words) = words {
                rows.push((key, json!(words).to_string()));
            }
        }
        self.mount_rows(&mut rows);
        for port in &self.ports {
            rows.push(("port", port_text(port)));
        }
        if let Some(hostname) = &self.hostname {
            rows.push(("hostname", hostname.clone()));
        }
        if let Some(size) = self.shm_size {
            rows.push(("/dev/shm", text::bytes(size)));
        }
        self.limit_rows(&mut rows);
        rows
    }

    fn limit_rows(&self, rows: &mut Vec<(&'static str, String)>) {
        rows.push(("memory", format!("{}, no swap", memory_text(self.memory))));
        if let Some(nano) = self.nano_cpus {
            rows.push(("processors", decimal(nano)));
        }
        rows.push(("processes", format!("{} at most", self.pids_limit)));
        for limit in &self.ulimits {
            rows.push(("ulimit", format!("{}={}:{}", limit.name, limit.soft, limit.hard)));
        }
        for (name, value) in &self.sysctls {
            rows.push(("sysctl", format!("{name} = {value}")));
        }
        rows.push((
            "graphics",
            match self.gpus {
                None => "all processors of NVIDIA, if the machine has any",
                Some(Gpus::All) => "all processors of NVIDIA",
                Some(Gpus::None) => "none",
            }
            .to_owned(),
        ));
        rows.push((
            "stopped by",
            format!(
                "{}, killed {} s later",
                self.stop_signal
                    .as_deref()
                    .unwrap_or("the image's STOPSIGNAL or SIGTERM"),
                self.stop_timeout
            ),
        ));
        rows.push((
            "log files",
            format!(
                "json-file, blocking, {LOG_MAX_FILES} x {}",
                text::bytes(self.log_max_size())
            ),
        ));
    }

    fn mount_rows(&self, rows: &mut Vec<(&'static str, String)>) {
        for Bind {
            source,
            target,
            read_only,
            ..
        } in &self.binds
        {
            let how = if *read_only { "read-only" } else { "writable" };
            rows.push(("mount", format!("{source} of the machine at {target}, {how}")));
        }
        for Mounted {
            source,
            target,
            read_only,
        } in &self.mounts
        {
            let how = if *read_only { "read-only" } else { "writable" };
            rows.push(("mount", format!("{source} of the machine at {target}, {how}")));
        }
        for file in &self.files {
            let content = match &file.content {
                EnvValue::Plain(content) => text::bytes(content.len() as u64),
                EnvValue::Secret(reference) => secret_text(reference),
            };
            rows.push((
                "mount",
                format!("a file of {content} at {}, read-only", file.path),
            ));
        }
        for (name, reference) in &self.secret_files {
            let content = secret_text(reference);
            rows.push((
                "mount",
                format!("{content} at {SECRETS}/{name}, in memory, read-only"),
            ));
        }
        if let Some(bucket) = &self.mint_bucket {
            rows.push((
                "mount",
                format!("the credentials of the bucket {bucket} at {CREDENTIALS}, in memory, read-only"),
            ));
        }
        if self.identity.served().is_some() {
            rows.push((
                "mount",
                format!("the token for its AWS credentials at {TOKEN_DIRECTORY}, in memory, read-only"),
            ));
        }
        for tmpfs in &self.tmpfs {
            let options = if tmpfs.options.is_empty() {
                String::new()
            } else {
                format!(" ({})", tmpfs.options)
            };
            rows.push(("mount", format!("memory at {}{options}", tmpfs.path)));
        }
        if !self.dns.is_empty() {
            let servers: Vec<String> = self.dns.iter().map(ToString::to_string).collect();
            rows.push(("name servers", servers.join(", ")));
        }
        for host in &self.extra_hosts {
            rows.push(("host", format!("{} is {}", host.name, host.address)));
        }
    }

    /// The environment as texts, with what is open in place of what is not known yet.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, String)> {
        let known = self.environment.iter().map(|(name, value)| match name.as_str() {
            TOKENINFO_URL => (TOKENINFO_URL, text::without_query(&env_text(value))),
            name => (name, env_text(value)),
        });
        let open = self
            .holes
            .iter()
            .map(|hole| (hole.variable(), hole.text(self.networking)));
        known.chain(open)
    }

    pub(super) fn to_json(&self) -> Value {
        let environment: serde_json::Map<String, Value> = self
            .variables()
            .map(|(name, text)| (name.to_owned(), text.into()))
            .collect();
        let mut json = json!({
            "name": NAME,
            "image": self.image.to_string(),
            "user": self.user,
            "environment": environment,
            "ports": self.ports.iter().map(port_text).collect::<Vec<_>>(),
            "capabilities_drop": self.capabilities_drop,
            "capabilities_add": self.capabilities_add,
            "no_new_privileges": self.no_new_privileges,
            "privileged": self.privileged,
            "read_only": self.read_only,
            "hostname": self.hostname,
            "networking": self.networking.to_string(),
            "shm_size_bytes": self.shm_size,
            "memory": self.memory,
            "pids_limit": self.pids_limit,
            "nano_cpus": self.nano_cpus,
            "ulimits": self.ulimits.iter().map(|one| (one.name.clone(), json!([one.soft, one.hard]))).collect::<serde_json::Map<_, _>>(),
            "entrypoint": self.entrypoint,
            "command": self.command,
            "tmpfs": self.tmpfs.iter().map(|one| (one.path.clone(), json!(one.options))).collect::<serde_json::Map<_, _>>(),
            "stop_signal": self.stop_signal,
            "stop_timeout_seconds": self.stop_timeout,
            "seccomp": self.seccomp.to_string(),
            "dns": self.dns,
            "extra_hosts": self.extra_hosts.iter().map(|one| (one.name.clone(), json!(one.address))).collect::<serde_json::Map<_, _>>(),
            "files": self.files.iter().map(|one| (one.path.clone(), json!(content_text(&one.content)))).collect::<serde_json::Map<_, _>>(),
            "secrets": self.secret_files.iter().map(|(name, reference)| (name.clone(), json!(secret_text(reference)))).collect::<serde_json::Map<_, _>>(),
            "mint_bucket": self.mint_bucket,
            "binds": self.binds,
            "mounts": self.mounts.iter().map(|one| (one.target.clone(), json!({"source": one.source, "read_only": one.read_only}))).collect::<serde_json::Map<_, _>>(),
            "gpus": match self.gpus { None => "if there are any", Some(Gpus::All) => "all", Some(Gpus::None) => "none" },
            "sysctls": self.sysctls.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>(),
            "deployment_id": self.deployment_id,
            "log_max_size_bytes": self.log_max_size(),
            "log_max_files": LOG_MAX_FILES,
        });
        // Who asks for nothing has the plan as it always was.
        if let (true, Some(map)) = (self.identity != Identity::default(), json.as_object_mut()) {
            map.insert("identity".to_owned(), self.identity_json());
        }
        json
    }
}

impl ContainerSpec {
    fn identity_json(&self) -> Value {
        let served = self.identity.served();
        json!({
            "aws_credentials": self.identity.credentials.to_string(),
            "metadata": self.identity.metadata,
            "endpoint": served.as_ref().map(|_| format!("http://{ADDRESS}{PATH}")),
            "serves": served.as_ref().map(ToString::to_string),
        })
    }
}

fn memory_text(limit: MemoryLimit) -> String {
    match limit {
        MemoryLimit::Bytes(bytes) => text::bytes(bytes),
        MemoryLimit::HostLessReserve => "the machine's, less the larger of 256 MiB and 10 %".to_owned(),
    }
}

pub(super) fn env_text(value: &EnvValue) -> String {
    match value {
        EnvValue::Plain(value) => value.clone(),
        EnvValue::Secret(reference) => secret_text(reference),
    }
}

/// `<kms 0123abcd>`, `<the parameter /my-app/db, key password>`.
pub(super) fn secret_text(reference: &SecretRef) -> String {
    match &reference.key {
        None => format!("<{}>", source_text(&reference.source)),
        Some(key) => format!("<{}, key {key}>", source_text(&reference.source)),
    }
}

/// A ciphertext is named by a part of its hash, so that two plans can be compared.
pub(super) fn source_text(source: &Source) -> String {
    match source {
        Source::Kms { ciphertext, context } if context.is_empty() => {
            format!("kms {}", fingerprint(ciphertext.as_bytes()))
        }
        Source::Kms { ciphertext, context } => {
            let context: Vec<String> = context
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!(
                "kms {} in the context {}",
                fingerprint(ciphertext.as_bytes()),
                context.join(", ")
            )
        }
        Source::Parameter { .. } | Source::SecretsManager { .. } => source.to_string(),
    }
}

/// A file's text is told from another by a part of its hash.
fn content_text(content: &EnvValue) -> String {
    match content {
        EnvValue::Plain(text) => fingerprint(text.as_bytes()),
        EnvValue::Secret(reference) => secret_text(reference),
    }
}

/// Enough of a hash to tell two contents apart.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Billionths as a person writes them: `1.5`.
fn decimal(nano: u64) -> String {
    let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn port_text(port: &PortMapping) -> String {
    let host = port.host_ip.map_or_else(String::new, |ip| format!("{ip}:"));
    format!("{host}{} -> {}/{}", port.host, port.container, port.protocol)
}
