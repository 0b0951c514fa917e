//! nft and ip, as programs.

use std::time::Duration;

use monopod_core::firewall::{Denied, ENDPOINT, TABLE};
use serde_json::Value;

use crate::host::command::{Command, CommandError};

/// nft answers within milliseconds; a machine that starts is slower.
const DEADLINE: Duration = Duration::from_secs(10);

fn nft() -> Command {
    Command::new("nft", DEADLINE)
}

/// Loads a text as one transaction.
pub(super) async fn load(text: &str) -> Result<(), CommandError> {
    nft().args(["-f", "-"]).input(text).succeed().await.map(drop)
}

/// Our table as the kernel has it, without counters; `None` where it has none.
pub(super) async fn listing() -> Result<Option<String>, CommandError> {
    let ended = nft().args(["-s", "list", "table", "inet", TABLE]).run().await?;
    match ended.code {
        0 => Ok(Some(ended.stdout)),
        _ if ended.stderr.contains("No such file or directory") => Ok(None),
        _ => Err(ended.failure()),
    }
}

/// Takes our table away, if there is one.
pub(super) async fn forget() -> Result<(), CommandError> {
    load(&format!("table inet {TABLE}\ndelete table inet {TABLE}\n")).await
}

/// What the counters of our table say; nothing where it has none.
pub(super) async fn counters() -> Result<Denied, CommandError> {
    let ended = nft()
        .args(["-j", "list", "counters", "table", "inet", TABLE])
        .run()
        .await?;
    Ok(counted(&ended.stdout))
}

fn counted(text: &str) -> Denied {
    let mut denied = Denied::default();
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let objects = json.get("nftables").and_then(Value::as_array);
    for counter in objects.into_iter().flatten().filter_map(|one| one.get("counter")) {
        let of = |key: &str| counter.get(key);
        let ours = of("table").and_then(Value::as_str) == Some(TABLE);
        let kind = of("name")
            .and_then(Value::as_str)
            .and_then(|name| name.strip_prefix("denied_"));
        let figure = kind.filter(|_| ours).and_then(|kind| denied.of(kind));
        if let (Some(figure), Some(packets)) = (figure, of("packets").and_then(Value::as_u64)) {
            *figure = packets;
        }
    }
    denied
}

/// The address that containers ask for credentials, on the loopback interface.
pub(super) async fn ensure_endpoint(there: bool) -> Result<(), CommandError> {
    let address = format!("{ENDPOINT}/32");
    let verb = if there { "replace" } else { "del" };
    let ended = Command::new("ip", DEADLINE)
        .args(["address", verb, &address, "dev", "lo"])
        .run()
        .await?;
    match ended.code {
        0 => Ok(()),
        // It was not there.
        _ if !there => Ok(()),
        _ => Err(ended.failure()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_our_table_alone() {
        let text = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
            {"counter": {"family": "inet", "name": "denied_egress", "table": "monopod", "handle": 2, "packets": 7, "bytes": 420}},
            {"counter": {"family": "inet", "name": "denied_ingress", "table": "monopod", "handle": 3, "packets": 1, "bytes": 60}},
            {"counter": {"family": "inet", "name": "denied_metadata", "table": "other", "handle": 3, "packets": 9, "bytes": 60}}]}"#;
        let wanted = Denied {
            metadata: 0,
            egress: 7,
            ingress: 1,
        };
        assert_eq!(counted(text), wanted);
        assert_eq!(counted("nonsense"), Denied::default());
    }
}
