//! Secrets: where they come from, how they reach the container, how they stay fresh.

use super::Fate::Read;
use super::Shape::{Choice, Either, Flag, Map, Object, Reference, Text, Time};
use super::{Grammar, Key};

const REFRESH: &[Key] = &[
    Key::new(
        "interval",
        Time { least: 1, most: 86_400 },
        Read,
        "How long between two fetches of `secrets` from Parameter Store and Secrets Manager, up to a tenth more or less. What KMS decrypts does not change; `mint_bucket` has two minutes of its own.",
    )
    .default("5m")
    .example("interval: 10m"),
    Key::new(
        "on_change",
        Either(&[Choice(&["none", "restart"]), Text(Grammar::Signal)]),
        Read,
        "What happens to the container when a file has changed: nothing, a signal, or a restart as `stop_signal` and `stop_timeout` say.",
    )
    .default("none")
    .example("on_change: SIGHUP"),
    Key::new(
        "max_age",
        Time { least: 2, most: 2_592_000 },
        Read,
        "How old values may become that cannot be fetched again before the machine counts as unhealthy.",
    )
    .default("any age; the status shows it")
    .example("max_age: 1h"),
];

pub(super) const KEYS: &[Key] = &[
    Key::new("secrets", Map { key: "the file's name", names: Grammar::SecretName, value: &Reference }, Read, "Secrets as files below /run/secrets, in memory, readable to the container's user alone, 64 at most. Each is a reference: `aws:kms:` and a ciphertext, `aws:ssm:` and a parameter, or `aws:secretsmanager:` and a secret; `?key=` picks one value out of a JSON document.")
        .default("none")
        .ours("New. Unlike variables, files are in no file of the engine's, in no `docker inspect`, and can be fetched again while the container runs.")
        .example("secrets:\n  db_password: aws:ssm:/my-app/db-password\n  api_key: aws:secretsmanager:my-app/api?key=token"),
    Key::new("encryption_context", Map { key: "the name", names: Grammar::Any, value: &Text(Grammar::NotEmpty) }, Read, "The encryption context of every `aws:kms:` value that has none of its own (`aws:kms:<base64>?context.NAME=VALUE`).")
        .default("none")
        .example("encryption_context:\n  application: my-app"),
    Key::new("refresh", Object(REFRESH), Read, "Fetches `secrets` again while the container runs. All files change at one moment; while AWS does not answer, the last ones stay. `on_change` and `max_age` hold for the credentials of `mint_bucket` too.")
        .default("`secrets` stay as they were at the boot")
        .example("refresh:\n  interval: 10m\n  on_change: SIGHUP\n  max_age: 1h"),
    Key::new("keep_secrets", Flag, Read, "Keeps a copy of what is below /run/secrets and /meta/credentials, and of references in `files`, on the disk, encrypted with a key of this machine that lies beside it, for a reboot while AWS is away. Without it such a reboot waits, as long as the boot budget lasts. A copy stands in for an AWS that does not answer and for a value that is broken there, not for a refusal: that ends the boot. What came from a copy is fetched again as soon as AWS answers; texts of `files` at the next boot of the machine.")
        .default("false for `secrets`, true for `mint_bucket`")
        .example("keep_secrets: true"),
    Key::new("mint_bucket", Text(Grammar::Bucket), Read, "The S3 bucket with the application's own OAuth credentials, `<application_id>/user.json` and `client.json`: kept fresh below CREDENTIALS_DIR, which is /meta/credentials.")
        .default("none")
        .taupage("Copied to /meta/credentials every two minutes; a failure at boot was ignored.")
        .ours("The same, every two minutes up to a tenth more or less. Credentials that are missing at the first boot end it: an app without them cannot work.")
        .example("mint_bucket: my-mint-bucket"),
];
