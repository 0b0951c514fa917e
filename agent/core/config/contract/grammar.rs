//! What a string has to look like, as a regular expression that every editor's schema engine can run.
//!
//! ECMA 262, ASCII only, without lookaround: some engines have none. What needs a "but not" is said beside the pattern,
//! in the schema. The parsers in [`crate::config`]'s checks stay the judges; a pattern may take what they refuse (an array of
//! one disk, a soft limit above the hard one), and never refuses what they take.

use super::{CAPABILITIES, SIGNALS, SYSFS, ULIMITS};

/// What a string has to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// Anything.
    Any,
    /// Anything that says something; an empty text is as if the key were left out.
    NotEmpty,
    /// `^[a-z][a-z0-9-]*[a-z0-9]$`
    ApplicationId,
    /// Letters, digits, dots, dashes, underscores.
    ApplicationVersion,
    /// An OCI image reference with a tag or a digest.
    Image,
    /// The container's side of a port mapping: `80`, `53/udp`, `8000-8010`.
    Port,
    /// The host's side of a port mapping: an address may stand in front.
    HostPort,
    /// A capability of Linux.
    Capability,
    /// The same as the kernel writes it, without `CAP_`.
    CapabilityName,
    /// A host name.
    Hostname,
    /// `999` or `999:999`.
    User,
    /// An absolute path.
    Path,
    /// Begins with `/`, without blanks and `#`.
    UrlPath,
    /// An IPv4 or IPv6 address.
    Address,
    /// An address, or `host-gateway`.
    HostAddress,
    /// A name for `/etc/hosts`.
    HostName,
    /// `db:10.0.0.12`.
    HostEntry,
    /// `SIGTERM`, `TERM` or a number.
    Signal,
    /// Begins with `http://` or `https://`.
    Url,
    /// `default`, `unconfined` or an absolute path.
    Seccomp,
    /// A regular expression.
    Regex,
    /// Sampling rules, as the text of a YAML list.
    Rules,
    /// `1024`, `1024:4096`, `-1`.
    Limit,
    /// A limit of setrlimit(2).
    LimitName,
    /// Mount options: commas, no blanks.
    MountOptions,
    /// `/run:size=16m`.
    Tmpfs,
    /// `/dev/xvdf`.
    Device,
    /// `/dev/md/data` or `/dev/md0`.
    Array,
    /// A device, or `none`.
    Partition,
    /// Options of mount(8).
    DiskOptions,
    /// The name of an environment variable.
    Variable,
    /// The name of an S3 bucket.
    Bucket,
    /// The name of a secret's file.
    SecretName,
    /// A registry's address.
    Registry,
    /// A registry's mirror: a host, and perhaps a path.
    Mirror,
    /// `eu-central-1`.
    Region,
    /// A kernel setting such as `fs.file-max`.
    Setting,
    /// A path below `/sys` that may be written.
    SysfsPath,
    /// Registry and repository of images, with stars.
    ImagePattern,
    /// A pattern over repositories that images are built from.
    RepositoryPattern,
    /// A file below `/etc/monopod`.
    KeyFile,
    /// `2027-06-30`.
    Day,
    /// Certificates as PEM.
    Certificates,
    /// The name of a machine, or its address.
    Server,
    /// A file, or every `*.log` of a directory.
    LogPath,
    /// The name of a group in CloudWatch Logs.
    LogGroup,
    /// A URL that is a key in itself, and never shown.
    HiddenUrl,
    /// The name of an HTTP header.
    HeaderName,
    /// What a header says; never shown.
    HeaderValue,
    /// The ARN of a target group.
    TargetGroup,
    /// The name of a lifecycle hook.
    HookName,
    /// An IP address with a port, or `none`.
    SocketAddress,
}

const V4: &str =
    "(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
/// One part of a path that is not `..`, and the slashes before it.
const PART: &str = r"/(?:[^/.\x00-\x1f\x7f-\x9f]|\.[^/.\x00-\x1f\x7f-\x9f]|\.\.[^/\x00-\x1f\x7f-\x9f])[^/\x00-\x1f\x7f-\x9f]*";
const HEADER_NAME: &str = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/// `arn:PARTITION:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID`.
const TARGET_GROUP: &str = "arn:aws(?:-[a-z]+)*:elasticloadbalancing:[a-z]+(?:-[a-z]+)+-[0-9]+:[0-9]{12}:targetgroup/[A-Za-z0-9-]{1,32}/[0-9a-f]+|\\s*";
const SERVER_LABEL: &str = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";
const LABEL: &str = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?";

impl Grammar {
    /// The pattern, anchored at both ends; `None` where any text will do.
    pub fn pattern(self) -> Option<String> {
        let inner = match self {
            Self::Any | Self::NotEmpty | Self::Regex | Self::Rules => return None,
            Self::ApplicationId => "[a-z][a-z0-9-]*[a-z0-9]".to_owned(),
            Self::ApplicationVersion => "[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?".to_owned(),
            Self::Image => image(),
            Self::Port => ports(),
            Self::HostPort => format!("(?:(?:{V4}|\\[{}\\]):)?{}", v6(), ports()),
            Self::Capability => {
                let names: Vec<String> = CAPABILITIES.iter().map(|name| any_case(name)).collect();
                format!("(?:{})?(?:{})", any_case("CAP_"), names.join("|"))
            }
            Self::CapabilityName => CAPABILITIES.join("|"),
            Self::Hostname => format!("(?:{LABEL}(?:\\.{LABEL})*)?"),
            Self::User => "[0-9]{1,10}(?::[0-9]{1,10})?".to_owned(),
            Self::Path => format!("(?:{PART})+"),
            Self::UrlPath => "(?:/[^\\s#\\u0000-\\u001f\\u007f-\\u009f]*)?".to_owned(),
            Self::Address => format!("{V4}|{}", v6()),
            Self::HostAddress => host_address(),
            Self::HostName => "[^\\s]+".to_owned(),
            Self::HostEntry => format!("[^\\s:=]+[:=]{}", host_address()),
            Self::Signal => {
                let names: Vec<String> = SIGNALS.iter().map(|name| any_case(name)).collect();
                format!(
                    "(?:{})?(?:{})|0*(?:{})",
                    any_case("SIG"),
                    names.join("|"),
                    between(1, 64)
                )
            }
            Self::Url | Self::HiddenUrl => "\\s*|https?://[^/\\s][^\\s]*".to_owned(),
            Self::HeaderName => HEADER_NAME.to_owned(),
            Self::HeaderValue => "[ -~]*".to_owned(),
            Self::TargetGroup => TARGET_GROUP.to_owned(),
            Self::HookName => "[A-Za-z0-9/_-]{1,255}|\\s*".to_owned(),
            Self::SocketAddress => format!("none|\\s*|(?:{V4}|\\[{}\\]):0*(?:{})", v6(), between(1, 65_535)),
            Self::Seccomp => format!("default|unconfined|(?:{PART})+"),
            Self::Limit => "(?:-1|[0-9]+)(?::(?:-1|[0-9]+))?".to_owned(),
            Self::LimitName => ULIMITS.join("|"),
            Self::MountOptions => "[^\\s]*".to_owned(),
            Self::Tmpfs => format!("(?:{})+(?::[^\\s]*)?", PART.replace("\\x9f]", "\\x9f:]")),
            Self::Device => device(),
            Self::Array => format!("/dev/md(?:[0-9]+|{})", without_blanks()),
            Self::DiskOptions => "[^\\u0000-\\u001f\\u007f-\\u009f\\\\]*".to_owned(),
            Self::Partition => format!("\\s*|none|{}", device()),
            Self::Variable => "[^=\\u0000]+".to_owned(),
            Self::Bucket => "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|\\s*".to_owned(),
            Self::SecretName => "[A-Za-z0-9_][A-Za-z0-9._-]{0,254}".to_owned(),
            Self::Registry => format!("(?:https?://)?{}(?:/.*)?", registry()),
            Self::Mirror => mirror(),
            Self::Region => "[a-z]+(?:-[a-z]+)+-[0-9]+".to_owned(),
            Self::Setting => "[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)+".to_owned(),
            Self::SysfsPath => SYSFS.to_owned(),
            Self::ImagePattern => image_pattern(),
            Self::RepositoryPattern => repository_pattern(),
            Self::KeyFile => format!("/etc/monopod(?:{PART})+"),
            Self::Day => "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])".to_owned(),
            Self::Certificates => {
                "[\\s\\S]*-----BEGIN CERTIFICATE-----[\\s\\S]*-----END CERTIFICATE-----[\\s\\S]*|\\s*"
                    .to_owned()
            }
            Self::Server => format!("(?:{SERVER_LABEL}\\.)*{SERVER_LABEL}\\.?|{}|\\s*", v6()),
            Self::LogPath => format!("(?:{PART})+"),
            Self::LogGroup => "[A-Za-z0-9._/#-]{1,512}|\\s*".to_owned(),
        };
        Some(format!("^(?:{inner})$"))
    }

    /// The words it knows, which an editor can offer.
    pub fn known(self) -> Vec<String> {
        let all = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Self::Capability | Self::CapabilityName => all(CAPABILITIES),
            Self::Signal => SIGNALS.iter().map(|name| format!("SIG{name}")).collect(),
            Self::LimitName => all(ULIMITS),
            Self::SysfsPath => all(&[SYSFS]),
            Self::Seccomp => all(&["default", "unconfined"]),
            _ => Vec::new(),
        }
    }

    /// What it looks like, in words that end a sentence: "a string: ...".
    pub fn words(self) -> &'static str {
        match self {
            Self::Any | Self::NotEmpty => "",
            Self::ApplicationId => {
                "lower-case letters, digits and dashes; begins with a letter, does not end in a dash"
            }
            Self::ApplicationVersion => {
                "letters, digits, dots, dashes and underscores, with a letter or digit first and last"
            }
            Self::Image => "an image reference with a tag that never moves, or a digest",
            Self::Port => "a port or a range, `/tcp` or `/udp` behind it",
            Self::HostPort => "a port or a range, an address before it, `/tcp` or `/udp` behind it",
            Self::Capability => "a name of capabilities(7), with or without CAP_",
            Self::CapabilityName => "a name of capabilities(7) in upper case, without CAP_",
            Self::Hostname => {
                "up to 63 letters, digits, dots and dashes, and no part begins or ends with a dash"
            }
            Self::User => "a uid, or uid:gid, in numbers",
            Self::Path => "an absolute path without `..`",
            Self::UrlPath => "begins with `/`, without blanks and `#`",
            Self::Address => "an IPv4 or IPv6 address",
            Self::HostAddress => "an IPv4 or IPv6 address, or `host-gateway`",
            Self::HostName => "a name without blanks",
            Self::HostEntry => "a name, a colon, and an address or `host-gateway`",
            Self::Signal => "the name of a signal, with or without SIG, or a number from 1 to 64",
            Self::Url | Self::HiddenUrl => "begins with `http://` or `https://`",
            Self::HeaderName => "letters, digits, dashes and a few other marks",
            Self::HeaderValue => "printable ASCII characters",
            Self::TargetGroup => "an ARN with `:targetgroup/`",
            Self::HookName => "up to 255 letters, digits, dashes, underscores and slashes",
            Self::SocketAddress => "an IP address, a colon and a port, or `none`",
            Self::Seccomp => "`default`, `unconfined` or an absolute path",
            Self::Regex => "a regular expression",
            Self::Rules => "a YAML list of such maps",
            Self::Limit => "a number, `soft:hard`, or -1 for unlimited",
            Self::LimitName => "a limit of setrlimit(2)",
            Self::MountOptions => "options with commas and no blanks",
            Self::Tmpfs => "an absolute path, a colon and options behind it",
            Self::Device => "a device below /dev",
            Self::Array => "an array's name below /dev/md/, or /dev/md and a number",
            Self::Partition => "a device below /dev, or `none`",
            Self::DiskOptions => "options with commas between them",
            Self::Variable => "not empty, without `=`",
            Self::Bucket => "3 to 63 lower-case letters, digits, dots and dashes, no two dots together",
            Self::SecretName => "letters, digits, dots, dashes and underscores, none of . and - in front",
            Self::Registry => "a host with its port, `https://` before it or not",
            Self::Mirror => "a host with its port, and perhaps a path",
            Self::Region => "the name of a region, such as eu-central-1",
            Self::Setting => "a name with dots or slashes, such as fs.file-max",
            Self::SysfsPath => "only /sys/kernel/mm/transparent_hugepage/enabled",
            Self::ImagePattern => "a registry, a slash and a repository, with `*` and `**`, without a tag",
            Self::RepositoryPattern => "a host, a slash and a path, with `*` and `**`, without a scheme",
            Self::KeyFile => "a file below /etc/monopod",
            Self::Day => "a day, as 2027-06-30",
            Self::Certificates => "certificates as PEM",
            Self::Server => "a DNS name or an IP address, without scheme and port",
            Self::LogPath => {
                "an absolute path without `..`; stars only as `*.log` at its end, and not `/var/log/*.log`"
            }
            Self::LogGroup => "up to 512 letters, digits and characters of . _ - / #",
        }
    }
}

fn device() -> String {
    format!("/dev(?:{})+", without_blanks())
}

fn without_blanks() -> String {
    PART.replace("\\x9f]", "\\x9f ]")
}

fn v6() -> String {
    const H: &str = "[0-9A-Fa-f]{1,4}";
    let mut forms = vec![format!("(?:{H}:){{7}}{H}"), format!("(?:{H}:){{1,7}}:")];
    forms.extend((1..=6).map(|after| format!("(?:{H}:){{1,{}}}(?::{H}){{1,{after}}}", 7 - after)));
    forms.push(format!(":(?::{H}){{1,7}}|::"));
    forms.push(format!("(?:{H}:){{6}}{V4}|::(?:{H}:){{0,5}}{V4}"));
    forms.extend((0..=4).map(|after| format!("(?:{H}:){{1,{}}}(?::{H}){{0,{after}}}:{V4}", 5 - after)));
    format!("(?:{})", forms.join("|"))
}

fn host_address() -> String {
    format!("\\[*(?:host-gateway|{V4}|{})\\]*", v6())
}

fn ports() -> String {
    let port = format!("0*(?:{})", between(1, 65_535));
    format!(
        "{port}(?:-{port})?(?:/(?:{}|{}))?",
        any_case("tcp"),
        any_case("udp")
    )
}

const COMPONENT: &str = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";

/// The first part of a path is a registry if it could not be a path; what is neither is refused.
fn image() -> String {
    const DOTLESS: &str = "[a-z0-9]+(?:(?:_|__|-+)[a-z0-9]+)*";
    const TAG: &str = ":[A-Za-z0-9_][A-Za-z0-9._-]{0,127}";
    const DIGEST: &str = "@(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})";
    let registry = registry();
    format!(
        "(?:(?:{registry}|{DOTLESS})/{COMPONENT}(?:/{COMPONENT})*|{COMPONENT})(?:{TAG}(?:{DIGEST})?|{DIGEST})"
    )
}

/// Host and port, and components in which no two stars stand together.
fn repository_pattern() -> String {
    let host = "(?:\\*\\.)?[A-Za-z0-9_-]+(?:\\.[A-Za-z0-9_-]+)*(?::[0-9]{1,5})?";
    let letters = "[A-Za-z0-9._~+-]+";
    let part = format!("(?:\\*\\*|\\*(?:{letters}\\*)*(?:{letters})?|{letters}(?:\\*{letters})*\\*?)");
    format!("(?:\\*\\*|{host}(?:/{part})+)")
}

fn image_pattern() -> String {
    const COMPONENT: &str = "(?:\\*\\*|\\*?[a-z0-9](?:[a-z0-9._-]|\\*[a-z0-9._-])*\\*?|\\*[a-z0-9._-]*\\*?)";
    const DOTLESS: &str = "localhost|[A-Za-z0-9-]*[A-Z][A-Za-z0-9-]*";
    let port = format!(":0*(?:{})", between(1, 65_535));
    let dotted = format!(
        "\\*\\.{LABEL}(?:\\.{LABEL})*|{LABEL}(?:\\.{LABEL})+|\\[{}\\]|{DOTLESS}",
        v6()
    );
    let registry = format!("(?:(?:{dotted})(?:{port})?|{LABEL}{port})");
    format!("\\*\\*|{registry}(?:/{COMPONENT})+")
}

fn mirror() -> String {
    format!("{}(?:/{COMPONENT})*", registry())
}

fn registry() -> String {
    let port = between(1, 65_535);
    format!("(?:{LABEL}(?:\\.{LABEL})*|\\[{}\\])(?::0*(?:{port}))?", v6())
}

/// The word in any case, for engines without flags.
pub(in crate::config) fn any_case(word: &str) -> String {
    word.chars()
        .map(|c| {
            if c.is_ascii_alphabetic() {
                format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase())
            } else {
                c.to_string()
            }
        })
        .collect()
}

/// The decimal numbers from `least` to `most`, without leading zeros.
pub(in crate::config) fn between(least: u32, most: u32) -> String {
    let (mut next, most) = (u64::from(least), u64::from(most));
    let mut forms = Vec::new();
    while next <= most {
        // The largest power of ten that a whole block of numbers can be counted in from here.
        let mut unit = 1;
        let mut digits = 0;
        while next > 0 && next.is_multiple_of(unit * 10) && next + unit * 10 - 1 <= most {
            unit *= 10;
            digits += 1;
        }
        let first = next / unit % 10;
        let blocks = (most + 1 - next) / unit;
        let last = (first + blocks - 1).min(9);
        let before = next / unit / 10;
        let mut form = if before > 0 {
            before.to_string()
        } else {
            String::new()
        };
        form.push_str(&if first == last {
            first.to_string()
        } else {
            format!("[{first}-{last}]")
        });
        if digits > 0 {
            form.push_str(&format!("[0-9]{{{digits}}}"));
        }
        forms.push(form);
        next += (last + 1 - first) * unit;
    }
    forms.join("|")
}
