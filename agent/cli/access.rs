//! `monopod access`: a login that ends by itself. The commands ask the unit that holds the grants; `serve` is that unit.

use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use monopod_core::access::{
    ForcedCommand, Granted, Host, LONGEST_KEYS, Request, Role, SessionEnd, UserName, duration,
};
use monopod_core::text;
use serde_json::Value;

use super::{ImageArgs, pretty, print};
use crate::access::{self, Places, SOCKET, UNIT};
use crate::boot::error::{EXIT_PERMANENT, EXIT_TRANSIENT};
use crate::host::{Class, Classified as _, chain, local};

/// Nothing to revoke, and whatever the forced command refuses, as the original did.
const EXIT_NOTHING: u8 = 1;

/// The key service has ten seconds, and a user's processes have some to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// A login does not wait for its record.
const LOGIN_PATIENCE: Duration = Duration::from_secs(2);

const EXIT_CODES: &str = "Exit codes:
  0   done
  1   nothing was there to revoke; the forced command was refused
  2   wrong usage
  75  it could not be done now: the key service or the unit did not answer, or the user's last grant is just ending
  78  something must be changed first: the policy, the name, the key, who asks";

#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub(super) enum AccessCommand {
    /// Let a user log in, for a time, with a key; after it the user, its processes and its home are gone
    ///
    /// What it has put into /tmp and /var/tmp stays, and nobody else gets its number (uid) until the whole range, 294 of
    /// them, has gone round.
    Grant(GrantArgs),
    /// Show who may log in now, and until when
    List {
        /// For programs
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        socket: SocketArgs,
    },
    /// End a login now: its sessions are killed
    Revoke {
        /// Whose
        #[arg(value_parser = UserName::parse)]
        user: UserName,
        #[command(flatten)]
        socket: SocketArgs,
    },
    /// Hold the grants and end them in time (monopod-access.service; ends by itself when there is nothing to do)
    Serve(ServeArgs),
    /// Tell of a login or its end (from PAM, by pam_exec: reads PAM_USER, PAM_TYPE, PAM_RHOST, PAM_SERVICE); never fails
    Session {
        #[command(flatten)]
        socket: SocketArgs,
    },
    /// Do what the granting service asks for (sshd's ForceCommand: reads SSH_ORIGINAL_COMMAND), `grant-ssh-access NAME` or
    /// `revoke-ssh-access NAME`, each with or without `--remote-host HOST`
    ForcedCommand {
        #[command(flatten)]
        socket: SocketArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct SocketArgs {
    /// Where the unit listens
    #[arg(long, value_name = "SOCKET", default_value = SOCKET)]
    socket: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    /// Looks: status and logs; no root, no engine
    Guest,
    /// Root by sudo, where the image's policy allows it
    Admin,
}

#[derive(Debug, Args)]
pub(super) struct GrantArgs {
    /// Who: a name that nobody on this machine has
    #[arg(value_parser = UserName::parse)]
    user: UserName,
    /// How long, like 30m or 8h; the policy's default where it is left out
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    seconds: Option<u64>,
    /// Why; it stands in the audit record
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// What the user may do
    #[arg(long, value_enum, default_value_t = RoleArg::Guest)]
    role: RoleArg,
    /// The login may also lead on to this host (`ssh -J`), where it has to be granted too
    #[arg(long, value_name = "HOST", value_parser = Host::parse)]
    remote_host: Option<Host>,
    /// The user's public keys, as in id_ed25519.pub; `-` is standard input. Left out, the policy's key service is asked
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where keys, homes, state and record lie (tmpfs)
    #[arg(long, value_name = "DIR", default_value = access::DIRECTORY)]
    directory: PathBuf,
    /// Where systemd's name service looks for users (tmpfs)
    #[arg(long, value_name = "DIR", default_value = access::USERDB)]
    userdb_directory: PathBuf,
    /// Where the last number stands that a user got (on the disk)
    #[arg(long, value_name = "DIR", default_value = access::STATE, env = "STATE_DIRECTORY")]
    state_directory: PathBuf,
    #[command(flatten)]
    image: ImageArgs,
    #[command(flatten)]
    socket: SocketArgs,
}

/// Runs one of them.
pub(super) fn access(command: AccessCommand) -> u8 {
    match command {
        AccessCommand::Grant(args) => grant(args),
        AccessCommand::List { json, socket } => list(&socket.socket, json),
        AccessCommand::Revoke { user, socket } => revoke(&socket.socket, user),
        AccessCommand::Serve(args) => serve(args),
        AccessCommand::Session { socket } => session(&socket.socket),
        AccessCommand::ForcedCommand { socket } => forced_command(&socket.socket),
    }
}

fn grant(args: GrantArgs) -> u8 {
    let key = match args.key.as_deref().map(read_key).transpose() {
        Ok(key) => key,
        Err(error) => {
            let path = args.key.unwrap_or_default();
            tracing::error!("cannot read the key {}: {error}", path.display());
            return EXIT_PERMANENT;
        }
    };
    let user = args.user.clone();
    let request = Request::Grant {
        user: args.user,
        role: match args.role {
            RoleArg::Guest => Role::Guest,
            RoleArg::Admin => Role::Admin,
        },
        seconds: args.seconds,
        reason: Some(args.reason),
        remote_host: args.remote_host,
        key,
        from: None,
    };
    match ask(&args.socket.socket, &request, PATIENCE) {
        Answer::Done(value) => {
            print(&format!("{}\n", granted_line(&value, &user)));
            0
        }
        Answer::No { code, why } => {
            tracing::error!("{why}");
            code
        }
    }
}

/// A text of a few keys; one that is longer is none, whatever it is.
fn read_key(path: &Path) -> std::io::Result<String> {
    let limit = u64::try_from(LONGEST_KEYS).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    }
    Ok(text)
}

fn granted_line(answer: &Value, user: &UserName) -> String {
    match serde_json::from_value::<Granted>(answer.get("granted").cloned().unwrap_or_default()) {
        Ok(granted) => format!(
            "{user} may log in as {} for {}, until {}{}",
            granted.role.word(),
            text::duration(Duration::from_secs(granted.seconds_left)),
            text::timestamp(granted.until / 1000),
            granted.remote_host.map_or_else(String::new, |host| format!(
                "; and by way of this machine reach {host}, where it has to be granted too"
            )),
        ),
        Err(_) => format!("{user} may log in"),
    }
}

fn list(socket: &Path, json: bool) -> u8 {
    let value = match ask(socket, &Request::List, PATIENCE) {
        Answer::Done(value) => value,
        Answer::No { code, why } => {
            tracing::error!("{why}");
            return code;
        }
    };
    let grants = value.get("grants").cloned().unwrap_or_default();
    if json {
        print(&pretty(&grants));
        return 0;
    }
    let grants: Vec<Granted> = serde_json::from_value(grants).unwrap_or_default();
    if grants.is_empty() {
        print("nobody may log in by a grant\n");
    }
    for granted in grants {
        let left = if granted.ending {
            "is being sent away".to_owned()
        } else {
            let left = text::duration(Duration::from_secs(granted.seconds_left));
            format!("{left} left, until {}", text::timestamp(granted.until / 1000))
        };
        print(&format!(
            "{}  {}  {left}  by {}  reason: {}\n",
            granted.user,
            granted.role.word(),
            granted.by,
            granted.reason
        ));
    }
    0
}

fn revoke(socket: &Path, user: UserName) -> u8 {
    let name = user.clone();
    match ask(socket, &Request::Revoke { user, from: None }, PATIENCE) {
        Answer::Done(value) if was_there(&value) => {
            print(&format!(
                "{name} may not log in any more, and is not here any more\n"
            ));
            0
        }
        Answer::Done(_) => {
            tracing::error!("{name} has no grant: there is nothing to revoke");
            EXIT_NOTHING
        }
        Answer::No { code, why } => {
            tracing::error!("{why}");
            code
        }
    }
}

fn was_there(answer: &Value) -> bool {
    answer.get("revoked") == Some(&Value::Bool(true))
}

fn serve(args: ServeArgs) -> u8 {
    let places = Places {
        socket: args.socket.socket,
        directory: args.directory,
        userdb: args.userdb_directory,
        numbers: args.state_directory,
        configuration: args.image.configuration_directory,
    };
    let Some(runtime) = runtime() else {
        return EXIT_TRANSIENT;
    };
    match runtime.block_on(access::serve(places)) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            match error.class() {
                Class::Permanent => EXIT_PERMANENT,
                Class::Transient | Class::Throttled => EXIT_TRANSIENT,
            }
        }
    }
}

/// Whatever happens, the login goes on: who may log in was decided by then.
fn session(socket: &Path) -> u8 {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let what = match variable("PAM_TYPE").as_deref() {
        Some("open_session") => SessionEnd::Open,
        Some("close_session") => SessionEnd::Close,
        _ => {
            tracing::warn!("PAM_TYPE says neither open_session nor close_session, ignoring");
            return 0;
        }
    };
    let request = Request::Session {
        what,
        user: variable("PAM_USER").unwrap_or_default(),
        from: variable("PAM_RHOST"),
        service: variable("PAM_SERVICE"),
        pid: Some(who_let_in(std::os::unix::process::parent_id())),
    };
    if let Answer::No { why, .. } = ask(socket, &request, LOGIN_PATIENCE) {
        tracing::warn!("this login is not in the record, ignoring: {why}");
    }
    0
}

/// PAM starts us below `timeout`, so that we can delay no login: the process that lets somebody in is the one above it.
fn who_let_in(parent: u32) -> u32 {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{parent}/{file}")).ok();
    if read("comm").is_none_or(|name| name.trim_end() != "timeout") {
        return parent;
    }
    let status = read("status").unwrap_or_default();
    let above = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    above.and_then(|pid| pid.trim().parse().ok()).unwrap_or(parent)
}

fn forced_command(socket: &Path) -> u8 {
    let from: Option<IpAddr> = std::env::var("SSH_CONNECTION")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok());
    let line = std::env::var_os("SSH_ORIGINAL_COMMAND").unwrap_or_default();
    let command = match ForcedCommand::parse(line.as_bytes()) {
        Ok(command) => command,
        Err(error) => {
            tracing::error!("{error}");
            let detail = error.to_string();
            if let Answer::No { why, .. } = ask(socket, &Request::Refused { detail, from }, LOGIN_PATIENCE) {
                tracing::warn!("this is not in the record, ignoring: {why}");
            }
            return EXIT_NOTHING;
        }
    };
    let (request, name) = match command {
        ForcedCommand::Grant { user, remote_host } => {
            let name = user.clone();
            let request = Request::Grant {
                user,
                role: Role::Guest,
                seconds: None,
                reason: None,
                remote_host,
                key: None,
                from,
            };
            (request, name)
        }
        ForcedCommand::Revoke {
            user,
            keep_local: true,
            ..
        } => {
            print(&format!(
                "{user}: nothing is ended here, as asked (--keep-local)\n"
            ));
            return 0;
        }
        ForcedCommand::Revoke { user, .. } => {
            let name = user.clone();
            (Request::Revoke { user, from }, name)
        }
    };
    match ask(socket, &request, PATIENCE) {
        Answer::Done(value) if value.get("granted").is_some() => {
            print(&format!("{}\n", granted_line(&value, &name)));
            0
        }
        // The service asks again until it is told that it is so.
        Answer::Done(_) => {
            print(&format!("{name} may not log in any more\n"));
            0
        }
        Answer::No { why, .. } => {
            tracing::error!("{why}");
            EXIT_NOTHING
        }
    }
}

enum Answer {
    Done(Value),
    No { code: u8, why: String },
}

fn ask(socket: &Path, request: &Request, patience: Duration) -> Answer {
    let Some(runtime) = runtime() else {
        return Answer::No {
            code: EXIT_TRANSIENT,
            why: "cannot start the asynchronous runtime".to_owned(),
        };
    };
    let question = serde_json::to_value(request).unwrap_or_default();
    let answer = runtime.block_on(async {
        let deadline = tokio::time::Instant::now() + patience;
        local::ask(socket, UNIT, &question, deadline).await
    });
    match answer {
        Ok(value) => match value.get("error").and_then(Value::as_str) {
            None => Answer::Done(value),
            Some(why) => Answer::No {
                code: if value.get("permanent") == Some(&Value::Bool(true)) {
                    EXIT_PERMANENT
                } else {
                    EXIT_TRANSIENT
                },
                why: text::printable(why),
            },
        },
        Err(error) => Answer::No {
            code: match error.class() {
                Class::Permanent => EXIT_PERMANENT,
                Class::Transient | Class::Throttled => EXIT_TRANSIENT,
            },
            why: chain(&error),
        },
    }
}

fn runtime() -> Option<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| tracing::error!("cannot start the asynchronous runtime: {error}"))
        .ok()
}
