//! From the plan to tasks: one pump for each source and sink.

use std::path::Path;
use std::sync::Arc;

use monopod_core::logs::{
    LineStyler, Origin, RotationPolicy, Route, Source, StreamName, SyslogFormat, Target, Treater, Treatment,
};
use monopod_core::otlp::Signal;
use monopod_core::plan::container::CUSTOM_LOG;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::cursor_file::CursorFile;
use super::desk::Command;
use super::files::Trust;
use super::pump::{Parts, Pump};
use super::redaction::Filter;
use super::sinks::Sink;
use super::sinks::application_log::ApplicationLog;
use super::sinks::cloudwatch::CloudWatch;
use super::sinks::logentries::Logentries;
use super::sinks::otlp::Otlp;
use super::sinks::rsyslog::{self, Rsyslog};
use super::sinks::s3;
use super::sinks::scalyr::Scalyr;
use super::sinks::syslog::Syslog;
use super::status::{Figures, Label};
use super::{Feed, LogsError, ORDERS, Shared, folder, locked, state_dir};

/// Starts everything the plan says: first what stays on the machine.
pub(super) async fn start(shared: &Arc<Shared>) -> Result<(), LogsError> {
    let options = &shared.options;
    let local = |target: &Path| Place {
        stream: StreamName::Applog,
        origin: Origin::Application,
        target: target.display().to_string(),
        distinct: None,
        treatment: Treatment::default(),
    };
    if let Some(path) = &options.application_log {
        let plan = &options.plan.application_log;
        let styler = LineStyler::new(
            &plan.format,
            plan.aws_metadata,
            plan.max_line,
            &options.attributes,
        )
        .map_err(LogsError::Template)?;
        let sink = ApplicationLog::new(
            path,
            styler,
            RotationPolicy::from(&plan.rotate),
            Arc::clone(&shared.lock),
        );
        add(shared, local(path), sink)?;
    }
    if let Some(path) = &options.syslog_socket {
        let sink = Syslog::new(path, SyslogFormat::Rfc3164, &options.attributes);
        add(shared, local(path), sink)?;
    }
    for route in &options.plan.routes {
        match &route.origin {
            Origin::Application | Origin::File(_) => ship(shared, route).await?,
            Origin::Folder(directory) => folder::watch(shared, route, Path::new(directory)),
        }
    }
    Ok(())
}

/// Starts one route, whose origin is no folder.
pub(super) async fn ship(shared: &Arc<Shared>, route: &Route) -> Result<(), LogsError> {
    let options = &shared.options;
    let place = |target: String| Place {
        stream: route.stream,
        origin: route.origin.clone(),
        distinct: Some(format!("{}\0{target}", route.origin)),
        target,
        treatment: route.treatment.clone(),
    };
    match &route.target {
        Target::S3(target) => {
            let file = match (&route.origin, route.stream) {
                (Origin::File(path), StreamName::Customlog | StreamName::File) => {
                    Path::new(path).file_name().and_then(|name| name.to_str())
                }
                _ => None,
            };
            let limits = s3::Limits::within(options.plan.budget);
            let (attributes, clients) = (&options.attributes, shared.s3.clone());
            let sink = s3::S3::new(target, route.stream, file, attributes, clients, limits);
            add(shared, place(format!("s3://{}", target.bucket)), sink)
        }
        Target::CloudWatch { group } => {
            let sink = CloudWatch::new(group, &options.attributes, shared.cloudwatch.clone());
            add(shared, place(format!("CloudWatch log group {group}")), sink)
        }
        Target::Scalyr(target) => {
            let file = match &route.origin {
                Origin::Application => None,
                Origin::File(path) | Origin::Folder(path) => Some(path.as_str()),
            };
            let keys = options.keys.clone();
            let sink = Scalyr::new(target, route.stream, file, &options.attributes, keys);
            add(shared, place(format!("Scalyr ({})", target.region)), sink)
        }
        Target::Logentries { token } => {
            let sink = Logentries::new(token.clone(), options.keys.clone());
            add(shared, place("Logentries".into()), sink)
        }
        Target::Otlp(target) => {
            let file = match &route.origin {
                Origin::Application => None,
                Origin::File(path) | Origin::Folder(path) => Some(path.as_str()),
            };
            let sink = Otlp::new(target, file, &options.attributes, options.keys.clone());
            add(shared, place(target.url(Signal::Logs)), sink)
        }
        Target::Rsyslog(target) => {
            let sink = Rsyslog::new(target, route.stream, &options.attributes);
            add(shared, place(rsyslog::place(target)), sink)
        }
    }
}

/// What a pump is called and what it does on the way.
struct Place {
    stream: StreamName,
    origin: Origin,
    /// Where lines go, for people.
    target: String,
    /// What tells it from another pump of the same stream and sink; another place to ship to has a cursor of its own.
    distinct: Option<String>,
    treatment: Treatment,
}

impl Place {
    /// `applog.s3.1f2e3d4c`, the name of its cursor.
    fn cursor_name(&self, sink: &str) -> String {
        let mut name = format!("{}.{sink}", self.stream);
        if let Some(distinct) = &self.distinct {
            let hash = Sha256::digest(distinct.as_bytes());
            name.push('.');
            hash.iter()
                .take(4)
                .for_each(|byte| name.push_str(&format!("{byte:02x}")));
        }
        name
    }
}

/// Who can put files where this one is: the custom logs are the container's to write, whatever the routes say.
fn trust_in(path: &str) -> Trust {
    if Path::new(path).starts_with(CUSTOM_LOG.source) {
        Trust::Container
    } else {
        Trust::Machine
    }
}

/// Starts a pump.
fn add<S: Sink>(shared: &Arc<Shared>, place: Place, sink: S) -> Result<(), LogsError> {
    let cursor_file = CursorFile::new(&shared.options.state_dir, &place.cursor_name(S::NAME));
    let origin = match &place.origin {
        Origin::Application => None,
        Origin::File(path) | Origin::Folder(path) => Some(path.clone()),
    };
    let label = Label {
        stream: place.stream,
        sink: S::NAME,
        origin: origin.clone(),
        target: place.target,
    };
    let figures = Figures::new(label, S::GUARANTEE, Arc::clone(&shared.changed));
    let (orders, commands) = mpsc::channel(ORDERS);
    let treater = Treater::new(&place.treatment, S::EVENTS).map_err(LogsError::Pattern)?;
    let trust = origin.as_deref().map_or(Trust::Machine, trust_in);
    let parts = Parts {
        trust,
        cursor_file,
        figures: figures.clone(),
        filter: Filter::new(shared.options.redaction.clone()),
        treater,
        commands,
        changes: shared.changes.clone(),
        lock: Arc::clone(&shared.lock),
        attributes: {
            let mut attributes = shared.attributes.subscribe();
            // The sink was made of what was known at the start.
            attributes.mark_changed();
            attributes
        },
    };
    let pump = Pump::new(sink, parts).map_err(|source| state_dir(&shared.options.state_dir, source))?;
    if let Some(path) = origin {
        // The tick tries again, and what can't be read is in the sink's figures: one stream never holds the others.
        if let Err(error) = shared.watcher.watch_file(Path::new(&path)) {
            tracing::warn!(%path, %error, "A log can't be watched, it is looked at once a minute");
        }
        let source = Source {
            container: None,
            path,
        };
        // The channel is new and empty.
        orders.try_send(Command::Follow(source)).ok();
    }
    let mut tasks = locked(&shared.tasks);
    // Those of files that were left have ended and would be kept for ever.
    while tasks.try_join_next().is_some() {}
    tasks.spawn(pump.run());
    drop(tasks);
    locked(&shared.feeds).push(Feed {
        origin: place.origin,
        orders,
        figures,
    });
    Ok(())
}

/// Starts a pump for a sink that no plan can name, such as one whose far end is a test's.
#[cfg(test)]
pub(super) fn attach<S: Sink>(shipper: &super::Shipper, sink: S, treatment: Treatment) {
    let place = Place {
        stream: StreamName::Applog,
        origin: Origin::Application,
        target: "a test".into(),
        distinct: Some("a test".into()),
        treatment,
    };
    add(&shipper.shared, place, sink).unwrap();
}
