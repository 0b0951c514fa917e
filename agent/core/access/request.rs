//! Who may ask for what.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::record::chosen_text;
use super::{Host, KeyError, PublicKey, Role, UserName, public_keys};
use crate::text::duration;

/// Characters of a reason.
const LONGEST_REASON: usize = 500;

/// What the image's policy says about access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRules {
    /// Where keys come from: `<url>/public-keys/NAME/sshkey.pub`.
    pub key_service: Option<String>,
    /// Seconds of a grant that says nothing.
    pub default_seconds: u64,
    /// Seconds of the longest.
    pub max_seconds: u64,
    /// Whether anybody may be root.
    pub admin: bool,
}

impl Default for AccessRules {
    fn default() -> Self {
        Self {
            key_service: None,
            default_seconds: 3600,
            max_seconds: 24 * 3600,
            admin: false,
        }
    }
}

/// Who asks, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// uid 0.
    Root,
    /// The user of the forced command.
    Service,
    /// Anybody else, by number.
    Other(u32),
}

/// A question, as it comes over the socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Let somebody in.
    Grant {
        /// Whom.
        user: UserName,
        /// What the user may do.
        role: Role,
        /// How long; nothing is the policy's default.
        #[serde(default)]
        seconds: Option<u64>,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
        /// Where the login leads on to.
        #[serde(default)]
        remote_host: Option<Host>,
        /// The text of a file of keys; nothing is what the key service says.
        #[serde(default)]
        key: Option<String>,
        /// Where it is asked from.
        #[serde(default)]
        from: Option<IpAddr>,
    },
    /// Let nobody of that name in any more.
    Revoke {
        /// Whom.
        user: UserName,
        /// Where it is asked from.
        #[serde(default)]
        from: Option<IpAddr>,
    },
    /// Who may log in now.
    List,
    /// Something was asked for that the forced command does not take.
    Refused {
        /// What was wrong with it, in words of ours.
        detail: String,
        /// Where it was asked from.
        #[serde(default)]
        from: Option<IpAddr>,
    },
    /// A login or its end, from PAM; of any user of the machine.
    Session {
        /// Which.
        what: SessionEnd,
        /// Whose.
        user: String,
        /// From where.
        #[serde(default)]
        from: Option<String>,
        /// By which door.
        #[serde(default)]
        service: Option<String>,
        /// The process that is the session.
        #[serde(default)]
        pid: Option<u32>,
    },
}

/// Which end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionEnd {
    /// It begins.
    Open,
    /// It is over.
    Close,
}

/// A grant as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Who.
    pub user: UserName,
    /// The user's number.
    pub uid: u32,
    /// What it may do.
    pub role: Role,
    /// Why.
    pub reason: String,
    /// Who granted it.
    pub by: String,
    /// Where the login leads on to.
    pub remote_host: Option<Host>,
    /// Seconds that are left, rounded up.
    pub seconds_left: u64,
    /// The end, in milliseconds since the epoch, as the clock goes now.
    pub until: u64,
    /// Who is there is being sent away.
    pub ending: bool,
}

/// What is to be done, once it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Let somebody in.
    Grant {
        /// Whom.
        user: UserName,
        /// What the user may do.
        role: Role,
        /// How long.
        seconds: u64,
        /// Why.
        reason: String,
        /// Where the login leads on to.
        remote_host: Option<Host>,
        /// What it is proved with.
        proof: Proof,
    },
    /// Let nobody of that name in any more.
    Revoke {
        /// Whom.
        user: UserName,
    },
    /// Say who may log in now.
    List {
        /// Only the one of this number.
        only: Option<u32>,
    },
    /// Record it.
    Record,
}

/// What a login is proved with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// These keys.
    Keys(Vec<PublicKey>),
    /// Those that the key service has at this address.
    Fetch(String),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither root nor the granting service.
    #[error("only root and the user granting-service may ask for that")]
    NotYou,
    /// The granting service asked for more than it may.
    #[error(
        "the granting service grants guests, for the policy's default_duration, with keys of the key service: {0} is not its to say"
    )]
    NotTheService(&'static str),
    /// Root is root already.
    #[error(
        "nobody is let in as root: grant a name of its own, with --role admin where the policy allows it"
    )]
    NoRoot,
    /// The policy.
    #[error(
        "the policy of the machine's image allows no admin: it says nothing of `allow.admin_access: true` in /etc/monopod/policy.yaml"
    )]
    NoAdmin,
    /// The policy.
    #[error("the policy of the machine's image allows {} at most: `access.max_duration` in /etc/monopod/policy.yaml", duration(std::time::Duration::from_secs(*.max)))]
    TooLong {
        /// In seconds.
        max: u64,
    },
    /// No time at all.
    #[error("a grant lasts one second at least")]
    NoTime,
    /// Nobody will know later.
    #[error("say why: a reason of at most {LONGEST_REASON} characters")]
    NoReason,
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Nobody to ask.
    #[error(
        "there is no key: give one with --key FILE, or name the service that knows them in `access.key_service` of /etc/monopod/policy.yaml"
    )]
    NoKeyService,
}

/// Decides about a question.
pub fn may(asker: Asker, request: &Request, rules: &AccessRules) -> Result<Order, Refusal> {
    match (asker, request) {
        (Asker::Other(uid), Request::List) => Ok(Order::List { only: Some(uid) }),
        (Asker::Root | Asker::Service, Request::List) => Ok(Order::List { only: None }),
        (Asker::Other(_), _) | (Asker::Service, Request::Session { .. }) => Err(Refusal::NotYou),
        (Asker::Root, Request::Session { .. }) | (Asker::Root | Asker::Service, Request::Refused { .. }) => {
            Ok(Order::Record)
        }
        (Asker::Root | Asker::Service, Request::Revoke { user, .. }) => {
            Ok(Order::Revoke { user: user.clone() })
        }
        (
            Asker::Root | Asker::Service,
            Request::Grant {
                user,
                role,
                seconds,
                reason,
                remote_host,
                key,
                from: _,
            },
        ) => {
            if asker == Asker::Service {
                let said = [
                    (*role == Role::Admin, "the role admin"),
                    (seconds.is_some(), "a time"),
                    (reason.is_some(), "a reason"),
                    (key.is_some(), "a key"),
                ];
                if let Some((_, what)) = said.into_iter().find(|(said, _)| *said) {
                    return Err(Refusal::NotTheService(what));
                }
            }
            if user.as_str() == "root" {
                return Err(Refusal::NoRoot);
            }
            if *role == Role::Admin && !rules.admin {
                return Err(Refusal::NoAdmin);
            }
            Ok(Order::Grant {
                user: user.clone(),
                role: *role,
                seconds: time(*seconds, rules)?,
                reason: why(asker, reason.as_deref())?,
                remote_host: remote_host.clone(),
                proof: match (key, &rules.key_service) {
                    (Some(text), _) => Proof::Keys(public_keys(text.as_bytes())?),
                    (None, Some(url)) => Proof::Fetch(key_address(url, user)),
                    (None, None) => return Err(Refusal::NoKeyService),
                },
            })
        }
    }
}

fn time(seconds: Option<u64>, rules: &AccessRules) -> Result<u64, Refusal> {
    match seconds.unwrap_or(rules.default_seconds) {
        0 => Err(Refusal::NoTime),
        seconds if seconds > rules.max_seconds => Err(Refusal::TooLong {
            max: rules.max_seconds,
        }),
        seconds => Ok(seconds),
    }
}

fn why(asker: Asker, reason: Option<&str>) -> Result<String, Refusal> {
    if asker == Asker::Service {
        return Ok("asked for by the granting service".to_owned());
    }
    let reason = reason.unwrap_or_default();
    if reason.chars().count() > LONGEST_REASON {
        return Err(Refusal::NoReason);
    }
    Some(chosen_text(reason, LONGEST_REASON))
        .filter(|reason| !reason.is_empty())
        .ok_or(Refusal::NoReason)
}

/// Names hold nothing that an address would read otherwise.
fn key_address(url: &str, user: &UserName) -> String {
    format!("{}/public-keys/{user}/sshkey.pub", url.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::grant::tests::grant as a_grant;
    use super::*;

    fn rules() -> AccessRules {
        AccessRules {
            key_service: Some("https://even.example.org/".into()),
            ..AccessRules::default()
        }
    }

    fn request(more: &serde_json::Value) -> Request {
        let mut value = json!({"op": "grant", "user": "alice", "role": "guest"});
        value
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn root_grants_with_a_reason_and_within_the_policy() {
        let key = a_grant().keys[0].line();
        let asked =
            request(&json!({"seconds": 5, "reason": " why\n", "key": key, "remote_host": "10.0.0.1"}));
        assert_eq!(
            may(Asker::Root, &asked, &AccessRules::default()),
            Ok(Order::Grant {
                user: UserName::parse("alice").unwrap(),
                role: Role::Guest,
                seconds: 5,
                reason: "why".into(),
                remote_host: Host::parse("10.0.0.1").ok(),
                proof: Proof::Keys(a_grant().keys),
            })
        );
        let long = "x".repeat(501);
        for (more, error) in [
            (
                json!({"reason": "x", "seconds": 86_401}),
                Refusal::TooLong { max: 86_400 },
            ),
            (json!({"reason": "x", "seconds": 0}), Refusal::NoTime),
            (json!({}), Refusal::NoReason),
            (json!({"reason": " \n"}), Refusal::NoReason),
            (json!({"reason": long}), Refusal::NoReason),
            (json!({"reason": "x", "role": "admin"}), Refusal::NoAdmin),
            (json!({"reason": "x", "user": "root"}), Refusal::NoRoot),
            (json!({"reason": "x", "key": "id"}), Refusal::Key(KeyError::Type)),
        ] {
            assert_eq!(may(Asker::Root, &request(&more), &rules()), Err(error), "{more}");
        }
        let asked = request(&json!({"reason": "x"}));
        assert_eq!(
            may(Asker::Root, &asked, &AccessRules::default()),
            Err(Refusal::NoKeyService)
        );
        let admin = AccessRules {
            admin: true,
            ..rules()
        };
        let asked = request(&json!({"reason": "x", "role": "admin"}));
        assert!(may(Asker::Root, &asked, &admin).is_ok());
    }

    #[test]
    fn the_service_says_a_name_and_nothing_else() {
        let admin = AccessRules {
            admin: true,
            ..rules()
        };
        let Ok(Order::Grant { seconds, proof, .. }) = may(Asker::Service, &request(&json!({})), &admin)
        else {
            panic!("refused");
        };
        assert_eq!(seconds, 3600);
        assert_eq!(
            proof,
            Proof::Fetch("https://even.example.org/public-keys/alice/sshkey.pub".to_owned())
        );
        for more in [
            json!({"role": "admin"}),
            json!({"seconds": 5}),
            json!({"reason": "x"}),
            json!({"key": a_grant().keys[0].line()}),
        ] {
            let refused = may(Asker::Service, &request(&more), &admin);
            assert!(matches!(refused, Err(Refusal::NotTheService(_))), "{more}");
        }
        let session = json!({"op": "session", "what": "open", "user": "alice"});
        let session: Request = serde_json::from_value(session).unwrap();
        assert_eq!(may(Asker::Service, &session, &admin), Err(Refusal::NotYou));
        assert_eq!(may(Asker::Root, &session, &admin), Ok(Order::Record));
    }

    #[test]
    fn others_see_themselves() {
        let other = Asker::Other(60_706);
        assert_eq!(
            may(other, &Request::List, &rules()),
            Ok(Order::List { only: Some(60_706) })
        );
        for asked in [
            json!({"op": "grant", "user": "alice", "role": "guest", "reason": "x"}),
            json!({"op": "revoke", "user": "alice"}),
            json!({"op": "session", "what": "close", "user": "alice"}),
        ] {
            let asked: Request = serde_json::from_value(asked).unwrap();
            assert_eq!(may(other, &asked, &rules()), Err(Refusal::NotYou));
        }
    }

    #[test]
    fn what_is_no_question() {
        for asked in [
            json!({}),
            json!({"op": "exec"}),
            json!({"op": "revoke", "user": "../a"}),
            json!({"op": "revoke", "user": "a", "more": 1}),
            json!({"op": "grant", "user": "a", "role": "root"}),
            json!({"op": "grant", "user": "a", "role": "guest", "seconds": -1}),
            json!({"op": "grant", "user": "a", "role": "guest", "remote_host": "a;b"}),
        ] {
            assert!(
                serde_json::from_value::<Request>(asked.clone()).is_err(),
                "{asked}"
            );
        }
    }
}
