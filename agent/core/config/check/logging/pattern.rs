//! Whether a pattern can be run: a mistake is found at `monopod validate`, not when the first line comes.

/// The pattern, or why it cannot be run; the reason quotes nothing of it.
pub(super) fn compile(pattern: &str) -> Result<regex::Regex, String> {
    regex::Regex::new(pattern).map_err(|error| match error {
        // The parser's own text shows the pattern, and its last line the reason.
        regex::Error::Syntax(text) => match text.rsplit_once("error: ") {
            Some((_, reason)) => reason.trim().to_owned(),
            None => "it is no regular expression".to_owned(),
        },
        regex::Error::CompiledTooBig(bytes) => {
            format!("it takes more than {} to run", crate::text::bytes(bytes as u64))
        }
        _ => "it cannot be run".to_owned(),
    })
}
