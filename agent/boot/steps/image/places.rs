//! Who is asked for an image: its mirrors in their order, and its registry last.

use std::cell::RefCell;
use std::time::Duration;

use monopod_core::config::ImageRef;
use monopod_core::event::Event;
use monopod_core::plan::Plan;
use monopod_core::text;
use tokio::time::Instant;

use super::ImageError;
use crate::boot::BootError;
use crate::boot::steps::login;
use crate::boot::steps::secrets::Fetcher;
use crate::context::Context;
use crate::host::docker::Credentials;
use crate::host::{Class, Classified as _, chain};

/// A mirror can be done without, and so can its login: it gets a part of the boot budget, not all of it.
const MIRROR_LOGIN: Duration = Duration::from_secs(10);

/// A registry or a mirror, and what the image is called there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its host, with its port.
    pub(super) registry: String,
    /// The image's path below the host.
    pub(super) repository: String,
    /// How it is told: `None` for the image's own registry.
    pub(super) mirror: Option<String>,
}

impl Place {
    /// The image here, by its digest.
    pub(super) fn pinned(&self, digest: &str) -> String {
        format!("{}/{}@{digest}", self.registry, self.repository)
    }

    /// The image here, by whatever the user wrote behind its name.
    pub(super) fn as_written(&self, image: &ImageRef) -> String {
        match (image.digest(), image.tag()) {
            (Some(digest), _) => self.pinned(digest),
            (None, Some(tag)) => format!("{}/{}:{tag}", self.registry, self.repository),
            (None, None) => format!("{}/{}", self.registry, self.repository),
        }
    }

    /// For a sentence's end: empty for the image's own registry.
    pub(super) fn mirror_text(&self) -> String {
        self.mirror
            .as_ref()
            .map_or_else(String::new, |mirror| format!(" from the mirror {mirror}"))
    }
}

/// Everybody who may have the image, in the order they are asked.
pub(super) fn places(plan: &Plan, image: &ImageRef) -> Vec<Place> {
    let mirrors = plan.mirrors.iter().filter_map(|mirror| {
        let name = mirror.name(image.repository());
        let (registry, repository) = name.split_once('/')?;
        Some(Place {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            mirror: Some(mirror.to_string()),
        })
    });
    let own = Place {
        registry: image.registry().to_owned(),
        repository: image.repository().to_owned(),
        mirror: None,
    };
    mirrors.chain([own]).collect()
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// What a reference stands for: the registry's word on its own tag is final.
    Reference,
    /// The bytes of a digest, which are the same wherever they come from.
    Bytes,
}

/// Asks one after another.
pub(super) struct Turns<'a> {
    context: &'a Context,
    places: &'a [Place],
    /// Whether mirrors may say what a tag stands for.
    mirrors_resolve: bool,
    logins: Vec<Credentials>,
    /// What was told about mirrors already.
    told: RefCell<Vec<String>>,
}

impl<'a> Turns<'a> {
    /// Without a login for anybody yet.
    pub(super) fn new(context: &'a Context, places: &'a [Place], plan: &Plan) -> Self {
        Self {
            context,
            places,
            mirrors_resolve: plan.mirrors_may_resolve(),
            logins: Vec::new(),
            told: RefCell::default(),
        }
    }

    /// Gets the login of each, its own host's and no other's. Some end after a while, so before everything long.
    pub(super) async fn log_in(
        &mut self,
        plan: &Plan,
        secrets: &Fetcher<'_>,
        deadline: Instant,
    ) -> Result<(), BootError> {
        self.logins.clear();
        for auth in &plan.mirror_auths {
            let login = login::of(self.context, auth, secrets, deadline);
            match within(MIRROR_LOGIN, login).await {
                Ok(login) => self.logins.push(login),
                Err(why) => self.tell(format!(
                    "the mirror {} is asked without a login: {why}",
                    auth.registry
                )),
            }
        }
        self.logins
            .extend(login::credentials(self.context, plan, secrets, deadline).await?);
        Ok(())
    }

    /// In the order they are asked.
    pub(super) fn places(&self) -> &'a [Place] {
        self.places
    }

    /// The login for a host, and for no other.
    pub(super) fn login(&self, place: &Place) -> Option<&Credentials> {
        self.logins.iter().find(|login| login.registry == place.registry)
    }

    /// The first answer. A mirror that has none is told, once for each reason; what is nobody's but this machine's
    /// fault ends the round.
    pub(super) async fn ask<T>(
        &self,
        question: Question,
        ask: impl AsyncFn(&'a Place, Option<&Credentials>) -> Result<T, ImageError>,
    ) -> Result<(&'a Place, T), ImageError> {
        let mut failures = Vec::new();
        for place in asked(question, self.mirrors_resolve, self.places) {
            match ask(place, self.login(place)).await {
                Ok(answer) => return Ok((place, answer)),
                Err(error) if !error.is_of_registry() => return Err(error),
                Err(error) => {
                    if let Some(mirror) = &place.mirror {
                        self.tell(format!("the mirror {mirror} is passed over: {}", chain(&error)));
                    }
                    failures.push(error);
                }
            }
        }
        let (chosen, of_registry) = chosen(question, failures);
        if let (Some(error), Some(own)) = (of_registry, self.places.last()) {
            self.tell(format!(
                "{} itself does not have the image either, and only a mirror is waited for: {}",
                own.registry,
                chain(&error)
            ));
        }
        Err(chosen)
    }

    fn tell(&self, text: String) {
        let mut told = self.told.borrow_mut();
        if !told.contains(&text) {
            told.push(text.clone());
            drop(told);
            self.context.reporter.tell(Event::Warning { text });
        }
    }
}

/// Who is asked: for a tag perhaps the registry alone, which is the last.
fn asked(question: Question, mirrors_resolve: bool, places: &[Place]) -> &[Place] {
    match question {
        Question::Reference if !mirrors_resolve => places.last().map_or(&[], std::slice::from_ref),
        Question::Reference | Question::Bytes => places,
    }
}

/// A mirror's login, or why there is none.
async fn within<T>(time: Duration, login: impl Future<Output = Result<T, BootError>>) -> Result<T, String> {
    match tokio::time::timeout(time, login).await {
        Ok(result) => result.map_err(|error| chain(&error)),
        Err(_) => Err(format!("none was to be had within {}", text::duration(time))),
    }
}

/// The failure that counts: the registry's own, which is the last, unless a mirror's may pass, the registry's may not,
/// and the mirror is as good. Then the registry's comes second.
fn chosen(question: Question, mut failures: Vec<ImageError>) -> (ImageError, Option<ImageError>) {
    let last = failures.len().saturating_sub(1);
    let may_pass = failures
        .iter()
        .rposition(|error| error.class() != Class::Permanent)
        .filter(|_| question == Question::Bytes);
    // There is always the registry itself.
    let own = failures.swap_remove(last);
    match may_pass {
        Some(at) if at < last => (failures.swap_remove(at), Some(own)),
        Some(_) | None => (own, None),
    }
}

#[cfg(test)]
mod tests {
    use monopod_core::config::{self, ImageRef};

    use super::*;
    use crate::host::docker::{EngineError, What};

    fn denied(image: &str) -> ImageError {
        let what = What::Pull {
            image: image.to_owned(),
        };
        ImageError::Engine(EngineError::RegistryDenied {
            what,
            message: "no".to_owned(),
        })
    }

    fn down(image: &str) -> ImageError {
        let what = What::Pull {
            image: image.to_owned(),
        };
        ImageError::Engine(EngineError::Refused {
            what,
            status: 500,
            message: "refused".to_owned(),
        })
    }

    #[test]
    fn a_failure_that_may_pass_is_tried_again_whoever_had_it() {
        for (failures, wanted, told) in [
            (vec![denied("a"), denied("b")], "b", None),
            (vec![down("a"), denied("b")], "a", Some("b")),
            (vec![down("a"), down("m"), denied("b")], "m", Some("b")),
            (vec![denied("a"), down("b")], "b", None),
            (vec![down("a"), down("b")], "b", None),
        ] {
            let (error, own) = chosen(Question::Bytes, failures);
            assert!(error.to_string().contains(&format!("pull {wanted}")), "{error}");
            let own = own.map(|own| own.to_string());
            assert_eq!(own.is_some(), told.is_some());
            assert!(own.is_none_or(|own| own.contains("pull b")));
        }
    }

    #[test]
    fn what_the_registry_says_of_its_tag_is_final_whatever_a_mirror_may_say_later() {
        let (error, other) = chosen(Question::Reference, vec![down("a"), denied("b")]);
        assert!(error.to_string().contains("pull b") && other.is_none(), "{error}");
        assert_eq!(error.class(), Class::Permanent);
    }

    #[test]
    fn a_tag_may_be_the_registrys_alone_to_explain_and_bytes_are_anybodys() {
        let place = |registry: &str| Place {
            registry: registry.to_owned(),
            repository: "app".to_owned(),
            mirror: None,
        };
        let all = [place("mirror"), place("own")];
        let names = |question, resolve| -> Vec<&str> {
            let asked = asked(question, resolve, &all).iter();
            asked.map(|place| place.registry.as_str()).collect()
        };
        assert_eq!(names(Question::Reference, true), ["mirror", "own"]);
        assert_eq!(names(Question::Reference, false), ["own"]);
        assert_eq!(names(Question::Bytes, false), ["mirror", "own"]);
    }

    #[tokio::test]
    async fn a_mirrors_login_is_not_waited_for_until_the_budget_is_spent() {
        let never = std::future::pending::<Result<(), BootError>>();
        let login = within(Duration::from_millis(1), never).await;
        assert_eq!(login, Err("none was to be had within 1 ms".to_owned()));
    }

    #[test]
    fn mirrors_come_first_and_know_the_image_by_their_own_names() {
        let text = "#taupage-ami-config\napplication_id: app\napplication_version: '1'\nsource: nginx:1.2\n\
                    registry_mirrors: {docker.io: [mirror.example.org, 'other.example.org/hub'], a.org: [b.org]}\n";
        let report = config::parse(text.as_bytes(), "user data");
        let plan = Plan::new(report.planned().unwrap(), Vec::new(), None);
        let image = ImageRef::parse("nginx:1.2").unwrap();
        let names: Vec<String> = places(&plan, &image)
            .iter()
            .map(|place| place.as_written(&image))
            .collect();
        assert_eq!(
            names,
            [
                "mirror.example.org/library/nginx:1.2",
                "other.example.org/hub/library/nginx:1.2",
                "docker.io/library/nginx:1.2"
            ]
        );
    }
}
