//! The machine image, booted: systemd as the first process, and everything as on EC2 but the kernel.
//!
//! These tests need `make image` and take minutes; `make boot-test` runs them, one at a time. Everywhere else they are
//! listed as ignored, with that reason.

#![expect(clippy::print_stdout, reason = "seeds and moments, for whoever repeats a run")]

mod boots;
mod disks;
mod faults;
mod firewall;
mod hosted;
mod logins;
mod power;

use std::time::Duration;

use monopod_testrig::RealMachine;
use serde_json::Value;

use crate::common::{CONTAINER, UserData};

/// From the power button to a healthy container; the machines that run this are slow.
const BOOT: Duration = Duration::from_secs(180);
/// The same without the processor's help, in a virtual machine, on a busy one.
const SLOW_BOOT: Duration = Duration::from_secs(900);
/// For what follows an event at once.
const SOON: Duration = Duration::from_secs(30);
/// A drain, and the rest of a shutdown.
const DOWN: Duration = Duration::from_secs(120);

const NOTIFY: &str = "notify_cfn: {stack: shop-42, resource: AppServer}";

/// User data for one of the rig's images.
fn user_data(machine: &RealMachine, image: &str) -> UserData {
    UserData::raw(format!(
        "#taupage-ami-config\napplication_id: app\napplication_version: \"1.0\"\nruntime: Docker\nsource: {}\n\
         dockercfg: {}\n",
        machine.registry().image(image),
        machine.registry().dockercfg()
    ))
}

impl UserData {
    /// To the machine's metadata service.
    fn give(&self, machine: &RealMachine) {
        machine.set_user_data(self.text());
    }
}

/// Asks until it is so; `what` is for the failure, which also shows what the machine says.
fn wait_for<T>(what: &str, within: Duration, probe: impl FnMut() -> Option<T>) -> T {
    monopod_testrig::wait_until(within, probe).unwrap_or_else(|| panic!("no {what} within {within:?}"))
}

/// What the stack was told: each unique id once, and how.
fn told(machine: &RealMachine) -> Vec<(String, String)> {
    let accepted = machine.aws().signals().into_iter();
    accepted
        .filter(|one| one.refusal.is_none() && !one.again)
        .map(|one| (one.status, one.signer))
        .collect()
}

/// Told once, by who the machine is.
fn one(status: &str) -> Vec<(String, String)> {
    vec![(status.to_owned(), "instance".to_owned())]
}

/// Numbers that repeat with their seed, which is in the output; `MONOPOD_SEED` repeats it.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let seed =
            std::env::var("MONOPOD_SEED").map_or(u64::from(now.subsec_nanos()), |text| text.parse().unwrap());
        println!("MONOPOD_SEED={seed}");
        Self(seed | 1)
    }

    /// Between 0 and 1.
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % 10_000) as f64 / 10_000.0
    }
}

/// The one container there is, running, with the name users know.
fn the_container(machine: &RealMachine) -> Value {
    let all = machine.containers();
    assert_eq!(all.len(), 1, "exactly one container is expected: {all:#?}");
    let container = machine.inspect(CONTAINER).expect("it has the name users know");
    assert_eq!(container["State"]["Running"], true, "{container:#}");
    container
}

fn id(container: &Value) -> &str {
    container["Id"].as_str().unwrap()
}
