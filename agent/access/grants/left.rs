//! What the last daemon left behind of users who have no grant: whoever took the state away has not taken the login.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;

use monopod_core::access::{AccessRecord, Grant, UIDS, UserName, What};

use super::AFTERWARDS_MS;
use super::numbers::Numbers;
use crate::access::processes::{Reach, sweep};
use crate::access::records::Records;
use crate::access::{Places, accounts};
use crate::host::files::{self, FileError};
use crate::host::{chain, clock};

/// Reads the grants there are; and the names of those that are none of ours.
pub(super) fn read(places: &Places) -> Result<(BTreeMap<UserName, Grant>, BTreeSet<UserName>), FileError> {
    let state = accounts::state(places);
    let mut grants = BTreeMap::new();
    let mut garbled = BTreeSet::new();
    for name in files::names(&state)? {
        let Some(user) = name
            .strip_suffix(".json")
            .and_then(|name| UserName::parse(name).ok())
        else {
            continue;
        };
        let bytes = files::read(&state.join(&name))?.unwrap_or_default();
        match serde_json::from_slice::<Grant>(&bytes) {
            Ok(grant) if grant.user == user => {
                grants.insert(user, grant);
            }
            // We write by rename: it was somebody else.
            Ok(_) | Err(_) => {
                garbled.insert(user);
            }
        }
    }
    Ok((grants, garbled))
}

/// Nothing is left of users who have no grant. Says for whose processes to look again, and until when.
pub(super) fn clear(
    places: &Places,
    grants: &BTreeMap<UserName, Grant>,
    garbled: &BTreeSet<UserName>,
    numbers: &Numbers,
    records: &mut Records,
) -> Result<BTreeMap<u32, u64>, FileError> {
    let mut strays = garbled.clone();
    strays.extend(numbers.given.keys().cloned());
    strays.extend(accounts::keys(places)?);
    let mut afterwards = BTreeMap::new();
    for user in strays.iter().filter(|user| !grants.contains_key(*user)) {
        accounts::ensure_no_key(places, user)?;
        let uid = numbers.given.get(user).copied().or_else(|| owner(places, user));
        if let Some(uid) = uid.filter(|uid| grants.values().all(|grant| grant.uid != *uid)) {
            accounts::ensure_no_user(places, user, uid)?;
            if !sweep(uid, Reach::Logins).is_clean() {
                afterwards.insert(uid, clock::since_boot_millis() + AFTERWARDS_MS);
            }
        }
        if let Err(error) = accounts::ensure_no_home(places, user) {
            tracing::error!("the home of {user}, who has no grant, stays: {}", chain(&error));
        }
        if garbled.contains(user) {
            let record = AccessRecord {
                detail: Some("the note of its grant could not be read: the login was ended".to_owned()),
                ..AccessRecord::new(What::Failed, user.as_str())
            };
            if let Err(error) = records.write(record) {
                tracing::error!("only the journal has this: {}", chain(&error));
            }
            // Last: whoever is killed before finds it again.
            files::ensure_gone(&accounts::state(places).join(format!("{user}.json")))?;
        }
    }
    Ok(afterwards)
}

/// Whose number a home has, where nothing else says it.
fn owner(places: &Places, user: &UserName) -> Option<u32> {
    let meta = std::fs::symlink_metadata(accounts::home(places, user)).ok()?;
    Some(meta.uid()).filter(|uid| UIDS.contains(uid))
}
