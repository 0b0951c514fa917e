//! What `monopod status --json` and `/status` print, as a JSON Schema: a promise to programs.
//!
//! Written by hand, so that each field has its sentence; tests hold it against records with something in every field.
//! Fields may be added; what changes its meaning changes [`super::SCHEMA`].

use serde_json::{Map, Value, json};

use super::SCHEMA;
use crate::lifecycle::DrainPhase;
use crate::plan::StepId;
use crate::plan::sets::SetName;
use crate::trace::VerdictName;

/// The schema of the status.
pub fn schema() -> Value {
    let mut all = object(
        "How a machine stands that monopod looks after. Times are milliseconds since the epoch.",
        &[
            (
                "schema",
                constant("Changes when a field changes its meaning.", &SCHEMA.into()),
            ),
            ("agent_version", text("The agent that wrote it.")),
            ("agent_pid", number("Its process id.")),
            ("agent_started_at", number("When it started.")),
            ("agent_running", flag("Whether it still runs.")),
            ("written_at", number("When it wrote this.")),
            (
                "healthy",
                flag(
                    "Nothing is wrong: it serves, has done its job, or waits in a warm pool. The exit code says the same.",
                ),
            ),
            (
                "ready",
                flag("It may be given work: the container runs, the gate is passed, and it is not leaving."),
            ),
            ("reason", text("Why it is not, or what it does.")),
            ("application", or_null(application())),
            ("facts", or_null(facts())),
            ("outcome", outcome()),
            (
                "steps",
                list("The boot's steps in their order, those that have begun.", step()),
            ),
            ("container", or_null(container())),
            ("health", or_null(health())),
            (
                "secrets",
                list("The sets of secret files that the container has.", set()),
            ),
            (
                "trust",
                or_null(text("What was verified of its image, by this agent.")),
            ),
            ("trace", or_null(trace())),
            (
                "verdicts",
                list(
                    "What follows from `trace` by the policy of the machine's image, but for what it ignores.",
                    verdict(),
                ),
            ),
            (
                "opt_outs",
                list("The keys that open what is closed by default.", text("A key.")),
            ),
            (
                "config_hash",
                or_null(text(
                    "What the container is recognised by: the hash of user data, layers and digest.",
                )),
            ),
            (
                "logs",
                json!({"description": "Log shipping; null until it has begun.", "oneOf": [{"type": "null"}, list("A row a sink and source.", sink())]}),
            ),
            (
                "warnings",
                list("The newest warnings, oldest first.", text("One sentence.")),
            ),
        ],
    );
    if let Some(map) = all.as_object_mut() {
        map.insert(
            "$schema".to_owned(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        map.insert("title".to_owned(), "monopod status".into());
    }
    all
}

fn application() -> Value {
    object(
        "Who runs here.",
        &[
            ("id", text("`application_id`.")),
            ("version", text("`application_version`.")),
        ],
    )
}

fn facts() -> Value {
    let facts = object(
        "The machine.",
        &[
            ("instance_id", text("The instance.")),
            ("region", text("Its region.")),
            ("availability_zone", text("Its zone.")),
            ("account_id", text("Its account.")),
        ],
    );
    let launched = number("When it was launched or started, in seconds since the epoch.");
    [
        ("image_id", text("Its image.")),
        ("instance_type", text("Its type.")),
        ("local_ipv4", text("Its private address.")),
        ("public_ipv4", text("Its public address.")),
        ("pending_time", launched),
    ]
    .into_iter()
    .fold(facts, |facts, (name, shape)| with_optional(facts, name, shape))
}

fn trace() -> Value {
    let file = json!({
        "description": "What came of reading /scm-source.json in the image.",
        "oneOf": [
            object("There is none.", &[("state", constant("There is none.", &"missing".into()))]),
            object("It cannot be used, or not all of it.", &[
                ("state", constant("It cannot be used.", &"invalid".into())),
                ("reason", text("Why.")),
            ]),
            object("It was read.", &[("state", constant("It was read.", &"read".into()))]),
        ],
    });
    let ami = object(
        "What /etc/monopod/image.json says of the machine's image.",
        &[
            ("name", or_null(text("Its name."))),
            ("version", or_null(text("Its version, where it has one."))),
            ("built", or_null(text("When it was built."))),
            ("commit", or_null(text("From which commit."))),
            ("expires", or_null(text("Until when it may be used."))),
            ("problem", or_null(text("Why it could not be read."))),
        ],
    );
    let labels = json!({
        "type": "object",
        "description": "The image's labels org.opencontainers.image.*, without that prefix; each cut to 256 characters.",
        "additionalProperties": {"type": "string"},
    });
    object(
        "Where what runs comes from.",
        &[
            (
                "commit",
                or_null(text("The commit that the image was built from, as it says.")),
            ),
            (
                "source_url",
                or_null(text("Where that commit lies, without a login.")),
            ),
            ("author", or_null(text("Who built it."))),
            (
                "scm_status",
                or_null(text("What was not committed then; empty is nothing.")),
            ),
            ("scm_source", file),
            ("digest", or_null(text("The digest that runs."))),
            (
                "image_created",
                or_null(number("When the image was built, in seconds since the epoch.")),
            ),
            ("labels", labels),
            (
                "ami_id",
                or_null(text("The image that the machine was launched from.")),
            ),
            ("ami", or_null(ami)),
            ("application", or_null(application())),
            ("deployment_id", or_null(text("Names the deployment."))),
            (
                "opt_outs",
                list("The keys that open what is closed by default.", text("A key.")),
            ),
        ],
    )
}

fn verdict() -> Value {
    let rule = object(
        "Where the rule stands.",
        &[("file", text("The policy's file.")), ("line", number("From 1."))],
    );
    object(
        "One verdict.",
        &[
            (
                "name",
                words("Which.", VerdictName::ALL.iter().map(ToString::to_string)),
            ),
            (
                "level",
                words(
                    "What follows: it is told, or the container was not started.",
                    ["warn", "deny"].map(str::to_owned),
                ),
            ),
            ("found", text("What was found.")),
            ("rule", or_null(rule)),
        ],
    )
}

fn outcome() -> Value {
    let state = |name: &str, what: &str, more: &[(&str, Value)]| {
        let mut fields = vec![("state", constant(what, &name.into()))];
        fields.extend(more.iter().cloned());
        object(what, &fields)
    };
    let since = || ("since", number("Since when."));
    let reason = || ("reason", text("Why, and what to do."));
    let phases = [
        DrainPhase::Leave,
        DrainPhase::Stop,
        DrainPhase::Flush,
        DrainPhase::Hook,
        DrainPhase::Done,
    ];
    let phase = words("How far it is.", phases.iter().map(ToString::to_string));
    json!({
        "description": "Where the machine stands.",
        "oneOf": [
            state("booting", "The boot goes on.", &[]),
            state("ready", "The machine counts as up.", &[since()]),
            state("completed", "The container ended and stays ended, as `restart` says.", &[since()]),
            state("degraded", "The agent is there, the container is not as it should be.", &[since(), reason()]),
            state("failed", "The agent gave up.", &[since(), reason(), ("exit_code", number("What it exited with."))]),
            state("stopped", "The agent was stopped; the container was left as it was.", &[since()]),
            state("warm", "It waits in a warm pool.", &[since()]),
            state("draining", "It is leaving.", &[since(), ("phase", phase), reason()]),
            state("drained", "The container is stopped and the lines are out.", &[since(), reason()]),
        ],
    })
}

fn step() -> Value {
    object(
        "One step of the boot.",
        &[
            (
                "step",
                words("Which.", StepId::ALL.iter().map(ToString::to_string)),
            ),
            (
                "state",
                words(
                    "How it stands.",
                    ["running", "done", "skipped", "failed"].map(str::to_owned),
                ),
            ),
            (
                "started_ms",
                number("When it began, in milliseconds after the agent's start."),
            ),
            (
                "took_ms",
                or_null(number(
                    "How long it took, in milliseconds; null while it goes on.",
                )),
            ),
            ("retries", number("How often something was tried again.")),
            ("detail", text("What it does, how far it is, or what came of it.")),
        ],
    )
}

fn exit() -> Value {
    let exit = object(
        "How it ended.",
        &[
            (
                "code",
                json!({"type": "integer", "description": "The exit code; 128 + n for signal n."}),
            ),
            ("out_of_memory", flag("The kernel ended it for its memory limit.")),
        ],
    );
    with_optional(exit, "memory_limit", number("The limit in bytes, where known."))
}

fn container() -> Value {
    let restart = object(
        "One restart.",
        &[
            ("at", number("When it was started again.")),
            ("after", or_null(exit())),
        ],
    );
    let states = ["running", "ended", "restarting", "unknown"].map(str::to_owned);
    object(
        "The container.",
        &[
            ("id", text("The engine's id.")),
            ("image", text("The image as the user wrote it.")),
            ("digest", text("The digest that runs.")),
            ("started_at", or_null(number("When it was started last."))),
            ("state", words("What it does, as far as the agent knows.", states)),
            ("adopted", flag("It was there before this agent.")),
            ("restarts", number("How often this agent started it again.")),
            ("restarted", list("The newest restarts, oldest first.", restart)),
            ("last_exit", or_null(exit())),
            ("last_exit_at", or_null(number("When."))),
        ],
    )
}

fn health() -> Value {
    let turn = object(
        "The probes began to say something else.",
        &[
            ("at", number("When.")),
            ("healthy", flag("What they said from then on.")),
            ("text", text("Why.")),
        ],
    );
    object(
        "What the probes say since the machine is up.",
        &[
            ("healthy", flag("What they say now, or said last.")),
            (
                "heard",
                flag("They were heard since the container was started last."),
            ),
            ("since", number("Since when.")),
            ("text", text("The answer that said so.")),
            ("history", list("The newest changes, oldest first.", turn)),
        ],
    )
}

fn set() -> Value {
    let file = object(
        "One file, without what is in it.",
        &[
            ("name", text("Its name.")),
            ("source", text("Where its value comes from.")),
        ],
    );
    object(
        "Files that change together.",
        &[
            (
                "set",
                words("Which.", SetName::ALL.iter().map(ToString::to_string)),
            ),
            ("files", list("Its files.", file)),
            (
                "delivered_at",
                or_null(number("When the container got what it has now.")),
            ),
            ("fetched_at", or_null(number("When a fetch worked last."))),
            ("last_error", or_null(text("Why the last fetch did not work."))),
            (
                "stale_since",
                or_null(number("Since when fetches have not worked.")),
            ),
            (
                "unhealthy",
                flag("That has been so for longer than `max_age` allows."),
            ),
        ],
    )
}

fn sink() -> Value {
    let trouble = |kind: &str, what: &str| {
        object(
            what,
            &[
                ("kind", constant(what, &kind.into())),
                (
                    "since",
                    number("The first failure of this outage, in seconds since the epoch."),
                ),
                ("error", text("Why.")),
            ],
        )
    };
    let ok = "It takes lines, or waits for some.";
    let state = json!({
        "description": "What it does now.",
        "oneOf": [
            object(ok, &[("kind", constant(ok, &"ok".into()))]),
            trouble("retrying", "It can't deliver and tries again."),
            trouble("refused", "It was told no, and somebody has to change something first."),
        ],
    });
    let sink = object(
        "One sink's figures since this agent started.",
        &[
            ("name", text("The sink.")),
            ("stream", text("The stream of the machine.")),
            ("target", text("Where lines go.")),
            (
                "guarantee",
                words(
                    "What `delivered` means.",
                    ["acknowledged", "best-effort"].map(str::to_owned),
                ),
            ),
            ("delivered", number("Lines handed over.")),
            ("delivered_bytes", number("Bytes of their text.")),
            ("excluded", number("Lines left out, as the user data says.")),
            ("cut", number("Lines cut because they were too long.")),
            ("lost", number("Lines known to be lost.")),
            (
                "lost_exact",
                flag("False when more may have been lost than `lost` says."),
            ),
            ("garbage", number("Records in the spool that were no records.")),
            (
                "behind_bytes",
                number("Bytes of the spool that wait for this sink."),
            ),
            ("failures", number("Attempts that failed.")),
            (
                "last_line",
                or_null(text("The time of the last line handed over.")),
            ),
            ("state", state),
            (
                "last_error",
                or_null(text("The last error, kept after it went away.")),
            ),
        ],
    );
    let origin = text("The file the lines come from, if it isn't the container.");
    with_optional(sink, "origin", origin)
}

/// All of these fields, each of which is there; others may be added.
fn object(what: &str, fields: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> = fields
        .iter()
        .map(|(name, shape)| ((*name).to_owned(), shape.clone()))
        .collect();
    json!({"type": "object", "description": what, "required": required, "properties": properties})
}

/// A field that is left out where nothing is known.
fn with_optional(mut of: Value, name: &str, shape: Value) -> Value {
    if let Some(fields) = of.get_mut("properties").and_then(Value::as_object_mut) {
        fields.insert(name.to_owned(), shape);
    }
    of
}

fn list(what: &str, of: Value) -> Value {
    json!({"type": "array", "description": what, "items": of})
}

fn or_null(shape: Value) -> Value {
    json!({"anyOf": [shape, {"type": "null"}]})
}

fn text(what: &str) -> Value {
    json!({"type": "string", "description": what})
}

fn number(what: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": what})
}

fn flag(what: &str) -> Value {
    json!({"type": "boolean", "description": what})
}

fn constant(what: &str, value: &Value) -> Value {
    json!({"const": value, "description": what})
}

fn words(what: &str, all: impl IntoIterator<Item = String>) -> Value {
    json!({"enum": all.into_iter().collect::<Vec<_>>(), "description": what})
}

#[cfg(test)]
mod tests;
