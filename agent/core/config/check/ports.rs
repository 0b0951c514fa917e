//! Published ports.
//!
//! ```text
//! [ip:]port[-port][/tcp|/udp] : port[-port][/tcp|/udp]
//! ```
//!
//! A protocol may stand on either side; where both have one, the container's counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::keys::nearest_of;
use super::super::model::{PortMapping, Protocol};
use super::super::problem::{Code, Problem};
use super::super::yaml::{Entry, Kind, Resolved};
use super::Checker;
use super::field::{Field, is_digits};

/// More than that would take the engine minutes: one proxy process each.
const MAX_MAPPINGS: usize = 1024;

/// What the key holds.
pub(super) struct Ports {
    pub(super) mappings: Vec<PortMapping>,
    /// The lowest TCP port written plainly; ranges and single addresses are no default for a health check.
    pub(super) lowest_tcp: Option<u16>,
    /// Whether every mapping could be read.
    pub(super) complete: bool,
}

impl Checker<'_> {
    pub(super) fn ports(&mut self) -> Ports {
        let mut ports = Ports {
            mappings: Vec::new(),
            lowest_tcp: None,
            complete: true,
        };
        let Some(field) = self.field("ports") else {
            return ports;
        };
        let help = "write `ports: {80: 8080}`, the host's port first";
        let entries = self.take(field.entries().map_err(|problem| problem.help(help)));
        ports.complete = entries.is_some();
        for entry in entries.unwrap_or_default() {
            let child = field.child(entry);
            if child.is_broken() {
                ports.complete = false;
                continue;
            }
            match mapping(entry, &child) {
                Ok((found, warning)) => {
                    self.problems.extend(warning);
                    self.add_ports(&mut ports, &child, &found);
                }
                Err(problem) => {
                    ports.complete = false;
                    self.report(problem);
                }
            }
        }
        ports
    }

    fn add_ports(&mut self, ports: &mut Ports, field: &Field<'_>, found: &[PortMapping]) {
        if ports.mappings.len() + found.len() > MAX_MAPPINGS {
            let message = format!("more than {MAX_MAPPINGS} ports are published");
            self.report(
                field
                    .error(Code::Port, message)
                    .at(field.key_place)
                    .help("use host networking instead"),
            );
            return;
        }
        for port in found {
            let taken = ports.mappings.iter().any(|other| {
                let ips_meet = match (other.host_ip, port.host_ip) {
                    (Some(one), Some(two)) => one == two,
                    _ => true,
                };
                other.host == port.host && other.protocol == port.protocol && ips_meet
            });
            if taken {
                let message = format!("host port {}/{} is mapped twice", port.host, port.protocol);
                self.report(field.error(Code::PortTaken, message).at(field.key_place));
                return;
            }
        }
        if let [
            PortMapping {
                host_ip: None,
                host,
                protocol: Protocol::Tcp,
                ..
            },
        ] = found
        {
            ports.lowest_tcp = Some(ports.lowest_tcp.map_or(*host, |lowest| lowest.min(*host)));
        }
        ports.mappings.extend(found);
    }
}

/// One side of a mapping.
struct Side {
    ip: Option<IpAddr>,
    first: u16,
    last: u16,
    protocol: Option<Protocol>,
}

fn mapping(entry: &Entry, field: &Field<'_>) -> Result<(Vec<PortMapping>, Option<Problem>), Problem> {
    let at_key = |message: String| field.error(Code::Port, message).at(field.key_place);
    let at_value = |message: String| field.error(Code::Port, message);
    let host = match entry.key.value {
        Resolved::Int(_) | Resolved::Str => side(&entry.name, "host", &at_key)?,
        _ => return Err(at_key("the host's side is not a port".into()).help("put it in quotes")),
    };
    let container = match &field.node.kind {
        Kind::Scalar(scalar) if matches!(scalar.value, Resolved::Int(_) | Resolved::Str) => {
            side(&scalar.python_str(), "container", &at_value)?
        }
        _ => {
            let message = format!("the container's side has to be a port, but is {}", field.what());
            return Err(field.error(Code::Port, message).help("write `80: 8080`"));
        }
    };
    if container.ip.is_some() {
        return Err(at_value("an address can stand on the host's side only".into()));
    }
    if host.last - host.first != container.last - container.first {
        let help = "write as many ports on one side as on the other, such as `8000-8010: 9000-9010`";
        return Err(at_value("the two ranges are not equally long".into()).help(help));
    }
    let warning = match (host.protocol, container.protocol) {
        (Some(host), Some(container)) if host != container => Some(
            field
                .warning(
                    Code::PortProtocol,
                    format!("{host} on the host's side, {container} on the container's: {container} counts"),
                )
                .help("name the protocol once"),
        ),
        _ => None,
    };
    let protocol = container.protocol.or(host.protocol).unwrap_or_default();
    let mappings = (host.first..=host.last)
        .zip(container.first..=container.last)
        .take(MAX_MAPPINGS + 1)
        .map(|(host_port, container)| PortMapping {
            host_ip: host.ip,
            host: host_port,
            container,
            protocol,
        })
        .collect();
    Ok((mappings, warning))
}

fn side(text: &str, which: &str, problem: &dyn Fn(String) -> Problem) -> Result<Side, Problem> {
    let (rest, protocol) = match text.split_once('/') {
        Some((rest, name)) => (rest, Some(protocol(name, which, problem)?)),
        None => (text, None),
    };
    let (ip, range) = match rest.rsplit_once(':') {
        Some((address, range)) => (
            Some(ip(address).ok_or_else(|| {
                problem(format!(
                    "the {which}'s side has something before the port that is no IP address"
                ))
                .help("write `\"127.0.0.1:80\": 8080`, or `\"[::1]:80\": 8080`")
            })?),
            range,
        ),
        None => (None, rest),
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (port(first, which, problem)?, port(last, which, problem)?);
    if last < first {
        return Err(problem(format!("the {which}'s range ends before it begins")));
    }
    Ok(Side {
        ip,
        first,
        last,
        protocol,
    })
}

fn protocol(name: &str, which: &str, problem: &dyn Fn(String) -> Problem) -> Result<Protocol, Problem> {
    match name.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        other => {
            let help = match nearest_of(other, ["tcp", "udp"].into_iter()) {
                Some(known) => format!("did you mean `/{known}`?"),
                None => "the protocol is `/tcp` or `/udp`".to_owned(),
            };
            Err(problem(format!(
                "the {which}'s side names a protocol that is neither tcp nor udp"
            ))
            .help(help))
        }
    }
}

fn ip(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

fn port(text: &str, which: &str, problem: &dyn Fn(String) -> Problem) -> Result<u16, Problem> {
    if !is_digits(text) {
        return Err(
            problem(format!("the {which}'s side is not a port")).help("write `80: 8080` or `53/udp: 53`")
        );
    }
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(problem(format!("the {which}'s port has to be from 1 to 65535"))),
    }
}
