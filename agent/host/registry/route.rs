//! Where a registry is, and where it may send us.

use std::net::IpAddr;

use reqwest::Url;

/// The address of the registry of an image reference. Plain http is spoken to this machine only, and only where no
/// certificate was put there for it; that is what the engine does too.
pub(super) fn base(host: &str, has_certificates: bool) -> Option<Url> {
    // Docker Hub's name in references is not the one of its API.
    let host = if host == "docker.io" {
        "registry-1.docker.io"
    } else {
        host
    };
    if host.is_empty() || host.contains(['/', '@', '?', '#', '\\']) {
        return None;
    }
    let url = Url::parse(&format!("https://{host}/v2/")).ok()?;
    if has_certificates || !is_loopback(&url) {
        return Some(url);
    }
    // Parsed anew: setting the scheme would drop port 443.
    Url::parse(&format!("http://{host}/v2/")).ok()
}

/// This machine itself.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Host and port, as people write them.
pub(super) fn name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether somebody at `from` may send us to `to`; the error says why not.
pub(super) fn may_lead(from: &Url, to: &Url) -> Result<(), &'static str> {
    if !to.username().is_empty() || to.password().is_some() {
        return Err("the address holds a login");
    }
    match (to.scheme(), is_loopback(to)) {
        ("https", false) => Ok(()),
        // What listens on this machine alone trusts it: nobody elsewhere is to steer us there.
        ("https" | "http", true) if !is_loopback(from) => Err("it is this machine itself"),
        ("https", true) => Ok(()),
        ("http", true) if from.scheme() == "http" => Ok(()),
        ("http", _) => Err("it is not https, so everybody on the way could read and change what is sent"),
        _ => Err("it is not https"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_for_this_machine_only() {
        for (host, address) in [
            ("registry.example.org", "https://registry.example.org/v2/"),
            (
                "registry.example.org:5000",
                "https://registry.example.org:5000/v2/",
            ),
            ("docker.io", "https://registry-1.docker.io/v2/"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/v2/"),
            ("127.8.9.1", "http://127.8.9.1/v2/"),
            ("localhost:443", "http://localhost:443/v2/"),
            ("[::1]:5000", "http://[::1]:5000/v2/"),
            ("127.0.0.1.example.org", "https://127.0.0.1.example.org/v2/"),
            ("10.0.0.1:5000", "https://10.0.0.1:5000/v2/"),
        ] {
            assert_eq!(base(host, false).unwrap().as_str(), address);
        }
        assert_eq!(
            base("127.0.0.1:5000", true).unwrap().as_str(),
            "https://127.0.0.1:5000/v2/"
        );
        for host in ["", "a/b", "u@a", "a b", "a?b", "a:x"] {
            assert_eq!(base(host, false), None, "{host}");
        }
    }

    #[test]
    fn nobody_sends_us_where_others_listen_in() {
        let url = |text: &str| Url::parse(text).unwrap();
        for (from, to, fine) in [
            ("https://a.example/v2/", "https://b.example/x", true),
            ("https://a.example/v2/", "http://a.example/x", false),
            ("https://a.example/v2/", "http://127.0.0.1/x", false),
            ("https://a.example/v2/", "https://127.0.0.1/x", false),
            ("https://a.example/v2/", "https://u:p@b.example/x", false),
            ("https://a.example/v2/", "ftp://b.example/x", false),
            ("https://127.0.0.1/v2/", "http://127.0.0.1:81/x", false),
            ("http://127.0.0.1/v2/", "http://127.0.0.1:81/x", true),
            ("http://127.0.0.1/v2/", "https://b.example/x", true),
            ("http://127.0.0.1/v2/", "http://169.254.169.254/x", false),
        ] {
            assert_eq!(may_lead(&url(from), &url(to)).is_ok(), fine, "{from} to {to}");
        }
    }
}
