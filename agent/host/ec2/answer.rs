//! What EC2 answers, read: a tree of elements, and from it what we ask for.
//!
//! EC2 is asked for little, so nothing is derived: an element that is not there is read as empty, one that we do not know
//! is passed over. What has no end or is nested without one is no answer of EC2's.

use monopod_core::storage::volume::{Attachment, Volume, VolumeState};
use monopod_core::text;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::host::sigv4::Came;

/// EC2's answers are five deep.
const DEEPEST: usize = 32;

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done; the answer's root.
    Done(Element),
    /// An error of EC2's.
    Refused { code: String, message: String },
    /// Nothing that EC2 says.
    Nonsense,
}

/// An element without its attributes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Verdict {
    /// On a call of this action.
    pub(super) fn of(came: &Came, action: &str) -> Self {
        let root = parse(&String::from_utf8_lossy(&came.body));
        match root {
            Some(root) if came.is_yes() && root.name == format!("{action}Response") => Self::Done(root),
            Some(root) if !came.is_yes() => refusal(&root).unwrap_or(Self::Nonsense),
            _ => Self::Nonsense,
        }
    }
}

/// `<Response><Errors><Error><Code>`; what turns a request away before EC2 sees it may leave out the middle.
fn refusal(root: &Element) -> Option<Verdict> {
    let error = [
        root.child("Errors").and_then(|errors| errors.child("Error")),
        root.child("Error"),
    ];
    let error = error.into_iter().flatten().next()?;
    let code = error
        .child("Code")
        .map(Element::value)
        .filter(|code| !code.is_empty())?;
    let message = error.get("Message");
    // What follows is a kilobyte that only an administrator's tool can read.
    let message = message
        .split("Encoded authorization failure message")
        .next()
        .unwrap_or_default();
    Some(Verdict::Refused {
        code: text::printable(code),
        message: match message.trim() {
            "" => "no message".to_owned(),
            message => text::printable(message),
        },
    })
}

impl Element {
    fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text, without what was written around it to make it readable.
    fn value(&self) -> &str {
        self.text.trim()
    }

    fn get(&self, name: &str) -> &str {
        self.child(name).map_or("", Self::value)
    }

    /// The elements of a list: `<volumeSet><item>`.
    fn items(&self, name: &str) -> impl Iterator<Item = &Self> {
        let list = self.child(name).map_or(&[][..], |list| &list.children);
        list.iter().filter(|child| child.name == "item")
    }

    /// The volumes of DescribeVolumes; `None` where one has no id.
    pub(super) fn volumes(&self) -> Option<Vec<Volume>> {
        self.items("volumeSet").map(volume).collect()
    }

    /// What the next page is asked for with.
    pub(super) fn next_page(&self) -> Option<String> {
        Some(self.get("nextToken").to_owned()).filter(|token| !token.is_empty())
    }

    /// What an action says that has nothing to tell.
    pub(super) fn is_true(&self) -> bool {
        self.get("return") == "true"
    }
}

fn volume(item: &Element) -> Option<Volume> {
    let attachment = |item: &Element| Attachment {
        instance_id: item.get("instanceId").to_owned(),
        device: item.get("device").to_owned(),
        state: item.get("status").to_owned(),
    };
    let tag = |item: &Element| {
        // A tag's text is its owner's, spaces at its ends too.
        let exact = |name: &str| {
            item.child(name)
                .map_or_else(String::new, |child| child.text.clone())
        };
        (exact("key"), exact("value"))
    };
    let id = item.get("volumeId");
    (!id.is_empty()).then(|| Volume {
        id: id.to_owned(),
        zone: item.get("availabilityZone").to_owned(),
        state: match item.get("status") {
            "available" => VolumeState::Available,
            "in-use" => VolumeState::InUse,
            other => VolumeState::Other(other.to_owned()),
        },
        attachments: item.items("attachmentSet").map(attachment).collect(),
        tags: item.items("tagSet").map(tag).collect(),
        size_gib: item.get("size").parse().unwrap_or(0),
    })
}

/// The root; `None` of what is not well formed, or not whole.
fn parse(body: &str) -> Option<Element> {
    let mut reader = Reader::from_str(body);
    // The last one is open; the first stands for the document.
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event().ok()?;
        match event {
            Event::Start(start) => {
                if open.len() > DEEPEST {
                    return None;
                }
                open.push(named(start.local_name().as_ref()));
            }
            Event::Empty(start) => open.last_mut()?.children.push(named(start.local_name().as_ref())),
            Event::End(_) => {
                let done = open.pop()?;
                open.last_mut()?.children.push(done);
            }
            Event::Text(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
            Event::CData(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
            Event::GeneralRef(entity) => {
                let character = match (entity.resolve_char_ref().ok()?, &*entity) {
                    (Some(character), _) => character,
                    (None, "lt") => '<',
                    (None, "gt") => '>',
                    (None, "amp") => '&',
                    (None, "apos") => '\'',
                    (None, "quot") => '"',
                    (None, _) => return None,
                };
                open.last_mut()?.text.push(character);
            }
            // What a document defines for itself, no API does.
            Event::DocType(_) => return None,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    let document = open.pop().filter(|_| open.is_empty())?;
    document
        .children
        .into_iter()
        .next()
        .filter(|_| document.text.trim().is_empty())
}

fn named(name: &str) -> Element {
    Element {
        name: name.to_owned(),
        ..Element::default()
    }
}
