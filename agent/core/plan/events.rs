//! Notices: where they are pushed, and what that asks of AWS.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::{AwsCall, Plan};
use crate::logs::LogKey;
use crate::notice::header_key;
use crate::text;

const PUT_EVENTS: &str = "events:PutEvents";

impl Plan {
    pub(super) fn events_calls(&self, calls: &mut Vec<AwsCall>) {
        let Some(events) = &self.events else { return };
        for (name, key) in &events.headers {
            if let LogKey::Stored(reference) = key {
                self.late_call(calls, &reference.source, &header_key(name));
            }
        }
        let Some(bus) = &events.event_bus else { return };
        let resource = match bus.starts_with("arn:") {
            true => bus.clone(),
            false => format!("{}:event-bus/{bus}", self.arn("events")),
        };
        calls.push(AwsCall {
            action: PUT_EVENTS,
            resource,
            times: 0,
            why: "tell what happens on the machine".to_owned(),
        });
    }

    /// The section of a plan's text.
    pub(super) fn write_events(&self, out: &mut String) -> fmt::Result {
        let Some(events) = &self.events else {
            return Ok(());
        };
        writeln!(out, "\nEvents, pushed until they are taken")?;
        if let Some(webhook) = events.shown_webhook() {
            let headers: Vec<String> = events
                .headers
                .iter()
                .map(|(name, key)| format!(", {}", super::render::key_text(key, name)))
                .collect();
            let value = format!("{webhook}{}", headers.concat());
            writeln!(out, "  {:<18} {}", "webhook", text::printable(&value))?;
        }
        if let Some(bus) = &events.event_bus {
            writeln!(out, "  {:<18} {}", "event_bus", text::printable(bus))?;
        }
        Ok(())
    }

    /// For programs.
    pub(super) fn events_json(&self) -> Value {
        json!(self.events.as_ref().map(|events| json!({
            "webhook": events.shown_webhook(),
            "headers": events
                .headers
                .iter()
                .map(|(name, key)| (name.clone(), json!(super::render::key_text(key, name))))
                .collect::<serde_json::Map<_, _>>(),
            "event_bus": events.event_bus,
        })))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;
    use crate::notice::EventsPlan;
    use crate::plan::Plan;

    fn plan(lines: &str) -> Plan {
        let text = format!(
            "#taupage-ami-config\napplication_id: app\napplication_version: '1'\nsource: registry.example.org/team/app:1\n{lines}"
        );
        let report = parse(text.as_bytes(), "user data");
        Plan::new(report.config().unwrap(), Vec::new(), None)
    }

    #[test]
    fn a_webhook_is_used_and_not_shown_and_neither_are_its_headers() {
        let plan = plan(
            "events: {webhook: https://h.example.org/hunter2-path, headers: {X-A: hunter2-header, X-B: aws:ssm:/b}, event_bus: ops}",
        );
        let shown = format!("{} {} {:?}", plan.to_text(), plan.to_json(), plan.events);
        assert_eq!(
            shown.matches("hunter2").count(),
            1,
            "the plan's own field alone: {shown}"
        );
        assert!(
            plan.to_text().contains(
                "  webhook            https://h.example.org/..., X-A from `events.headers.X-A` of the user data, X-B from <the parameter /b>\n  event_bus          ops\n"
            ),
            "{}",
            plan.to_text()
        );
        let calls: Vec<(&str, String)> = plan
            .aws_calls()
            .into_iter()
            .map(|call| (call.action, call.resource))
            .collect();
        assert_eq!(
            calls,
            [
                ("ssm:GetParameter", "arn:*:ssm:*:*:parameter/b".to_owned()),
                ("events:PutEvents", "arn:*:events:*:*:event-bus/ops".to_owned()),
            ]
            .map(|(action, resource)| (action, resource.replace("arn:*", "arn:aws")))
        );
        assert!(plan.every_use().is_empty(), "no step fetches them");
        let json = serde_json::to_string(&plan.events).unwrap();
        assert_eq!(
            serde_json::from_str::<Option<EventsPlan>>(&json).unwrap(),
            plan.events
        );
    }

    #[test]
    fn who_asks_for_nothing_pushes_nothing() {
        assert_eq!(plan("").events, None);
        let only = plan("events: {headers: {A: b}}");
        assert_eq!(only.events, None);
        assert!(!only.to_text().contains("Events"));
    }

    #[test]
    fn a_bus_with_an_arn_says_its_region() {
        let arn = "arn:aws:events:us-east-1:123456789012:event-bus/ops";
        let plan = plan(&format!("events: {{event_bus: '{arn}'}}"));
        assert_eq!(plan.events.as_ref().unwrap().bus_region(), Some("us-east-1"));
        assert_eq!(plan.aws_calls()[0].resource, arn);
        assert_eq!(
            super::super::Plan::events_json(&plan)["event_bus"],
            serde_json::json!(arn)
        );
    }

    #[test]
    fn the_container_is_the_same_with_and_without() {
        assert_eq!(plan("").intent, plan("events: {event_bus: ops}").intent);
    }
}
