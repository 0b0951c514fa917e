//! The registry: Debian's docker-registry with a password, one for all tests, and one machine's line to it. And a second
//! one, a mirror, for those that ask for it; it takes the same password, so that a login sent to the wrong one works.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};

use crate::forward::Line;
use crate::http::{self, Response};
use crate::images::Image;
use crate::layout;
use crate::process::{Part, spawn_tied, tied};
use crate::wait::lock;

/// The registry's name in image references, from inside a machine.
pub const REGISTRY: &str = "127.0.0.1:5000";
/// The mirror's name, from inside a machine.
pub const MIRROR: &str = "127.0.0.1:5001";
/// Who may push and pull.
pub const REGISTRY_USER: &str = "rig";
/// With which password; a word no output may ever hold.
pub const REGISTRY_PASSWORD: &str = "canary-registry-password";

/// The same, as the registry wants it: bcrypt at its lowest cost, with the prefix its library knows.
const HTPASSWD: &str = "rig:$2a$04$cMwieeqUjnzA0qXaoHHWVuc/ZaK79ckBctQy1dMqeTzV76ASiLCtS\n";

/// The process.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    part: Part,
    pub(crate) address: SocketAddr,
    digests: Mutex<HashMap<String, String>>,
}

impl Server {
    /// Starts it, with the standard images in it.
    pub(crate) fn start(name: &'static str, standard: &[Image]) -> Self {
        let (dir, storage) = (layout::process(), layout::home().join(name));
        layout::make_dir(&storage);
        let (config, htpasswd) = (
            dir.join(format!("{name}.json")),
            dir.join(format!("{name}.htpasswd")),
        );
        let settings = json!({
            "version": "0.1",
            "log": {"accesslog": {"disabled": true}, "level": "info"},
            "storage": {"filesystem": {"rootdirectory": storage}},
            "http": {"addr": "127.0.0.1:0", "relativeurls": true},
            "auth": {"htpasswd": {"realm": "rig", "path": htpasswd}},
        });
        for (path, text) in [(&config, settings.to_string()), (&htpasswd, HTPASSWD.to_owned())] {
            fs::write(path, text).unwrap_or_else(|e| panic!("rig: writing {}: {e}", path.display()));
        }
        let mut command = tied("docker-registry");
        command.arg("serve").arg(&config);
        let part = Part::start(name, command, &dir.join(format!("{name}.log")));
        let address = part.ready(Duration::from_secs(30), |log| {
            let rest = log.split_once("listening on ")?.1;
            rest.split(|c: char| c == '"' || c.is_whitespace())
                .next()?
                .parse()
                .ok()
        });
        let server = Self {
            name,
            part,
            address,
            digests: Mutex::default(),
        };
        server.push(standard);
        server
    }

    /// What is in it, by name and digest.
    fn index(&self) -> String {
        match self.name {
            "registry" => "images.json".to_owned(),
            other => format!("{other}-images.json"),
        }
    }

    /// Builds and pushes images; those that are there already cost nothing.
    pub(crate) fn push(&self, images: &[Image]) {
        let specs: Vec<&Value> = images.iter().map(Image::spec).collect();
        let order = json!({"user": REGISTRY_USER, "password": REGISTRY_PASSWORD, "images": specs});
        // Other test processes push into the same storage.
        let path = layout::home().join("images.lock");
        let file = File::create(&path).unwrap_or_else(|e| panic!("rig: creating {}: {e}", path.display()));
        let held = Flock::lock(file, FlockArg::LockExclusive)
            .unwrap_or_else(|(_, e)| panic!("rig: locking images: {e}"));
        let mut command = tied(layout::python());
        command
            .arg(layout::support().join("images.py"))
            .arg(format!("http://{}", self.address))
            .arg(layout::home().join(self.index()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = spawn_tied(command).unwrap_or_else(|e| panic!("rig: starting images.py: {e}"));
        let mut input = child.stdin.take().expect("rig: its input is a pipe");
        let written = input.write_all(order.to_string().as_bytes());
        drop(input);
        let output = child
            .wait_with_output()
            .unwrap_or_else(|e| panic!("rig: waiting for images.py: {e}"));
        drop(held);
        assert!(
            written.is_ok() && output.status.success(),
            "rig: building images: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
            self.part.tail()
        );
        let digests: HashMap<String, String> = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("rig: reading images.py's answer: {e}"));
        lock(&self.digests).extend(digests);
    }
}

/// The registry, as one machine sees it.
pub struct Registry {
    pub(crate) host: &'static str,
    pub(crate) server: &'static Server,
    pub(crate) line: Line,
}

impl Registry {
    /// The line between the machine and the registry: down, slow, cut.
    #[must_use]
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// The reference of a standard image or one pushed by this process: `web` gives `127.0.0.1:5000/test/web:1`.
    #[must_use]
    pub fn image(&self, name: &str) -> String {
        let reference = format!("{}/test/{name}:1", self.host);
        // Says it at once when there is none.
        drop(self.digest(&reference));
        reference
    }

    /// The digest of an image, by name or by reference.
    #[must_use]
    pub fn digest(&self, image: &str) -> String {
        let name = image
            .strip_prefix(&format!("{}/", self.host))
            .map_or_else(|| format!("test/{image}:1"), str::to_owned);
        let digests = lock(&self.server.digests);
        digests
            .get(&name)
            .cloned()
            .unwrap_or_else(|| panic!("rig: no image {name}; there are {:?}", digests.keys()))
    }

    /// Pushes one more image and gives its reference.
    #[must_use]
    pub fn push(&self, image: &Image) -> String {
        self.server.push(std::slice::from_ref(image));
        format!("{}/{}", self.host, image.name())
    }

    /// What user data carries to log in, as the value of `dockercfg`.
    #[must_use]
    pub fn dockercfg(&self) -> Value {
        json!({self.host: {"auth": basic(REGISTRY_PASSWORD), "email": "rig@example.org"}})
    }

    /// The same with a password that is wrong.
    #[must_use]
    pub fn wrong_dockercfg(&self) -> Value {
        json!({self.host: {"auth": basic("canary-wrong-password"), "email": "rig@example.org"}})
    }

    /// A request to the registry itself, past the line; `password` makes it an authorised one.
    #[must_use]
    pub fn ask(&self, path: &str, password: Option<&str>) -> Response {
        let authorization = password.map(|password| format!("Basic {}", basic(password)));
        let mut headers = vec![("Accept", "application/vnd.docker.distribution.manifest.v2+json")];
        if let Some(value) = &authorization {
            headers.push(("Authorization", value));
        }
        self.call(path, &headers)
    }

    /// Whoever puts things into the registry, past the line; may be kept and handed on.
    #[must_use]
    pub fn writer(&self) -> Writer {
        Writer(self.server)
    }

    fn call(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.server.call("GET", path, headers, &[])
    }
}

/// Puts things into the registry.
#[derive(Clone, Copy, Debug)]
pub struct Writer(&'static Server);

impl Writer {
    /// Puts a manifest under a tag, whatever was there before.
    pub fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let answer = self.write("PUT", &path, media_type, bytes);
        assert_eq!(answer.status, 201, "rig: PUT {path}: {}", answer.text());
    }

    /// Puts a blob beside an image. Its digest is the caller's to know.
    pub fn put_blob(&self, repository: &str, digest: &str, bytes: &[u8]) {
        let begun = self.write("POST", &format!("/v2/{repository}/blobs/uploads/"), "", &[]);
        let place = begun.header("location").unwrap_or_default();
        let path = format!("{place}&digest={digest}");
        let answer = self.write("PUT", &path, "application/octet-stream", bytes);
        assert_eq!(answer.status, 201, "rig: PUT {path}: {}", answer.text());
    }

    fn write(&self, method: &str, path: &str, media_type: &str, bytes: &[u8]) -> Response {
        let authorization = format!("Basic {}", basic(REGISTRY_PASSWORD));
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", media_type),
        ];
        self.0.call(method, path, &headers, bytes)
    }
}

impl Server {
    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        TcpStream::connect(self.address)
            .and_then(|stream| {
                stream.set_read_timeout(Some(Duration::from_secs(30)))?;
                http::call(stream, method, path, headers, body)
            })
            .unwrap_or_else(|e| panic!("rig: {method} {path} on the registry: {e}{}", self.part.tail()))
    }
}

fn basic(password: &str) -> String {
    BASE64.encode(format!("{REGISTRY_USER}:{password}"))
}
