//! What AWS knows of one machine's life, as a test sets it up and reads it: stacks that wait for a signal, an Auto
//! Scaling group with its hooks, metrics. Load balancers are in `aws_balancers.rs`.
//!
//! Nothing is there until a test has made it. What AWS then does is in `aws_lifecycle.py`, in its head; faults by
//! operation ([`crate::AwsFault`]) hold for all of it, for requests that the instance signs too (they have no access key,
//! and are known by the instance id in their document). In short:
//!
//! ```no_run
//! use std::time::Duration;
//! use monopod_testrig::{Balanced, Group, Machine};
//!
//! let machine = Machine::acquire();
//! machine.aws().stack("shop-7", "AppServer");
//! let arn = machine.aws().target_group("shop", Balanced::new().initial(2));
//! machine.aws().group(Group::new("shop-asg").launch_hook("booted").terminate_hook("leaving").balancer(&arn));
//! // ... an agent boots: the target is unused until the hook `booted` is completed, then initial twice, then healthy.
//! let signal = machine.aws().wait_for_signal(Duration::from_secs(30));
//! assert_eq!((signal.status.as_str(), machine.aws().group_state().as_str()), ("SUCCESS", "InService"));
//! machine.aws().begin_termination();
//! machine.imds().target_state(Some("Terminated"));
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::aws::{Aws, Standin};
use crate::identity::Identity;
use crate::wait::wait_until;

/// A call of SignalResource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackSignal {
    /// The stack as it was named.
    pub stack: String,
    /// The logical id.
    pub resource: String,
    /// The unique id.
    pub unique_id: String,
    /// `SUCCESS` or `FAILURE`.
    pub status: String,
    /// `instance` for the identity document, `role` for Signature Version 4.
    pub signer: String,
    /// Whether CloudFormation had this unique id already: accepted, and ignored.
    pub again: bool,
    /// Why it was refused.
    pub refusal: Option<String>,
    /// When.
    pub at: SystemTime,
}

/// A call of CompleteLifecycleAction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookCompletion {
    /// The group it named.
    pub group: String,
    /// The hook.
    pub hook: String,
    /// The instance.
    pub instance: String,
    /// `CONTINUE` or `ABANDON`.
    pub result: String,
    /// Why it was refused: at most one completion of a wait is not.
    pub refusal: Option<String>,
    /// When.
    pub at: SystemTime,
}

/// A call of RecordLifecycleActionHeartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookHeartbeat {
    /// The group it named.
    pub group: String,
    /// The hook.
    pub hook: String,
    /// Why it was refused.
    pub refusal: Option<String>,
    /// When.
    pub at: SystemTime,
}

/// A call of SetInstanceHealth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthReport {
    /// The instance.
    pub instance: String,
    /// `Healthy` or `Unhealthy`.
    pub status: String,
    /// ShouldRespectGracePeriod; AWS takes it for true when it is not there.
    pub respects_grace: bool,
    /// Whether the instance is a member of the group.
    pub known: bool,
    /// When.
    pub at: SystemTime,
}

/// A datum of PutMetricData.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its value; `None` where it has a set of them.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: Option<String>,
    /// Its dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// When.
    pub at: SystemTime,
}

/// An Auto Scaling group with this machine in it.
#[derive(Clone, Debug)]
pub struct Group {
    order: Value,
}

impl Group {
    /// This machine alone, healthy and in service.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let order = json!({
            "do": "group", "name": name, "state": "InService", "healthy": true, "hooks": {}, "waiting": [],
            "others": {}, "desired": 1, "target_groups": [], "balancers": [], "grace": false,
        });
        Self { order }
    }

    /// With a hook that keeps this machine in `Pending:Wait` until it is completed.
    #[must_use]
    pub fn launch_hook(mut self, name: &str) -> Self {
        self.order["hooks"][name] = json!("launch");
        self.order["state"] = json!("Pending:Wait");
        list(&mut self.order["waiting"]).push(json!(name));
        self
    }

    /// With a hook for leaving machines; it waits from [`Aws::begin_termination`] on.
    #[must_use]
    pub fn terminate_hook(mut self, name: &str) -> Self {
        self.order["hooks"][name] = json!("terminate");
        self
    }

    /// With this machine in another lifecycle state: `Warmed:Pending:Wait`, `Standby`. While it begins with `Pending` or
    /// `Warmed` no load balancer has the machine.
    #[must_use]
    pub fn state(mut self, state: &str) -> Self {
        self.order["state"] = json!(state);
        self
    }

    /// With another member; the group's desired capacity grows by one.
    #[must_use]
    pub fn other(mut self, instance: &str, healthy: bool, state: &str) -> Self {
        self.order["others"][instance] = json!({"healthy": healthy, "state": state});
        self.order["desired"] = json!(self.order["desired"].as_u64().unwrap_or(0) + 1);
        self
    }

    /// With this desired capacity.
    #[must_use]
    pub fn desired(mut self, count: u32) -> Self {
        self.order["desired"] = json!(count);
        self
    }

    /// With a load balancer: the ARN of a target group, or a classic one's name.
    #[must_use]
    pub fn balancer(mut self, key: &str) -> Self {
        let field = if key.starts_with("arn:") {
            "target_groups"
        } else {
            "balancers"
        };
        list(&mut self.order[field]).push(json!(key));
        self
    }

    /// In the grace period: SetInstanceHealth that respects it changes nothing.
    #[must_use]
    pub fn in_grace_period(mut self) -> Self {
        self.order["grace"] = json!(true);
        self
    }
}

fn list(value: &mut Value) -> &mut Vec<Value> {
    value.as_array_mut().expect("it was made as a list")
}

/// Tells the stand-in who signs with a document.
pub(crate) fn identify(standin: &Standin, access_key: &str, identity: &Identity) {
    let order = json!({
        "access_key": access_key, "do": "identity", "instance": identity.instance_id,
        "document": BASE64.encode(identity.document()), "signature": identity.signature(),
    });
    standin.call("POST", "/_test/life", &order);
}

impl Aws {
    /// Who the machine is: for clients without a machine. A machine's own metadata service tells by itself, each time it
    /// changes.
    pub fn identify(&self, identity: &Identity) {
        identify(self.standin, &self.access_key, identity);
    }

    pub(crate) fn life(&self, mut order: Value) -> Value {
        order["access_key"] = json!(self.access_key);
        self.standin.call("POST", "/_test/life", &order)
    }

    pub(crate) fn noted<T>(&self, kind: &str, read: impl Fn(&Value) -> T) -> Vec<T> {
        let journal = self.life(json!({"do": "journal"}));
        let entries = journal[kind].as_array().map(Vec::as_slice).unwrap_or_default();
        entries.iter().map(read).collect()
    }

    /// Makes a stack that waits for signals of this resource; for a stack that is there, one more resource.
    pub fn stack(&self, stack: &str, resource: &str) {
        self.life(
            json!({"do": "stack", "stack": stack, "resource": resource, "state": "CREATE_IN_PROGRESS"}),
        );
    }

    /// Changes a stack's state: only one that ends in `_IN_PROGRESS` can be signalled.
    pub fn stack_state(&self, stack: &str, state: &str) {
        self.life(json!({"do": "stack", "stack": stack, "resource": null, "state": state}));
    }

    /// All calls of SignalResource that came through, refused ones too.
    #[must_use]
    pub fn signals(&self) -> Vec<StackSignal> {
        self.noted("signals", |value| StackSignal {
            stack: text(&value["stack"]),
            resource: text(&value["resource"]),
            unique_id: text(&value["unique"]),
            status: text(&value["status"]),
            signer: text(&value["signer"]),
            again: value["again"] == true,
            refusal: refusal(value),
            at: at(value),
        })
    }

    /// Waits for the first signal.
    #[must_use = "it says whether all went well"]
    pub fn wait_for_signal(&self, within: Duration) -> StackSignal {
        wait_until(within, || self.signals().into_iter().next())
            .unwrap_or_else(|| panic!("rig: no signal within {within:?}; calls: {:#?}", self.calls()))
    }

    /// The address of a wait condition's handle, as this machine's network has it. It takes PUT without a
    /// `Content-Type` and nothing else; its operation for faults is `WaitHandle`.
    #[must_use]
    pub fn wait_handle(&self, name: &str) -> String {
        format!(
            "{}/_wait/{}/{name}?X-Amz-Signature=0",
            self.endpoint(),
            self.access_key
        )
    }

    /// What a handle has got, in this order.
    #[must_use]
    pub fn handle_bodies(&self, name: &str) -> Vec<String> {
        let all = self.noted("handles", |value| (text(&value["name"]), text(&value["body"])));
        all.into_iter()
            .filter_map(|(of, body)| (of == name).then_some(body))
            .collect()
    }

    /// Puts this machine into a group, and out of the one it was in.
    pub fn group(&self, group: Group) {
        self.life(group.order);
    }

    /// This machine's lifecycle state in its group: `Pending:Wait`, `InService`, `Terminating:Proceed`.
    #[must_use]
    pub fn group_state(&self) -> String {
        text(&self.life(json!({"do": "journal"}))["group"]["state"])
    }

    /// Whether this machine is healthy in its group.
    #[must_use]
    pub fn group_healthy(&self) -> bool {
        self.life(json!({"do": "journal"}))["group"]["healthy"] == true
    }

    /// Changes a member of the group, or adds it; this machine by its own instance id.
    pub fn member(&self, instance: &str, healthy: bool, state: &str) {
        self.life(json!({"do": "member", "instance": instance, "healthy": healthy, "state": state}));
    }

    /// Another member leaves the group.
    pub fn remove_member(&self, instance: &str) {
        self.life(json!({"do": "member", "instance": instance, "healthy": null, "state": null}));
    }

    /// The launch hooks wait (again): `Pending:Wait`. The metadata service is told separately.
    pub fn begin_launch(&self) {
        self.life(json!({"do": "wait", "transition": "launch", "state": "Pending:Wait"}));
    }

    /// The launch hooks wait, on the way into the warm pool: `Warmed:Pending:Wait`.
    pub fn begin_warming(&self) {
        self.life(json!({"do": "wait", "transition": "launch", "state": "Warmed:Pending:Wait"}));
    }

    /// The terminate hooks wait: `Terminating:Wait`.
    pub fn begin_termination(&self) {
        self.life(json!({"do": "wait", "transition": "terminate", "state": "Terminating:Wait"}));
    }

    /// The hooks that wait have waited long enough: completing one is refused from now on.
    pub fn expire_hooks(&self) {
        self.life(json!({"do": "expire"}));
    }

    /// All calls of CompleteLifecycleAction that came through, refused ones too.
    #[must_use]
    pub fn hook_completions(&self) -> Vec<HookCompletion> {
        self.noted("completions", |value| HookCompletion {
            group: text(&value["group"]),
            hook: text(&value["hook"]),
            instance: text(&value["instance"]),
            result: text(&value["result"]),
            refusal: refusal(value),
            at: at(value),
        })
    }

    /// Waits for the first completion of this hook.
    #[must_use = "it says how"]
    pub fn wait_for_completion(&self, hook: &str, within: Duration) -> HookCompletion {
        wait_until(within, || {
            self.hook_completions().into_iter().find(|call| call.hook == hook)
        })
        .unwrap_or_else(|| panic!("rig: {hook} not completed within {within:?}: {:#?}", self.calls()))
    }

    /// All heartbeats that came through, refused ones too.
    #[must_use]
    pub fn heartbeats(&self) -> Vec<HookHeartbeat> {
        self.noted("heartbeats", |value| HookHeartbeat {
            group: text(&value["group"]),
            hook: text(&value["hook"]),
            refusal: refusal(value),
            at: at(value),
        })
    }

    /// All calls of SetInstanceHealth that came through.
    #[must_use]
    pub fn health_reports(&self) -> Vec<HealthReport> {
        self.noted("health", |value| HealthReport {
            instance: text(&value["instance"]),
            status: text(&value["status"]),
            respects_grace: value["respects_grace"] == true,
            known: value["known"] == true,
            at: at(value),
        })
    }

    /// All metrics that came through, in the order they came.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        self.noted("metrics", |value| Metric {
            namespace: text(&value["namespace"]),
            name: text(&value["name"]),
            value: value["value"].as_f64(),
            unit: value["unit"].as_str().map(str::to_owned),
            dimensions: value["dimensions"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            at: at(value),
        })
    }

    /// Puts AWS's clock forward (or back) beside this machine's, in seconds. A request signed more than five minutes
    /// beside it is refused as expired, or as not yet current, with AWS's `Date`.
    pub fn clock_offset(&self, seconds: i64) {
        self.life(json!({"do": "clock", "now_offset": seconds}));
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn at(value: &Value) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(value["at"].as_u64().unwrap_or(0))
}

fn refusal(value: &Value) -> Option<String> {
    value["refusal"].as_str().map(str::to_owned)
}
