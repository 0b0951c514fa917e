//! The grants there are, and what has to be done for each. One task owns them.
//!
//! ```text
//! begin:  state file ─► record `granted` ─► user, home ─► key
//! end:    state file says Ending ─► no key ─► no user ─► processes killed, looked at again ─► no home ─► record ─► no state file
//! ```
//!
//! Killed between any two of these, the next daemon finds the state file and goes on.

mod end;
mod left;
mod numbers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use monopod_core::access::{
    ADMIN_GROUP, AccessRecord, Grant, Granted, Host, Next, Phase, PublicKey, Role, UIDS, UserName, What, Why,
    next,
};
use nix::unistd::Group;

use end::End;
use numbers::{Mark, Numbers};

use super::processes::{Reach, sweep};
use super::records::Records;
use super::{Places, accounts};
use crate::host::files::{self, FileError};
use crate::host::{Class, Classified, chain, clock};

/// Somebody who proved a key just before it was removed shows up within this.
const AFTERWARDS_MS: u64 = 10_000;
/// Names of our own below the directory where keys lie.
const RESERVED: [&str; 2] = ["home", "state"];
/// What makes an admin one.
const SUDO: &str = "/usr/bin/sudo";

/// What a grant consists of, once it may be.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) user: UserName,
    pub(super) role: Role,
    pub(super) seconds: u64,
    pub(super) reason: String,
    pub(super) remote_host: Option<Host>,
    pub(super) keys: Vec<PublicKey>,
    pub(super) by: String,
    pub(super) from: Option<String>,
}

/// It is not granted.
#[derive(Debug, thiserror::Error)]
pub(super) enum GrantError {
    /// Somebody of the machine's own.
    #[error("{0} is a user or a group of this machine, or a name of our own: grant another name")]
    Taken(UserName),
    /// It is on its way out.
    #[error("the last grant of {0} is just ending: try again in a moment")]
    Ending(UserName),
    /// A login does not change its groups.
    #[error("{user} has a grant as {role}: revoke it first")]
    OtherRole {
        /// Whose.
        user: UserName,
        /// The one it has.
        role: &'static str,
    },
    /// All numbers were somebody's.
    #[error("{} users were let in since the machine booted, and no number is used twice: boot it", UIDS.count())]
    NoNumber,
    /// No way to be root.
    #[error(
        "an admin needs {SUDO} and the group {ADMIN_GROUP} with a rule for it: install sudo and the monopod package"
    )]
    NoSudo,
    /// Who there is.
    #[error("cannot ask whether {user} is a user of this machine")]
    Names {
        /// Whom.
        user: UserName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// tmpfs is full, or not there.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Classified for GrantError {
    fn class(&self) -> Class {
        match self {
            Self::Taken(_) | Self::OtherRole { .. } | Self::NoNumber | Self::NoSudo => Class::Permanent,
            Self::Ending(_) | Self::Names { .. } | Self::File(_) => Class::Transient,
        }
    }
}

/// The grants.
#[derive(Debug)]
pub(super) struct Grants {
    places: Places,
    boot_id: String,
    grants: BTreeMap<UserName, Grant>,
    ends: BTreeMap<UserName, End>,
    /// Numbers whose grants ended a moment ago, and until when to look.
    afterwards: BTreeMap<u32, u64>,
    /// Made whole since this daemon began.
    whole: BTreeSet<UserName>,
    numbers: Numbers,
    mark: Mark,
    records: Records,
}

impl Grants {
    /// Reads what the last daemon left behind.
    pub(super) fn load(places: Places, boot_id: String) -> Result<Self, FileError> {
        accounts::ensure_directories(&places)?;
        let state = accounts::state(&places);
        let mut numbers = Numbers::read(&state.join("numbers"), &boot_id)?;
        let mut records = Records::open(&places.directory, &boot_id);
        let (grants, garbled) = left::read(&places)?;
        for (user, grant) in grants.iter().filter(|(_, grant)| grant.boot_id == boot_id) {
            numbers.given.entry(user.clone()).or_insert(grant.uid);
        }
        let afterwards = left::clear(&places, &grants, &garbled, &numbers, &mut records)?;
        Ok(Self {
            mark: Mark::read(&places.numbers),
            records,
            numbers,
            places,
            boot_id,
            grants,
            ends: BTreeMap::new(),
            afterwards,
            whole: BTreeSet::new(),
        })
    }

    /// Whether there is nothing to hold and nothing to end.
    pub(super) fn is_idle(&self) -> bool {
        self.grants.is_empty() && self.afterwards.is_empty()
    }

    /// Whether there is, or was a moment ago, a grant of this user.
    pub(super) fn has(&self, user: &UserName) -> bool {
        self.grants.contains_key(user)
    }

    /// Lets somebody in, or, who is in by the same role, longer and with these keys.
    pub(super) fn ensure_granted(&mut self, wanted: Wanted) -> Result<Granted, GrantError> {
        let now = clock::since_boot_millis();
        let before = self.grants.get(&wanted.user).cloned();
        let uid = match &before {
            Some(grant) if next(grant, &self.boot_id, now) == Next::GoOn => {
                return Err(GrantError::Ending(wanted.user));
            }
            Some(grant) if grant.role != wanted.role => {
                return Err(GrantError::OtherRole {
                    user: wanted.user,
                    role: grant.role.word(),
                });
            }
            Some(grant) => grant.uid,
            None => self.number(&wanted.user)?,
        };
        if wanted.role == Role::Admin
            && (!Path::new(SUDO).exists() || !matches!(Group::from_name(ADMIN_GROUP), Ok(Some(_))))
        {
            return Err(GrantError::NoSudo);
        }
        let until = now.saturating_add(wanted.seconds.saturating_mul(1000));
        let grant = Grant {
            uid,
            role: wanted.role,
            reason: wanted.reason,
            by: wanted.by,
            from: wanted.from,
            remote_host: wanted.remote_host,
            keys: wanted.keys,
            boot_id: self.boot_id.clone(),
            from_ms: before.as_ref().map_or(now, |before| before.from_ms),
            until_ms: before.as_ref().map_or(until, |before| before.until_ms.max(until)),
            recorded: false,
            phase: Phase::Live,
            user: wanted.user.clone(),
        };
        let was_there = before.is_some();
        self.keep(grant)?;
        // Who is let in again is no straggler of the last time.
        self.afterwards.remove(&uid);
        let made = self.ensure_whole(&wanted.user);
        if let Err(error) = made {
            // It is told that it failed, so it is taken back; who had one before keeps what is there of it until its end.
            if !was_there {
                self.begin_end(&wanted.user, Why::Failed, None);
            }
            return Err(error.into());
        }
        self.listed(None)
            .into_iter()
            .find(|granted| granted.user == wanted.user)
            .ok_or(GrantError::Ending(wanted.user))
    }

    /// The user's number of this boot.
    fn number(&mut self, user: &UserName) -> Result<u32, GrantError> {
        let names = |source| GrantError::Names {
            user: user.clone(),
            source,
        };
        let given = self.numbers.given.get(user).copied();
        if RESERVED.contains(&user.as_str()) || accounts::is_taken(user, given).map_err(names)? {
            return Err(GrantError::Taken(user.clone()));
        }
        if let Some(uid) = given {
            return Ok(uid);
        }
        for uid in self.numbers.free(&self.mark) {
            if !accounts::is_used(uid).map_err(names)? {
                let numbers = self.numbers.with(user, uid);
                let text = serde_json::to_vec(&numbers).unwrap_or_default();
                files::ensure_private_content(&accounts::state(&self.places).join("numbers"), &text)?;
                // Not before it is written: the next daemon would give it to somebody else.
                self.numbers = numbers;
                self.mark.keep(uid);
                return Ok(uid);
            }
        }
        Err(GrantError::NoNumber)
    }

    fn state_file(&self, user: &UserName) -> PathBuf {
        accounts::state(&self.places).join(format!("{user}.json"))
    }

    fn keep(&mut self, grant: Grant) -> Result<(), FileError> {
        let text = serde_json::to_vec(&grant).unwrap_or_default();
        files::ensure_private_content(&self.state_file(&grant.user), &text)?;
        self.grants.insert(grant.user.clone(), grant);
        Ok(())
    }

    /// Everything that a live grant consists of is there. The record comes first: nobody logs in without one.
    fn ensure_whole(&mut self, user: &UserName) -> Result<(), FileError> {
        let Some(mut grant) = self.grants.get(user).cloned() else {
            return Ok(());
        };
        let until = wall_millis(grant.left_ms(clock::since_boot_millis()));
        if !grant.recorded {
            let onward = grant.remote_host.as_ref();
            self.records.write(AccessRecord {
                reason: Some(grant.reason.clone()),
                from: grant.from.clone(),
                until: Some(until),
                detail: onward.map(|host| format!("leads on to {host}")),
                ..about(&grant, What::Granted, Some(grant.by.clone()))
            })?;
            grant.recorded = true;
            self.keep(grant.clone())?;
        }
        accounts::ensure_user(&self.places, &grant)?;
        // Not before the last moment of the grant: sshd counts in whole seconds.
        accounts::ensure_key(&self.places, &grant, until.div_ceil(1000))?;
        self.whole.insert(user.clone());
        Ok(())
    }

    /// The wall clock was set: the second lock says its time again.
    pub(super) fn clock_was_set(&mut self) {
        self.whole.clear();
    }

    /// Takes a grant back; whether there is one.
    pub(super) fn ensure_revoked(&mut self, user: &UserName, by: &str) -> bool {
        let there = self.has(user);
        if there {
            self.begin_end(user, Why::Revoked, Some(by.to_owned()));
        }
        there
    }

    /// Does what the moment asks for; when to come again, in milliseconds since the boot.
    pub(super) fn step(&mut self) -> Option<u64> {
        let now = clock::since_boot_millis();
        let mut soonest: Option<u64> = None;
        let mut again = |at: u64| soonest = Some(soonest.map_or(at, |soonest| soonest.min(at)));
        for user in self.grants.keys().cloned().collect::<Vec<_>>() {
            let Some(grant) = self.grants.get(&user) else {
                continue;
            };
            match next(grant, &self.boot_id, now) {
                Next::Hold { .. } => {
                    again(grant.until_ms);
                    if !self.whole.contains(&user)
                        && let Err(error) = self.ensure_whole(&user)
                    {
                        tracing::error!("{user} cannot log in yet: {}", chain(&error));
                        again(now + 1000);
                    }
                }
                Next::End(why) => {
                    self.begin_end(&user, why, None);
                    again(now);
                }
                Next::GoOn => {
                    if let Some(at) = self.go_on(&user, now) {
                        again(at);
                    }
                }
            }
        }
        self.afterwards.retain(|_, until| *until > now);
        for uid in self.afterwards.keys() {
            let found = sweep(*uid, Reach::Logins);
            if !found.is_clean() {
                tracing::warn!("user {uid} was here after its login had ended: killed");
            }
            again(now + 500);
        }
        soonest
    }

    /// Records what happened. It has happened, whether or not that can be written.
    pub(super) fn note(&mut self, record: AccessRecord) {
        if let Err(error) = self.records.write(record) {
            tracing::error!("only the journal has this: {}", chain(&error));
        }
    }

    /// A login or its end, of anybody. One of ours without a grant was quicker than its end, and is sent away.
    pub(super) fn session(&mut self, record: AccessRecord) {
        let user = UserName::parse(&record.user).ok();
        let grant = user.as_ref().and_then(|user| self.grants.get(user));
        let role = grant.map(|grant| grant.role);
        let is_live = grant.is_some_and(|grant| grant.phase == Phase::Live);
        if let Some(uid) = user.and_then(|user| self.numbers.given.get(&user)).copied()
            && !is_live
            && record.what == What::Login
        {
            self.afterwards
                .insert(uid, clock::since_boot_millis() + AFTERWARDS_MS);
        }
        self.note(AccessRecord { role, ..record });
    }

    /// Who may log in, and who is being sent away.
    pub(super) fn listed(&self, only: Option<u32>) -> Vec<Granted> {
        let now = clock::since_boot_millis();
        let shown = self
            .grants
            .values()
            .filter(|grant| only.is_none_or(|uid| uid == grant.uid));
        shown
            .map(|grant| Granted {
                user: grant.user.clone(),
                uid: grant.uid,
                role: grant.role,
                reason: grant.reason.clone(),
                by: grant.by.clone(),
                remote_host: grant.remote_host.clone(),
                seconds_left: grant.left_ms(now).div_ceil(1000),
                until: wall_millis(grant.left_ms(now)),
                ending: grant.phase != Phase::Live,
            })
            .collect()
    }
}

fn about(grant: &Grant, what: What, by: Option<String>) -> AccessRecord {
    AccessRecord {
        role: Some(grant.role),
        by,
        ..AccessRecord::new(what, grant.user.as_str())
    }
}

/// A moment as the wall clock goes now.
fn wall_millis(left_ms: u64) -> u64 {
    clock::now_millis().saturating_add(left_ms)
}
