//! Commands: the daemon (`run`), what prepares its machine (`prepare`) and the person's tool (`validate`, `plan`, `encrypt`, `status`, `logs`,
//! `support-bundle`, `schema`, `explain`).
//!
//! Exit codes: 0 done; 1 warnings under `--strict`, a difference, lost log lines, a machine that is not healthy, or
//! nothing to show; 2 wrong usage; 3
//! log files that are not what was delivered of them; 75 a transient
//! failure that outlasted the boot budget; 78 something that must be changed first (sysexits(3)).

mod access;
mod drain;
mod encrypt;
mod explain;
mod firewall;
mod logs;
mod plan;
mod prepare;
mod read;
mod run;
mod status;
mod support_bundle;
mod validate;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use tracing::Level;

use crate::context::{Directories, LogTargets, Sources};
use crate::host::{image_layer, limits};
use crate::report::SharedRedactor;
use crate::report::output::Output;

/// One machine, one container: boots, guards and reports on a single container on an EC2 instance.
#[derive(Debug, Parser)]
#[command(name = "monopod", version, after_help = EXIT_CODES)]
struct Cli {
    /// How much to say on standard error
    #[arg(long, global = true, value_enum, default_value_t = Verbosity::Info, env = "MONOPOD_LOG")]
    log_level: Verbosity,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0   done, or stopped as asked
  1   validate --strict found warnings; plan --diff found differences; status found a machine that is not healthy
      (booting, degraded, failed, draining, drained, unhealthy, its agent gone); status, logs or drain found nothing;
      logs --verify found lines that are lost (gaps, holes)
  2   wrong usage
  3   logs --verify found a file that is not what was delivered of it
  75  a transient failure outlasted the boot budget (systemd starts the agent again), the minute that encrypt waits, or drain's timeout
  78  something must be changed first: user data, permissions, the image";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Verbosity {
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Boot this machine's container and look after it until stopped (the daemon)
    Run(RunArgs),
    /// See to what this machine's container needs before it starts: volumes, file systems, kernel settings, sshd; the agent waits
    /// for it (a unit of its own, once a boot)
    Prepare(RunArgs),
    /// Check user-data files and show every problem; exits 0 when they can be used, 78 when not
    Validate(ValidateArgs),
    /// Print what `run` would do with a user-data file, or compare two; touches nothing
    Plan(PlanArgs),
    /// Encrypt a value from standard input, or values of a file in place, with a KMS key
    Encrypt(encrypt::EncryptArgs),
    /// Show what runs here, since when, and how the boot went; exits 0 when it is healthy, 1 when not
    Status(StatusArgs),
    /// Take this machine out of its load balancers, stop the container and bring out its logs; there is no way back in
    /// this boot
    Drain {
        #[command(flatten)]
        drain: drain::DrainArgs,
        #[command(flatten)]
        run: Box<RunArgs>,
    },
    /// Print the container's log from the engine's files; with --verify, prove what each sink was given
    Logs(logs::LogsArgs),
    /// Let somebody log in to this machine for a time
    #[command(subcommand)]
    Access(access::AccessCommand),
    /// Hold the rules for the container's traffic, or show them
    Firewall(firewall::FirewallArgs),
    /// Gather what a maintainer needs to see of this machine into one file, without its secrets
    SupportBundle(support_bundle::SupportBundleArgs),
    /// Print the JSON Schema of user data, for editors and CI
    Schema {
        /// The schema of the image's policy file instead
        #[arg(long)]
        policy: bool,
        /// The schema of `monopod status --json` instead
        #[arg(long, conflicts_with = "policy")]
        status: bool,
    },
    /// Explain a key (`memory`, `mounts.*.filesystem`, `policy.allow.root`) or a code (`MP0310`); without one, list all
    Explain {
        /// The key or code
        word: Option<String>,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Read the user data from a file instead of the instance metadata service
    #[arg(long, value_name = "FILE")]
    user_data: Option<PathBuf>,
    /// Read the instance facts (YAML or JSON) from a file instead of the instance metadata service
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Where lock, hint and status lie (tmpfs)
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/run/monopod",
        env = "RUNTIME_DIRECTORY"
    )]
    runtime_directory: PathBuf,
    #[command(flatten)]
    image: ImageArgs,
    /// Where cursors lie (disk)
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/monopod",
        env = "STATE_DIRECTORY"
    )]
    state_directory: PathBuf,
    /// Directory of application.log, which the agent writes and rotates
    #[arg(long, value_name = "DIR", default_value = "/var/log", env = "LOGS_DIRECTORY")]
    logs_directory: PathBuf,
    /// Where the record of who came in lies
    #[arg(long, value_name = "DIR", default_value = "/run/monopod-access", hide = true)]
    access_directory: PathBuf,
    /// Where the machine's own units lie
    #[arg(long, value_name = "DIR", default_value = "/etc/systemd/system", hide = true)]
    unit_directory: PathBuf,
    /// The local syslog socket; `none` sends nothing to syslog
    #[arg(long, value_name = "SOCKET", default_value = "/dev/log")]
    syslog_socket: PathBuf,
}

#[derive(Debug, Args)]
struct ImageArgs {
    /// Where the machine image's own files lie: defaults.yaml, defaults.d/*.yaml, policy.yaml
    #[arg(
        long,
        value_name = "DIR",
        default_value = image_layer::DIRECTORY,
        env = "CONFIGURATION_DIRECTORY"
    )]
    configuration_directory: PathBuf,
}

#[derive(Debug, Args)]
struct ValidateArgs {
    /// The files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Exit 1 when there are warnings
    #[arg(long)]
    strict: bool,
    /// How problems are written
    #[arg(long, value_enum, default_value_t = validate::Format::Text)]
    format: validate::Format,
    #[command(flatten)]
    image: ImageArgs,
}

#[derive(Debug, Args)]
struct PlanArgs {
    /// The file; `-` is standard input. With --diff the old and the new one
    #[arg(required = true, num_args = 1..=2, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Compare the plans of two files; exits 1 when they differ
    #[arg(long)]
    diff: bool,
    /// Print the least IAM policy that allows the plan's AWS calls
    #[arg(long, conflicts_with_all = ["json", "diff"])]
    iam: bool,
    #[command(flatten)]
    image: ImageArgs,
    /// Plan for the machine these facts (YAML or JSON) describe
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// For programs; `monopod schema --status` says what is in it
    #[arg(long)]
    json: bool,
    /// One line, as it is shown at a login
    #[arg(long, conflicts_with = "json")]
    line: bool,
    /// Show it again whenever it changes, until Ctrl-C; a line a change where standard output is no terminal
    #[arg(long, conflicts_with_all = ["json", "line"])]
    watch: bool,
    /// Where the agent keeps its status
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/run/monopod",
        env = "RUNTIME_DIRECTORY"
    )]
    runtime_directory: PathBuf,
}

/// Parses, runs, and says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let redactor = SharedRedactor::default();
    let output = Output::new(Arc::clone(&redactor));
    output.install(match cli.log_level {
        Verbosity::Error => Level::ERROR,
        Verbosity::Warn => Level::WARN,
        Verbosity::Info => Level::INFO,
        Verbosity::Debug => Level::DEBUG,
    });
    if let Err(errno) = limits::forbid_core_dumps() {
        tracing::warn!("core dumps could not be switched off, ignoring: {errno}");
    }
    let code = match cli.command {
        Command::Run(args) => run::run(options(args, redactor, output)),
        Command::Prepare(args) => prepare::prepare(options(args, redactor, output)),
        Command::Drain { drain, run } => drain::drain(&drain, options(*run, redactor, output)),
        Command::Validate(args) => {
            let image = &args.image.configuration_directory;
            validate::validate(&args.files, image, args.strict, args.format)
        }
        Command::Plan(args) => plan(&args),
        Command::Encrypt(args) => encrypt::encrypt(&args, &redactor),
        Command::Status(args) => status::status(&args.runtime_directory, show(&args)),
        Command::Logs(args) => logs::logs(&args),
        Command::Access(command) => access::access(command),
        Command::SupportBundle(args) => support_bundle::support_bundle(&args, &redactor),
        Command::Firewall(args) => firewall::firewall(args),
        Command::Schema { status: true, .. } => explain::status_schema(),
        Command::Schema { policy, .. } => explain::schema(policy),
        Command::Explain { word } => explain::explain(word.as_deref()),
    };
    ExitCode::from(exit_code(code, OUTPUT_LOST.load(Ordering::Relaxed)))
}

/// A command that did all it should, but could not say it, failed.
fn exit_code(code: u8, output_lost: bool) -> u8 {
    if output_lost && code == 0 {
        EXIT_UNSAID
    } else {
        code
    }
}

const fn show(args: &StatusArgs) -> status::Show {
    match (args.json, args.line, args.watch) {
        (true, _, _) => status::Show::Json,
        (_, true, _) => status::Show::Line,
        (_, _, true) => status::Show::Watch,
        (false, false, false) => status::Show::Text,
    }
}

fn options(args: RunArgs, redactor: SharedRedactor, output: Output) -> run::Options {
    let syslog = (args.syslog_socket.as_os_str() != "none").then_some(args.syslog_socket);
    run::Options {
        directories: Directories {
            runtime: args.runtime_directory,
            state: args.state_directory,
            configuration: args.image.configuration_directory,
            access: args.access_directory,
            units: args.unit_directory,
        },
        sources: Sources {
            facts: args.facts,
            user_data: args.user_data,
        },
        log_targets: LogTargets {
            directory: args.logs_directory.clone(),
            application_log: Some(args.logs_directory.join("application.log")),
            syslog_socket: syslog,
        },
        redactor,
        output,
    }
}

fn plan(args: &PlanArgs) -> u8 {
    let show = match (args.json, args.iam) {
        (true, _) => plan::Show::Json,
        (false, true) => plan::Show::Iam,
        (false, false) => plan::Show::Text,
    };
    let (facts, image) = (
        args.facts.as_deref(),
        args.image.configuration_directory.as_path(),
    );
    match (args.diff, args.files.as_slice()) {
        (true, [old, new]) => plan::diff(old, new, facts, image, show),
        (false, [file]) => plan::plan(file, facts, image, show),
        (diff, _) => {
            let wanted = if diff {
                "--diff compares two files"
            } else {
                "one file makes one plan; --diff compares two"
            };
            Cli::command()
                .error(clap::error::ErrorKind::WrongNumberOfValues, wanted)
                .exit()
        }
    }
}

fn pretty(value: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// Something that was to be printed was not; one, because a process has one standard output.
static OUTPUT_LOST: AtomicBool = AtomicBool::new(false);
const EXIT_UNSAID: u8 = 1;

/// Says once what keeps it from printing; the exit code tells of it too.
fn print(text: &str) {
    if let Err(error) = write(&mut io::stdout().lock(), text)
        && !OUTPUT_LOST.swap(true, Ordering::Relaxed)
    {
        tracing::error!("cannot write to standard output: {error}");
    }
}

/// A reader that went away (`| head`) is nobody's error.
fn write(output: &mut impl io::Write, text: &str) -> io::Result<()> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl io::Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_reader_that_went_away_is_no_error() {
        assert!(write(&mut Broken(io::ErrorKind::BrokenPipe), "a plan\n").is_ok());
        let error = write(&mut Broken(io::ErrorKind::StorageFull), "a plan\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(
            [exit_code(0, false), exit_code(0, true), exit_code(78, true)],
            [0, 1, 78]
        );
    }
}
