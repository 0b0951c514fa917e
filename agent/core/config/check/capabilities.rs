//! Linux capabilities, by their names without `CAP_`.

use super::super::contract::CAPABILITIES;
use super::super::keys::nearest_of;
use super::super::problem::Code;
use super::super::yaml::Resolved;
use super::Checker;
use super::field::Field;

impl Checker<'_> {
    pub(super) fn capabilities(&mut self, key: &str) -> Vec<String> {
        let Some(field) = self.field(key) else {
            return Vec::new();
        };
        let items = self.take(field.items()).unwrap_or_default();
        let mut names: Vec<String> = Vec::new();
        for item in items.iter().filter(|item| !item.is_broken()) {
            if let Some(name) = self.capability(item)
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }

    pub(super) fn capability(&mut self, item: &Field<'_>) -> Option<String> {
        let Some(scalar) = item.scalar().filter(|scalar| scalar.value == Resolved::Str) else {
            let message = format!(
                "`{}` holds {}, not the name of a capability",
                item.path,
                item.what()
            );
            self.report(item.error(Code::WrongType, message));
            return None;
        };
        let upper = scalar.text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if !CAPABILITIES.contains(&name) {
            let problem = item.error(
                Code::Capability,
                format!("`{}` names a capability no kernel has", item.path),
            );
            let help = match nearest_of(name, CAPABILITIES.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "the names are those of capabilities(7) without CAP_".to_owned(),
            };
            self.report(problem.help(help));
            return None;
        }
        if name.len() < upper.len() {
            let message = format!("the capability is called `{name}` here, and is taken as that");
            self.report(item.warning(Code::Coerced, message).help("leave out CAP_"));
        }
        Some(name.to_owned())
    }
}
