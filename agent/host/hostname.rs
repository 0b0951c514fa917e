//! What this machine is called on its network.

use std::fs;

/// With the domain its resolver looks in first, where the kernel knows a short name only: on EC2 that is the private DNS
/// name.
pub fn hostname() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    qualified(&read("/proc/sys/kernel/hostname"), &read("/etc/resolv.conf"))
}

fn qualified(name: &str, resolver: &str) -> String {
    let name = name.trim();
    let domain = resolver
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            matches!(words.next(), Some("search" | "domain")).then(|| words.next())?
        })
        .next_back()
        .map(|domain| domain.trim_end_matches('.'));
    match domain {
        Some(domain) if !name.contains('.') && !domain.is_empty() => format!("{name}.{domain}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_gets_its_domain() {
        let resolver = "nameserver 10.0.0.2\nsearch eu-central-1.compute.internal example.org\n";
        let full = "ip-10-0-1-2.eu-central-1.compute.internal";
        assert_eq!(qualified("ip-10-0-1-2\n", resolver), full);
        assert_eq!(qualified(full, "search example.org"), full);
        assert_eq!(qualified("web", "# search example.org\nsearch .\n"), "web");
        assert_eq!(qualified("web", ""), "web");
    }
}
