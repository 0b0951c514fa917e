//! What can be wrong with user data, as data.
//!
//! A [`Problem`] has a severity, a stable code, a place and a sentence. A message may name keys and
//! variables; it never quotes a value, because any value may turn out to be a secret.

use std::fmt;

use crate::text;

/// More characters nobody reads; our own sentences are far shorter.
const LONGEST: usize = 500;

/// Whether a problem stops the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// No configuration comes out of this text.
    Error,
    /// The text is taken, but probably not meant as it reads.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Declares the codes once: name, number and meaning, so that none is used twice or renumbered by accident.
macro_rules! codes {
    ($($name:ident = $text:literal, $doc:literal;)*) => {
        /// The stable number of a kind of problem. A number is never given to another kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $doc] $name,)* }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// `MP0101`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// What the code stands for, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$name => $doc,)* }
            }
        }
    };
}

codes! {
    Empty = "MP0001", "There is no user data.";
    TooLarge = "MP0002", "The user data is larger than monopod reads.";
    NotUtf8 = "MP0003", "The user data is not UTF-8 text.";
    Header = "MP0004", "The first line is not `#taupage-ami-config`.";
    Encoded = "MP0005", "The encoding of the user data cannot be read.";
    OverEc2Limit = "MP0006", "The user data is larger than EC2 carries.";
    Unprintable = "MP0007", "A control character stands in the text.";
    Nesting = "MP0008", "The user data is packed too often.";
    NoPart = "MP0009", "No part of the MIME message is ours.";
    TwoParts = "MP0010", "More than one part of the MIME message is ours.";
    PartIgnored = "MP0011", "A part of the MIME message was not read.";
    IncludeForm = "MP0012", "The `#include` line cannot be used.";
    Elsewhere = "MP0013", "The text is elsewhere, and only `monopod run` fetches it.";
    Syntax = "MP0101", "The text is not YAML.";
    Tab = "MP0102", "A tab is used as indentation.";
    NoBreakSpace = "MP0103", "A no-break space is used as indentation.";
    Template = "MP0104", "A template was not expanded.";
    Tag = "MP0105", "A YAML tag is not known.";
    Limit = "MP0106", "The text is nested too deeply or expands to too much.";
    DuplicateKey = "MP0107", "A key stands twice in one map.";
    SecondDocument = "MP0108", "A second YAML document follows.";
    NotAMap = "MP0109", "The text is not a map of keys and values.";
    Alias = "MP0110", "An alias or a merge key has nothing it can refer to.";
    Unreadable = "MP0111", "A value looks like a number or a date and is none.";
    KeyForm = "MP0112", "A key is not a plain word.";
    UnknownKey = "MP0201", "Nobody knows this key.";
    NoEffectYet = "MP0202", "The key is known, but has no effect in this version.";
    NotAvailable = "MP0203", "The key is known and cannot be left out in silence, but is not available yet.";
    Retired = "MP0204", "The service behind this key is gone.";
    Missing = "MP0301", "A key that is needed is missing.";
    WrongType = "MP0302", "The value is of the wrong type.";
    BadValue = "MP0303", "The value cannot be used.";
    Coerced = "MP0304", "The value was written as another type, and taken.";
    BadCiphertext = "MP0305", "What follows `aws:kms:` is not base64.";
    SecretNotHere = "MP0306", "A secret cannot stand here, where it would be seen.";
    EnvironmentName = "MP0307", "The name of an environment variable cannot be used.";
    EnvironmentOverridden = "MP0308", "The environment variable is always set by monopod.";
    ImageReference = "MP0309", "The image reference cannot be read.";
    MutableImage = "MP0310", "The image tag can change under a running fleet.";
    Port = "MP0311", "A port mapping cannot be read.";
    PortTaken = "MP0312", "A host port is mapped twice.";
    PortProtocol = "MP0313", "The two sides of a port mapping name different protocols.";
    Capability = "MP0314", "The kernel has no such capability.";
    HealthCheck = "MP0315", "The health check cannot be run as written.";
    RegistryLogin = "MP0316", "A registry login cannot be read.";
    Networking = "MP0317", "The networking mode is refused.";
    SourceText = "MP0318", "The value was taken as written, not as YAML reads it.";
    NothingSaid = "MP0319", "The value is empty, which is as if the key were left out.";
    OldLayout = "MP0320", "The key is laid out as it was in 2015, which has no effect.";
    NoEffectHere = "MP0321", "The key has no effect in this file.";
    OverBudget = "MP0322", "There is less room than this key asks for.";
    NotAttached = "MP0323", "Nothing in this file attaches or makes the device.";
    SecretReference = "MP0330", "A reference to a secret cannot be read.";
    Forbidden = "MP0401", "The policy of the machine's image does not allow it.";
    Locked = "MP0402", "The image's policy keeps this key to itself.";
    NotAllowed = "MP0403", "The image's policy would have to allow it, and does not.";
    NoRule = "MP0404", "No rule of the image's policy is about this image.";
    DigestNeeded = "MP0405", "The image's policy wants a digest in `source`.";
    RuleNeverMatches = "MP0406", "A rule of the image's policy can never match.";
    TrustKey = "MP0407", "A public key that the image's policy names cannot be used.";
    Snapshot = "MP0420", "The image's tag says that it is a snapshot.";
    NoUserData = "MP0501", "The template carries no user data for monopod.";
    TemplateShape = "MP0502", "A part of the template around the user data has a shape nobody can read.";
    NotBase64 = "MP0503", "The template's user data is not Base64.";
    NotInTemplate = "MP0504", "The user data comes whole from elsewhere, so it was not checked.";
    LinesFilledIn = "MP0505", "Whole lines of the user data are filled in later, so not all could be checked.";
    UnknownName = "MP0506", "The template refers to a name it does not define.";
    SignalTimeout = "MP0507", "CloudFormation gives up on the signal before monopod's boot budget ends.";
    Directive = "MP0508", "A template decides over whole lines, and has to be rendered first.";
    TemplateTooLarge = "MP0509", "The template is larger than monopod reads.";
    SecondHeader = "MP0510", "The header stands twice.";
    OtherDigest = "MP0601", "The image that was resolved is not the one that `source` names.";
    Unsigned = "MP0602", "The image has no signature.";
    WrongKey = "MP0603", "The image is signed, but not by a key that the policy names.";
    WrongDigest = "MP0604", "The signature beside the image is for another image.";
    WrongName = "MP0605", "The signature is for an image of another name.";
    KeyExpired = "MP0606", "The key that signed the image does not count any more.";
    BadSignature = "MP0607", "The signature of the image cannot be read.";
    NoHeader = "MP0608", "The registry does not say that the image may run.";
    HeaderRefused = "MP0609", "The registry says that the image may not run.";
    TagMoved = "MP0610", "The registry speaks of the tag alone, and the tag names another image by now.";
    ImageGone = "MP0611", "The registry does not have the image any more.";
    Unverifiable = "MP0612", "Whether the image may run could not be found out.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place in one of the texts that were read: line and column count from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which text: 0 is the user data, then come the image's files in the order they were given.
    pub source: u16,
    /// Line, from 1; the header's line counts.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// A place in the user data.
    pub const fn new(line: usize, column: usize) -> Self {
        Self {
            source: 0,
            line,
            column,
        }
    }

    /// The same place in another text.
    pub const fn of(self, source: u16) -> Self {
        Self { source, ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong, or probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops the boot.
    pub severity: Severity,
    /// Its stable code.
    pub code: Code,
    /// Where; `None` when it concerns the whole text.
    pub place: Option<Place>,
    /// The dotted path of the key, `environment.DB_PASSWORD`.
    pub key: Option<String>,
    /// What is wrong, in one sentence without the value.
    pub message: String,
    /// Another place that has to do with it, and what it has to do with it.
    pub related: Option<Box<Related>>,
    /// What to do about it.
    pub help: Option<String>,
}

/// Another place that a problem is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Where.
    pub place: Place,
    /// What is there, in a few words.
    pub label: String,
}

impl Problem {
    /// What was probably meant, where the help says so.
    pub fn suggestion(&self) -> Option<&str> {
        let (_, rest) = self.help.as_deref()?.split_once("did you mean `")?;
        rest.split_once('`').map(|(word, _)| word)
    }

    /// An error, so far without a place.
    pub(super) fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            place: None,
            key: None,
            message: message.into(),
            related: None,
            help: None,
        }
    }

    /// A warning, so far without a place.
    pub(super) fn warning(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// Adds the place.
    pub(super) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds the dotted path.
    pub(super) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Adds another place.
    pub(super) fn because(mut self, label: impl Into<String>, place: Place) -> Self {
        self.related = Some(Box::new(Related {
            place,
            label: label.into(),
        }));
        self
    }

    /// Cuts names that fill pages: a text of 16 KiB can name a key of 8 KiB a thousand times.
    pub(super) fn shorten(&mut self) {
        let texts = [
            Some(&mut self.message),
            self.help.as_mut(),
            self.key.as_mut(),
            self.related.as_mut().map(|related| &mut related.label),
        ];
        for text in texts.into_iter().flatten().filter(|text| text.len() > LONGEST) {
            *text = text::shortened(text, LONGEST);
        }
    }

    /// Adds what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_well_formed() {
        let texts: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(texts.iter().all(|text| text.len() == 6 && text.starts_with("MP")));
        assert!(Code::ALL.iter().all(|code| code.meaning().ends_with('.')));
    }
}
