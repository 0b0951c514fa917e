//! What a registry says about an image in the headers of its manifest, as Taupage asked for it.

use super::Refusal;
use crate::text;

/// Either of them.
const TRUSTED: [&str; 2] = ["X-Production-Ready-Taupage", "X-Trusted"];
const REASON: &str = "X-Production-Ready-Reason";
/// A longer reason is no reason.
const LONGEST: usize = 300;

/// What an answer's headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may run.
    Trusted,
    /// It may not, and why.
    Refused(Option<String>),
    /// Nothing.
    Silent,
}

/// Reads an answer's headers. A header that is there twice has to say yes twice. `redact` gets the whole reason, for half
/// of a secret would be known to nobody.
pub fn read(headers: &[(String, String)], redact: impl Fn(&str) -> String) -> Answer {
    let values = |name: &str| -> Vec<&str> {
        headers
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    };
    let said: Vec<Vec<&str>> = TRUSTED.iter().map(|name| values(name)).collect();
    let yes = |values: &Vec<&str>| {
        !values.is_empty() && values.iter().all(|value| value.eq_ignore_ascii_case("true"))
    };
    let reasons = values(REASON);
    if said.iter().any(yes) {
        Answer::Trusted
    } else if said.iter().all(Vec::is_empty) && reasons.is_empty() {
        Answer::Silent
    } else {
        let visible: String = reasons.join("; ").chars().filter(|c| !c.is_control()).collect();
        let reason = text::shortened(redact(&visible).trim(), LONGEST);
        Answer::Refused(Some(reason).filter(|reason| !reason.is_empty()))
    }
}

/// What follows from the answers by digest and by tag. The second counts only if it is about the same bytes, since a tag
/// may have moved.
pub fn judge(by_digest: Answer, by_tag: Option<(Answer, SameImage)>) -> Result<(), Refusal> {
    let refused = |reason| Err(Refusal::HeaderRefused { reason });
    match (by_digest, by_tag) {
        (Answer::Trusted, _) => Ok(()),
        (Answer::Refused(reason), _) => refused(reason),
        (Answer::Silent, Some((_, SameImage::No))) => Err(Refusal::TagMoved),
        (Answer::Silent, Some((Answer::Trusted, SameImage::Yes))) => Ok(()),
        (Answer::Silent, Some((Answer::Refused(reason), SameImage::Yes))) => refused(reason),
        (Answer::Silent, None | Some((Answer::Silent, SameImage::Yes))) => Err(Refusal::NoHeader),
    }
}

/// Whether the tag's manifest is the one that was resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameImage {
    /// To the byte.
    Yes,
    /// It has moved.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(&str, &str)]) -> Answer {
        let headers: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        read(&headers, |text| text.replace("hunter22", "***"))
    }

    #[test]
    fn what_headers_say() {
        let refused = |reason: &str| Answer::Refused(Some(reason.to_owned()));
        for (headers, wanted) in [
            (&[("x-trusted", "true")][..], Answer::Trusted),
            (&[("X-Production-Ready-Taupage", " TRUE ")], Answer::Trusted),
            (
                &[("X-Production-Ready-Taupage", "false"), ("X-Trusted", "true")],
                Answer::Trusted,
            ),
            (&[("X-Trusted", "yes")], Answer::Refused(None)),
            (&[("X-Trusted", "")], Answer::Refused(None)),
            (
                &[("X-Trusted", "true"), ("x-trusted", "false")],
                Answer::Refused(None),
            ),
            (&[("X-Trusted", "true, true")], Answer::Refused(None)),
            (
                &[
                    ("X-Trusted", "false"),
                    ("X-Production-Ready-Reason", "no\u{1b}[2J CVE\r\n"),
                ],
                refused("no[2J CVE"),
            ),
            (
                &[("X-Production-Ready-Reason", "old hunter22")],
                refused("old ***"),
            ),
            (&[("X-Production-Ready-Reason", "\t")], Answer::Refused(None)),
            (
                &[("X-Trusted-By", "true"), ("Content-Type", "true")],
                Answer::Silent,
            ),
            (&[], Answer::Silent),
        ] {
            assert_eq!(answer(headers), wanted, "{headers:?}");
        }
        let Answer::Refused(Some(reason)) = answer(&[("X-Production-Ready-Reason", &"ö".repeat(4000))])
        else {
            panic!("refused");
        };
        assert_eq!(reason.chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_tag_is_asked_only_where_the_digest_says_nothing() {
        use Answer::{Refused, Silent, Trusted};
        let no = || Some("no".to_owned());
        let (same, moved) = (SameImage::Yes, SameImage::No);
        for (by_digest, by_tag, wanted) in [
            (Trusted, None, Ok(())),
            (
                Refused(no()),
                Some((Trusted, same)),
                Err(Refusal::HeaderRefused { reason: no() }),
            ),
            (Silent, None, Err(Refusal::NoHeader)),
            (Silent, Some((Silent, same)), Err(Refusal::NoHeader)),
            (Silent, Some((Trusted, same)), Ok(())),
            (
                Silent,
                Some((Refused(None), same)),
                Err(Refusal::HeaderRefused { reason: None }),
            ),
            (Silent, Some((Trusted, moved)), Err(Refusal::TagMoved)),
            (Silent, Some((Silent, moved)), Err(Refusal::TagMoved)),
        ] {
            assert_eq!(judge(by_digest, by_tag), wanted);
        }
    }
}
