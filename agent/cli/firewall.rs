//! `monopod firewall`: the unit that holds the rules, and the rules in words.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use monopod_core::firewall::{Denied, Order, Resolved, SOCKET, UNIT};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{pretty, print};
use crate::boot::error::{EXIT_PERMANENT, EXIT_TRANSIENT};
use crate::firewall;
use crate::host::{Class, Classified, chain, local};

/// One answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Rules for the container's traffic.
#[derive(Debug, Args)]
pub(super) struct FirewallArgs {
    #[command(subcommand)]
    command: What,
    /// Where the unit is asked
    #[arg(long, global = true, value_name = "SOCKET", default_value = SOCKET)]
    socket: PathBuf,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Hold the rules, and load them again whenever somebody takes them away (a unit of its own, with CAP_NET_ADMIN)
    Serve {
        /// Where the rules are remembered until the machine goes down (tmpfs)
        #[arg(
            long,
            value_name = "DIR",
            default_value = "/run/monopod-firewall",
            env = "RUNTIME_DIRECTORY"
        )]
        runtime_directory: PathBuf,
    },
    /// Show what may come to the container and what may leave it, and how many packets were refused; exits 1 when no rules are
    /// loaded
    Show {
        /// For programs
        #[arg(long)]
        json: bool,
    },
}

/// Runs it; the exit code.
pub(super) fn firewall(args: FirewallArgs) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start the asynchronous runtime: {error}");
            return EXIT_TRANSIENT;
        }
    };
    let code = match args.command {
        What::Serve { runtime_directory } => {
            let options = firewall::Options {
                socket: args.socket,
                directory: runtime_directory,
                activated: std::env::var_os("LISTEN_FDS").is_some(),
            };
            runtime
                .block_on(firewall::serve(&options))
                .map_or_else(|error| failed(&error), |()| 0)
        }
        What::Show { json } => runtime.block_on(show(&args.socket, json)),
    };
    // A name server that never answers must not hold up the exit.
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

fn failed(error: &impl Classified) -> u8 {
    tracing::error!("{}", chain(error));
    match error.class() {
        Class::Permanent => EXIT_PERMANENT,
        Class::Transient | Class::Throttled => EXIT_TRANSIENT,
    }
}

/// What the unit says.
#[derive(Deserialize)]
struct Shown {
    order: Option<Order>,
    resolved: Resolved,
    denied: Denied,
    loaded: bool,
}

async fn show(socket: &std::path::Path, as_json: bool) -> u8 {
    let question = json!({ "op": "show" });
    let answer = match local::ask(socket, UNIT, &question, Instant::now() + ANSWER).await {
        Ok(answer) => answer,
        Err(error) => return failed(&error),
    };
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        tracing::error!("{error}");
        return EXIT_PERMANENT;
    }
    let shown: Shown = match serde_json::from_value(answer.clone()) {
        Ok(shown) => shown,
        Err(error) => {
            tracing::error!("the firewall's unit is of another version: {error}");
            return EXIT_PERMANENT;
        }
    };
    if as_json {
        print(&pretty(&answer));
    } else {
        print(&text(&shown));
    }
    u8::from(!shown.loaded)
}

fn text(shown: &Shown) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    match &shown.order {
        None => rows.push(("rules", "none: nobody asked for any in this boot".to_owned())),
        Some(order) => {
            let state = if shown.loaded {
                "loaded"
            } else {
                "not as they have to be; `journalctl -u monopod-firewall` says why"
            };
            rows.push(("rules", state.to_owned()));
            rows.extend(order.plan.rows());
            if order.plan.egress.is_some() {
                rows.push(("name servers", list(&order.surroundings.resolvers)));
            }
        }
    }
    let mut out = String::new();
    let mut row = |key: &str, value: &str| out.push_str(&format!("{key:<18} {value}\n"));
    for (key, value) in &rows {
        row(key, value);
    }
    for (name, addresses) in &shown.resolved {
        row(name, &list(addresses));
    }
    for (kind, packets) in shown.denied.each() {
        row(&format!("refused, {kind}"), &packets.to_string());
    }
    out
}

fn list<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> String {
    let all: Vec<String> = addresses.into_iter().map(ToString::to_string).collect();
    if all.is_empty() {
        "none".to_owned()
    } else {
        all.join(", ")
    }
}
