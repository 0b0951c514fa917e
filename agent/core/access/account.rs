//! A user without a disk: records that systemd's name service reads from `/run/userdb`, and sshd's line.

use serde_json::{Value, json};

use super::{Grant, UserName};

/// Files of one user, below the directory of records, and below its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Names and contents.
    pub files: Vec<(String, String)>,
    /// Names and what they lead to.
    pub links: Vec<(String, String)>,
}

impl Account {
    /// Of a grant; `home` is the user's.
    pub fn of(grant: &Grant, home: &str) -> Self {
        let (name, uid) = (grant.user.as_str(), grant.uid);
        let user = json!({
            "userName": name,
            "realName": "Access for a time, by monopod",
            "uid": uid,
            "gid": uid,
            "homeDirectory": home,
            "shell": "/bin/bash",
            "disposition": "regular",
            "service": "monopod-access",
        });
        let group =
            json!({ "groupName": name, "gid": uid, "disposition": "regular", "service": "monopod-access" });
        let line = |value: &Value| format!("{value}\n");
        let mut files = vec![
            (format!("{name}.group"), line(&group)),
            (format!("{name}.user"), line(&user)),
        ];
        let groups = grant.role.groups().iter();
        // The name says it all, but an empty file would count as taken away.
        files.extend(groups.map(|group| (membership(&grant.user, group), "{}\n".to_owned())));
        Self {
            files,
            links: vec![
                (format!("{uid}.group"), format!("{name}.group")),
                (format!("{uid}.user"), format!("{name}.user")),
            ],
        }
    }

    /// Every name that a grant of this user may have left, whatever its role was.
    pub fn names(user: &UserName, uid: u32) -> Vec<String> {
        let mut names = vec![
            format!("{uid}.user"),
            format!("{uid}.group"),
            format!("{user}.user"),
            format!("{user}.group"),
        ];
        let groups = super::Role::Admin.groups().iter();
        names.extend(groups.map(|group| membership(user, group)));
        names
    }
}

fn membership(user: &UserName, group: &str) -> String {
    format!("{user}:{group}.membership")
}

/// The user's file of keys. `until` is the end in seconds since the epoch as the clock goes now: a second lock, should
/// nobody be there to turn the first. Everything is off but a terminal, and, where the grant leads on to another host, a
/// way to that host's sshd.
pub fn authorized_keys(grant: &Grant, until: u64) -> String {
    let time: String = crate::text::timestamp(until)
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let onward = grant.remote_host.as_ref().map_or_else(String::new, |host| {
        // Forwarding is one switch for both ways; nobody but root can listen on that port.
        format!(
            ",port-forwarding,permitopen=\"{}:22\",permitlisten=\"localhost:1\"",
            host.before_port()
        )
    });
    grant.keys.iter().fold(String::new(), |text, key| {
        format!(
            "{text}expiry-time=\"{time}Z\",restrict,pty{onward} {} monopod:{}\n",
            key.line(),
            grant.user
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::grant::tests::grant;
    use super::super::{Host, Role};
    use super::*;

    #[test]
    fn a_user_has_records_of_its_own_and_all_of_them_are_known() {
        for (role, groups) in [(Role::Guest, 2), (Role::Admin, 3)] {
            let grant = Grant { role, ..grant() };
            let account = Account::of(&grant, "/run/monopod-access/home/alice");
            assert_eq!(account.files.len(), 2 + groups);
            let names = Account::names(&grant.user, grant.uid);
            let all = account.files.iter().chain(&account.links);
            for (name, _) in all {
                assert!(names.contains(name), "{name}");
            }
            let user: Value = serde_json::from_str(&account.files[1].1).unwrap();
            assert_eq!(
                (&user["uid"], &user["userName"], &user["homeDirectory"]),
                (
                    &json!(grant.uid),
                    &json!("alice"),
                    &json!("/run/monopod-access/home/alice")
                )
            );
            assert!(user.get("privileged").is_none(), "no password, so none is right");
        }
    }

    #[test]
    fn the_line_says_when_it_ends_and_allows_a_terminal() {
        let grant = grant();
        let line = authorized_keys(&grant, 1_795_234_615);
        let key = grant.keys[0].line();
        assert_eq!(
            line,
            format!("expiry-time=\"20261121041655Z\",restrict,pty {key} monopod:alice\n")
        );
        let onward = Grant {
            remote_host: Host::parse("10.0.0.7").ok(),
            ..grant
        };
        assert!(authorized_keys(&onward, 0).contains(
            "restrict,pty,port-forwarding,permitopen=\"10.0.0.7:22\",permitlisten=\"localhost:1\" ssh-ed25519"
        ));
    }
}
