//! What sshd is told beside its own configuration, and what its answers mean.

use super::MachinePlan;

/// The drop-in's text; `None` where the user data asks for nothing of sshd.
pub fn drop_in(plan: &MachinePlan) -> Option<String> {
    if plan.ssh_ports.is_empty() && plan.ssh_gateway_ports.is_none() {
        return None;
    }
    let mut text = "# Written by monopod at each boot from `ssh_ports` and `ssh_gateway_ports` of the user data: changes here are lost.\n".to_owned();
    for port in &plan.ssh_ports {
        text.push_str(&format!("Port {port}\n"));
    }
    if let Some(gateway) = &plan.ssh_gateway_ports {
        text.push_str(&format!("GatewayPorts {gateway}\n"));
    }
    Some(text)
}

/// Whether sshd's configuration reads the drop-ins at all, and before anything that could come first.
pub fn includes_drop_ins(config: &str) -> bool {
    config.lines().any(|line| {
        let mut words = line.split_whitespace();
        words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("include"))
            && words.any(|path| path.contains("sshd_config.d/"))
    })
}

/// Whether `sshd -t` found nothing wrong with the text it was given. It looks at the machine after the text, and a machine
/// that has just been made may have no host keys yet, no user of sshd's, and no directory for a service that has not started.
pub fn takes_text(success: bool, words: &str) -> bool {
    success
        || words.lines().any(|line| {
            [
                "no hostkeys available",
                "Missing privilege separation directory",
                "Privilege separation user",
            ]
            .iter()
            .any(|one| line.contains(one))
        })
}

/// The ports of `Port` lines: sshd listens on all it is told, the image's own included.
pub fn ports(config: &str) -> Vec<u16> {
    let mut ports: Vec<u16> = config
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let is_port = words.next()?.eq_ignore_ascii_case("port");
            is_port.then(|| words.next()?.parse().ok())?
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}
