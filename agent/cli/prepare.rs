//! `monopod prepare`: disks, kernel settings, sshd and users, once a boot, before the container starts.

use std::sync::Arc;
use std::time::Duration;

use super::run::Options;
use crate::boot::error::{EXIT_PERMANENT, EXIT_TRANSIENT};
use crate::context::{Context, Directories};
use crate::host::docker::Engine;
use crate::host::{Class, Classified as _, chain, files};
use crate::prepare;
use crate::report::Reporter;

/// Below the agent's state: both work at the same time.
const STATE: &str = "prepare";

/// Runs once; the exit code.
pub(super) fn prepare(options: Options) -> u8 {
    let Options {
        directories,
        sources,
        log_targets,
        redactor,
        output,
    } = options;
    let directories = Directories {
        state: directories.state.join(STATE),
        ..directories
    };
    for directory in [&directories.runtime, &directories.state] {
        if let Err(error) = files::ensure_directory(directory) {
            tracing::error!("{}", chain(&error));
            return EXIT_TRANSIENT;
        }
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start the asynchronous runtime: {error}");
            return EXIT_TRANSIENT;
        }
    };
    // Nobody asks it anything: the engine may not be up for long.
    let engine = match Engine::new(std::env::var("DOCKER_HOST").ok().as_deref()) {
        Ok(engine) => engine,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            return EXIT_PERMANENT;
        }
    };
    let reporter = Reporter::beside_the_agent(Arc::clone(&redactor), output);
    let context = Context::new(engine, reporter, directories, sources, log_targets);
    let code = match runtime.block_on(prepare::prepare(&context)) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("{}", context.reporter.redacted(&chain(&error)));
            match error.class() {
                Class::Permanent => EXIT_PERMANENT,
                Class::Transient | Class::Throttled => EXIT_TRANSIENT,
            }
        }
    };
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}
