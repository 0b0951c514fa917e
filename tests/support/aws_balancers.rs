//! Target groups and classic load balancers, as a test sets them up: what each says of this machine and of others. What
//! they do by themselves is in the head of `aws_balancers.py`.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::aws::Aws;
use crate::aws_lifecycle::{at, text};

/// What a load balancer says of its machines: `healthy`, `unhealthy`, `initial`, `draining`, `unused`, `unavailable`, each
/// with a reason where it is not to be the usual one (`unhealthy Target.Timeout`). A classic one says InService or
/// OutOfService instead.
#[derive(Clone, Debug)]
pub struct Balanced {
    order: Value,
}

impl Default for Balanced {
    fn default() -> Self {
        Self::new()
    }
}

impl Balanced {
    /// This machine is registered, as soon as no launch hook waits; `initial` once, then healthy; `draining` once when it
    /// is deregistered.
    #[must_use]
    pub fn new() -> Self {
        let order = json!({
            "do": "balancer", "initial": 1, "draining": 1, "state": "healthy", "registered": true, "others": {},
        });
        Self { order }
    }

    /// `initial` for so many asks.
    #[must_use]
    pub fn initial(mut self, asks: u32) -> Self {
        self.order["initial"] = json!(asks);
        self
    }

    /// `initial` until [`Aws::set_target`].
    #[must_use]
    pub fn initial_until_told(mut self) -> Self {
        self.order["initial"] = Value::Null;
        self
    }

    /// `draining` for so many asks.
    #[must_use]
    pub fn draining(mut self, asks: u32) -> Self {
        self.order["draining"] = json!(asks);
        self
    }

    /// `draining` until [`Aws::set_target`] says `unused`.
    #[must_use]
    pub fn draining_until_told(mut self) -> Self {
        self.order["draining"] = Value::Null;
        self
    }

    /// This state when `initial` is over, rather than healthy.
    #[must_use]
    pub fn state(mut self, state: &str) -> Self {
        self.order["state"] = json!(state);
        self
    }

    /// Without this machine, until it is registered by somebody.
    #[must_use]
    pub fn without_us(mut self) -> Self {
        self.order["registered"] = json!(false);
        self
    }

    /// With another machine in this state.
    #[must_use]
    pub fn other(mut self, instance: &str, state: &str) -> Self {
        self.order["others"][instance] = json!(state);
        self
    }
}

/// A machine that was registered or deregistered, by a call that came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Which.
    pub instance: String,
    /// True where it was registered.
    pub registered: bool,
    /// When.
    pub at: SystemTime,
}

impl Aws {
    /// Makes a target group, and gives its ARN.
    #[must_use = "user data names the target group by its ARN"]
    pub fn target_group(&self, name: &str, balanced: Balanced) -> String {
        let arn = format!(
            "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/{name}/73e2d6bc24d8a067"
        );
        self.balancer(&arn, "target_group", balanced);
        arn
    }

    /// Makes a classic load balancer of this name.
    pub fn classic(&self, name: &str, balanced: Balanced) {
        self.balancer(name, "classic", balanced);
    }

    fn balancer(&self, key: &str, kind: &str, balanced: Balanced) {
        let mut order = balanced.order;
        order["balancer"] = json!(key);
        order["kind"] = json!(kind);
        self.life(order);
    }

    /// What a load balancer (ARN or name) says of this machine from now on. `unused` ends a draining.
    pub fn set_target(&self, key: &str, state: &str) {
        self.script_target(key, &[state]);
    }

    /// What a load balancer says of this machine at its next asks, one after the other; the last state stays.
    pub fn script_target(&self, key: &str, states: &[&str]) {
        self.life(json!({"do": "target", "balancer": key, "instance": null, "states": states}));
    }

    /// What a load balancer says of another machine, which it has from now on.
    pub fn set_other_target(&self, key: &str, instance: &str, state: &str) {
        self.life(json!({"do": "target", "balancer": key, "instance": instance, "states": [state]}));
    }

    /// What a load balancer has said of this machine, one entry an ask for it.
    #[must_use]
    pub fn target_asks(&self, key: &str) -> Vec<String> {
        self.of_balancer("asked", key, |value| text(&value["state"]))
    }

    /// Who was registered with a load balancer, and deregistered, in this order. It counts calls: what was so already is
    /// among them.
    #[must_use]
    pub fn registrations(&self, key: &str) -> Vec<Registration> {
        self.of_balancer("registrations", key, |value| Registration {
            instance: text(&value["instance"]),
            registered: value["registered"] == true,
            at: at(value),
        })
    }

    fn of_balancer<T>(&self, kind: &str, key: &str, read: impl Fn(&Value) -> T) -> Vec<T> {
        let all = self.noted(kind, |value| (value["balancer"] == key).then(|| read(value)));
        all.into_iter().flatten().collect()
    }
}
