//! What may leave the container: `egress` and `instance_metadata`.

use super::super::model::Firewall;
use super::super::policy::Rule;
use super::super::problem::{Code, Problem};
use super::super::yaml::{Kind, Resolved};
use super::Checker;
use super::field::{Field, is_digits};
use crate::firewall::{EgressRule, NotADestination, To, Transport};

/// Every packet of a new connection passes all of them.
const MAX_RULES: usize = 256;
/// The names among them: each is asked for every half minute.
const MAX_NAMES: usize = 32;
/// Ports and ranges of one.
const MAX_PORTS: usize = 64;

const FORMS: &str =
    "write `10.0.0.0/8`, or `{to: db.example.org, ports: [5432]}`; a name needs ports, a network does not";

impl<'c> Checker<'c> {
    pub(super) fn firewall(&mut self) -> Firewall {
        let instance_metadata = self.strict_flag("instance_metadata");
        let forbidden = match &self.policy.allow.instance_metadata {
            Some(Rule { value: false, place }) => Some(*place),
            _ => None,
        };
        if let (Some(place), Some(true)) = (forbidden, instance_metadata) {
            self.forbid("instance_metadata", "instance_metadata", place);
        }
        Firewall {
            egress: self.egress(),
            instance_metadata,
            metadata_forbidden: forbidden.is_some(),
        }
    }

    /// `egress`, in file order.
    fn egress(&mut self) -> Option<Vec<EgressRule>> {
        // Empty, like every null: what opens everything is to leave the key out.
        if let Some(entry) = self.entries.iter().find(|entry| entry.name == "egress")
            && Field::top(entry).is_null()
        {
            let message = "`egress` is empty: nothing leaves the container but questions to its name servers";
            let problem = Field::top(entry).warning(Code::NothingSaid, message);
            self.report(
                problem
                    .at(entry.place)
                    .help("write `egress: []` if that is meant, or leave the key out to let everything out"),
            );
            return Some(Vec::new());
        }
        let field = self.field("egress")?;
        self.take(field.items())?;
        let mut rules = Vec::new();
        for item in &self.list(&field) {
            rules.extend(self.egress_rule(item));
        }
        let names = rules.iter().filter(|rule| rule.to.name().is_some()).count();
        for (number, most, what) in [(rules.len(), MAX_RULES, "entries"), (names, MAX_NAMES, "names")] {
            if number > most {
                let problem = field.error(Code::BadValue, format!("`egress` holds more than {most} {what}"));
                self.report(problem.help("write the networks they are in"));
            }
        }
        Some(rules)
    }

    fn egress_rule(&mut self, item: &Field<'c>) -> Option<EgressRule> {
        if item.scalar().is_some() {
            let to = self.egress_destination(item)?;
            if to.name().is_some() {
                let problem = item.error(Code::BadValue, "`egress` names a machine without its ports");
                self.report(problem.help("write `{to: db.example.org, ports: [5432]}`"));
                return None;
            }
            return Some(EgressRule {
                to,
                ports: Vec::new(),
                protocol: Transport::Any,
            });
        }
        if !matches!(item.node.kind, Kind::Map(_)) {
            let message = format!("`egress` holds {}, not where something may go", item.what());
            self.report(item.error(Code::WrongType, message).help(FORMS));
            return None;
        }
        let section = self.section(item.clone())?;
        let to = section.get("to").map(|field| self.egress_destination(&field));
        let ports = section.get("ports").map(|field| self.egress_ports(&field));
        let protocol = section.get("protocol").map(|field| self.choice(&field));
        // What could not be read is reported; without it the entry would say something else.
        let (to, ports) = (to??, ports.unwrap_or_else(|| Some(Vec::new()))?);
        let protocol = match protocol {
            None if ports.is_empty() => Transport::Any,
            None => Transport::Tcp,
            Some(word) => match word? {
                "udp" => Transport::Udp,
                "any" => Transport::Any,
                _ => Transport::Tcp,
            },
        };
        if to.name().is_some() && ports.is_empty() {
            let problem = item.error(Code::BadValue, "`egress` names a machine without its ports");
            self.report(problem.help("write `ports: [443]` below it"));
            return None;
        }
        Some(EgressRule { to, ports, protocol })
    }

    fn egress_destination(&mut self, field: &Field<'_>) -> Option<To> {
        if !field.scalar().is_some_and(|scalar| scalar.value == Resolved::Str) {
            self.report(field.wrong_type("an address, a network or a name").help(FORMS));
            return None;
        }
        let text = self.text(field)?;
        let wrong = match To::parse(&text) {
            Ok(to) => return Some(to),
            Err(wrong) => wrong,
        };
        let problem = field.error(Code::BadValue, format!("an entry of `egress` {wrong}"));
        self.report(problem.help(match wrong {
            NotADestination::Neither => FORMS,
            NotADestination::Star => "write each name, or the network they are in",
            NotADestination::Prefix => "write up to 32 for IPv4, and up to 128 for IPv6",
            NotADestination::HostBits => "write the network's first address, as in `10.0.0.0/8`",
        }));
        None
    }

    /// `[5432, 8000-8010]`, or one of them.
    fn egress_ports(&mut self, field: &Field<'c>) -> Option<Vec<(u16, u16)>> {
        let items = match field.scalar() {
            Some(_) => vec![field.clone()],
            None => self.take(field.items())?,
        };
        let mut ports = Vec::new();
        for item in &items {
            match port_range(item) {
                Ok(range) => ports.push(range),
                Err(problem) => {
                    self.report(problem);
                    return None;
                }
            }
        }
        if ports.is_empty() || ports.len() > MAX_PORTS {
            let message = format!("`{}` needs 1 to {MAX_PORTS} ports or ranges", field.path);
            self.report(
                field
                    .error(Code::Port, message)
                    .help("leave it out for all ports of a network"),
            );
            return None;
        }
        Some(ports)
    }
}

fn port_range(item: &Field<'_>) -> Result<(u16, u16), Problem> {
    let wrong = || {
        let message = format!("`{}` holds what is neither a port nor a range", item.path);
        item.error(Code::Port, message)
            .help("write `ports: [5432, 8000-8010]`, from 1 to 65535")
    };
    let scalar = item.scalar().ok_or_else(wrong)?;
    if !matches!(scalar.value, Resolved::Int(_) | Resolved::Str) {
        return Err(wrong());
    }
    let text = scalar.python_str();
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    let port = |text: &str| {
        let port = is_digits(text).then(|| text.parse::<u16>().ok()).flatten();
        port.filter(|port| *port > 0)
    };
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(wrong()),
    }
}
