//! Has the rules for the container's traffic loaded, before there is any.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::firewall::{self, FirewallPlan, Order, Surroundings};
use monopod_core::plan::StepId;
use monopod_core::retry;
use monopod_core::text;
use tokio::time::Instant;

use super::until_it_works;
use crate::boot::{BootError, timed};
use crate::context::Context;
use crate::host::firewall::{Ensured, FirewallError};
use crate::host::{chain, files};

/// One answer: the unit starts with the first question, and asks for names.
const ANSWER: Duration = Duration::from_secs(15);
/// A container that runs is looked after without waiting for more than this.
const ADOPTED: Duration = Duration::from_secs(2);
/// Where systemd-resolved keeps the name servers that it asks.
const UPSTREAM: &str = "/run/systemd/resolve/resolv.conf";

/// `adopted`: the container runs already, and nothing here ends that.
pub(in crate::boot) async fn run(
    context: &Context,
    plan: FirewallPlan,
    dns: &[IpAddr],
    adopted: bool,
    deadline: Instant,
) -> Result<(), BootError> {
    let unit = context.firewall_unit();
    if !unit.is_there() && !plan.is_asked() {
        unit.set_order(None);
        let why = format!("there is no {}, and nothing asks for it", unit.socket().display());
        context.reporter.tell(Event::StepSkipped {
            step: StepId::Firewall,
            why,
        });
        return Ok(());
    }
    let does = format!("{plan}");
    let surroundings = surroundings(context, dns).await;
    let without_dns = plan.egress.is_some() && surroundings.resolvers.is_empty();
    unit.set_order(Some(Order { plan, surroundings }));
    let until = if adopted {
        deadline.min(Instant::now() + ADOPTED)
    } else {
        deadline
    };
    let ensured = timed(context, StepId::Firewall, does, async {
        let ensured = load(context, until).await?;
        let detail = detail(&ensured);
        Ok((ensured, detail))
    })
    .await;
    match ensured {
        Ok(ensured) => {
            context.tell_firewall(&ensured);
            warn(context, &ensured, without_dns);
            Ok(())
        }
        Err(error) if adopted => {
            let text = format!(
                "the container runs, and its firewall was not looked at; it is at the container's next start: {}",
                chain(&error)
            );
            context.reporter.tell(Event::Warning { text });
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// For a container that an earlier agent of this boot looked after.
pub(in crate::boot) async fn take_over(context: &Context, order: Option<&Order>) {
    context.firewall_unit().set_order(order.cloned());
    if let Err(error) = context.ensure_firewall(Instant::now() + ADOPTED).await {
        let text = format!(
            "the firewall was not looked at; it is at the container's next start: {}",
            chain(&error)
        );
        context.reporter.tell(Event::Warning { text });
    }
}

async fn load(context: &Context, deadline: Instant) -> Result<Ensured, BootError> {
    let unit = context.firewall_unit();
    until_it_works(
        context,
        StepId::Firewall,
        retry::LOCAL,
        Some(deadline),
        async || unit.ensure(deadline.min(Instant::now() + ANSWER)).await,
    )
    .await
    .map_err(|gave_up| gave_up.into_boot_error(StepId::Firewall, |error: FirewallError| error.into()))
}

fn detail(ensured: &Ensured) -> String {
    match ensured {
        Ensured::Nothing => "there is no unit for it".to_owned(),
        Ensured::Without(_) => "not loaded; nothing needs them".to_owned(),
        Ensured::Loaded(loaded) if loaded.unresolved.is_empty() => "loaded".to_owned(),
        Ensured::Loaded(loaded) => format!(
            "loaded; {} of no address yet",
            text::count(loaded.unresolved.len() as u64, "name")
        ),
    }
}

fn warn(context: &Context, ensured: &Ensured, without_dns: bool) {
    if let Ensured::Loaded(loaded) = ensured
        && !loaded.unresolved.is_empty()
    {
        let text = format!(
            "no address was found for {} of `egress`: the container cannot reach it before one is; asked again every {} s",
            loaded.unresolved.join(", "),
            firewall::REFRESH_SECONDS
        );
        context.reporter.tell(Event::Warning { text });
    }
    if without_dns {
        let text = "the machine's name servers are on its loopback, where the container cannot ask them: with `egress`, name those it may ask in `dns`";
        context.reporter.tell(Event::Warning {
            text: text.to_owned(),
        });
    }
}

async fn surroundings(context: &Context, dns: &[IpAddr]) -> Surroundings {
    // An engine that does not say it has the name that all have.
    let bridge = context.engine.bridge().await.ok().flatten();
    Surroundings {
        bridge: bridge.unwrap_or_else(|| Surroundings::BRIDGE.to_owned()),
        cgroup2: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        resolvers: match dns {
            [] => machines_resolvers(),
            dns => dns.to_vec(),
        },
        slice: Surroundings::SLICE.to_owned(),
    }
}

/// As the engine chooses them: resolv.conf, or what systemd-resolved asks where it stands in resolv.conf itself.
fn machines_resolvers() -> Vec<IpAddr> {
    let read = |path: &str| {
        let bytes = files::read(Path::new(path)).ok().flatten().unwrap_or_default();
        firewall::resolvers(&String::from_utf8_lossy(&bytes))
    };
    let own = read("/etc/resolv.conf");
    if own.is_empty() { read(UPSTREAM) } else { own }
}
