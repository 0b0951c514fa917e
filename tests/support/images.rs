//! The images tests run, made of a static busybox and a script: small, without a network, the same digest every time.

use serde_json::{Map, Value, json};

/// What the scripts call; the rest of busybox is reached through its own name.
const APPLETS: &[&str] = &[
    "sh",
    "cat",
    "date",
    "dd",
    "echo",
    "env",
    "head",
    "id",
    "kill",
    "ls",
    "nc",
    "printf",
    "sed",
    "seq",
    "sha256sum",
    "sleep",
    "tail",
    "true",
    "wget",
    "yes",
];

/// An image to build and push.
#[derive(Clone, Debug)]
pub struct Image {
    spec: Value,
}

impl Image {
    /// `test/NAME:1`, whose entry point is this shell script.
    #[must_use]
    pub fn new(name: &str, script: &str) -> Self {
        Self::tagged(name, "1", script)
    }

    /// `test/NAME:TAG`, whose entry point is this shell script.
    #[must_use]
    pub fn tagged(name: &str, tag: &str, script: &str) -> Self {
        let spec = json!({
            "name": format!("test/{name}"),
            "tag": tag,
            "config": {
                "Entrypoint": ["/bin/sh", "/app/run"],
                "Env": ["PATH=/bin"],
                "WorkingDir": "/",
            },
            "layers": [base_layer(), {"app/run": {"text": script, "mode": 0o755}}],
        });
        Self { spec }
    }

    /// With this variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let env = self.spec["config"]["Env"]
            .as_array_mut()
            .expect("it was made as a list");
        env.push(json!(format!("{name}={value}")));
        self
    }

    /// With one more executable file.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        let layers = self.spec["layers"].as_array_mut().expect("it was made as a list");
        layers.push(json!({path: {"text": text, "mode": 0o755}}));
        self
    }

    /// With anything that a layer can hold: `{"link": "/etc/passwd"}`, `{"directory": true}`, `{"zeros": 4096}`.
    #[must_use]
    pub fn entry(mut self, path: &str, what: Value) -> Self {
        let layers = self.spec["layers"].as_array_mut().expect("it was made as a list");
        layers.push(json!({path: what}));
        self
    }

    /// With one more executable file, a copy of one of this machine.
    #[must_use]
    pub fn program(mut self, path: &str, of: &std::path::Path) -> Self {
        let layers = self.spec["layers"].as_array_mut().expect("it was made as a list");
        layers.push(json!({path: {"file": of, "mode": 0o755}}));
        self
    }

    /// With any key of an image's configuration: `User`, `Healthcheck`, `ExposedPorts`, `StopSignal` ...
    #[must_use]
    pub fn config(mut self, key: &str, value: Value) -> Self {
        self.spec["config"][key] = value;
        self
    }

    /// For another processor than this machine's: `arm64`.
    #[must_use]
    pub fn architecture(mut self, name: &str) -> Self {
        self.spec["architecture"] = json!(name);
        self
    }

    /// Below this folder of the registry: `cache` makes it `cache/test/NAME`.
    #[must_use]
    pub fn below(mut self, folder: &str) -> Self {
        let name = self.spec["name"].as_str().unwrap_or_default().to_owned();
        self.spec["name"] = json!(format!("{folder}/{name}"));
        self
    }

    /// With a layer of this many bytes that don't compress.
    #[must_use]
    pub fn random_layer(mut self, bytes: u64) -> Self {
        let layers = self.spec["layers"].as_array_mut().expect("it was made as a list");
        let number = layers.len();
        let path = format!("data/{number}");
        layers.push(json!({path: {"random": bytes, "seed": number, "mode": 0o644}}));
        self
    }

    /// With a layer of this many bytes that nearly vanish when they are packed.
    #[must_use]
    pub fn zero_layer(mut self, bytes: u64) -> Self {
        let layers = self.spec["layers"].as_array_mut().expect("it was made as a list");
        let path = format!("data/{}", layers.len());
        layers.push(json!({path: {"zeros": bytes, "mode": 0o644}}));
        self
    }

    pub(crate) fn spec(&self) -> &Value {
        &self.spec
    }

    pub(crate) fn name(&self) -> String {
        format!(
            "{}:{}",
            self.spec["name"].as_str().unwrap_or_default(),
            self.spec["tag"].as_str().unwrap_or_default()
        )
    }
}

fn base_layer() -> Value {
    let mut layer = Map::new();
    for dir in ["app", "bin", "data", "etc"] {
        layer.insert(dir.into(), json!({"directory": true}));
    }
    layer.insert("tmp".into(), json!({"directory": true, "mode": 0o1777}));
    layer.insert("bin/busybox".into(), json!({"file": "/bin/busybox"}));
    for applet in APPLETS {
        layer.insert(format!("bin/{applet}"), json!({"link": "busybox"}));
    }
    // Nobody with uid 999 here: like most images, they don't know who will run them.
    layer.insert(
        "etc/passwd".into(),
        json!({"text": "root:x:0:0:root:/:/bin/sh\n", "mode": 0o644}),
    );
    layer.insert("etc/group".into(), json!({"text": "root:x:0:\n", "mode": 0o644}));
    Value::Object(layer)
}

/// What every test finds in the registry. Each script says in its head what it is for.
#[must_use]
pub(crate) fn standard() -> Vec<Image> {
    let web = include_str!("images/web.sh");
    let answer = include_str!("images/answer.sh");
    let server = |name: &str| {
        Image::new(name, web)
            .file("app/answer", answer)
            .config("ExposedPorts", json!({"8080/tcp": {}}))
    };
    let healthcheck = json!({
        "Test": ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:8080/health"],
        "Interval": 1_000_000_000u64, "Timeout": 2_000_000_000u64, "Retries": 2,
    });
    vec![
        server("web"),
        server("web-slow").env("HEALTHY_AFTER", "3"),
        server("never-healthy").env("STATUS", "500"),
        server("web-healthcheck").config("Healthcheck", healthcheck),
        Image::new("exit-now", include_str!("images/exit-now.sh")),
        Image::new("crash-loop", include_str!("images/crash-loop.sh")),
        Image::new("oom", include_str!("images/oom.sh")),
        Image::new("chatty", include_str!("images/chatty.sh")),
        Image::new("printenv", include_str!("images/printenv.sh")),
        Image::new("writer", include_str!("images/writer.sh"))
            .program("app/writer", &crate::numbered::writer_program()),
        Image::new("stage", include_str!("images/stage.sh"))
            .program("app/writer", &crate::numbered::writer_program()),
        Image::new("sleeper", include_str!("images/sleeper.sh")),
        Image::new("service", include_str!("images/service.sh"))
            .program("app/service", &crate::service::program())
            .config("ExposedPorts", json!({"8080/tcp": {}})),
        server("large")
            .random_layer(8 << 20)
            .random_layer(6 << 20)
            .random_layer(4 << 20)
            .random_layer(2 << 20),
    ]
}
