//! `monopod logs --verify`.

use monopod_core::logs::verify::{Verdict, to_text, verdict};
use monopod_core::record::BootRecord;
use serde_json::json;

use super::{Failure, LogsArgs, cursors};
use crate::cli::{pretty, print};
use crate::host::files;
use crate::logs::prove;
use crate::report::STATUS_FILE;

const EXIT_LOST: u8 = 1;
const EXIT_DIFFERS: u8 = 3;

/// Prints the report and says what it comes to.
pub(super) fn verify(args: &LogsArgs) -> Result<u8, Failure> {
    let directory = &args.state_directory;
    let cursors = cursors(directory)?;
    // What the agent knows beside the cursors; a machine whose agent never ran in this boot has none.
    let rows = files::read(&args.runtime_directory.join(STATUS_FILE))
        .ok()
        .flatten()
        .and_then(|bytes| serde_json::from_slice::<BootRecord>(&bytes).ok())
        .map(|record| record.logs)
        .unwrap_or_default();
    let reports = prove::prove(cursors, &rows).map_err(|error| Failure::reading(directory, error))?;
    let verdict = verdict(&reports);
    if args.json {
        print(&pretty(&json!({"verdict": verdict, "sinks": reports})));
    } else {
        print(&to_text(&reports));
    }
    Ok(match verdict {
        Verdict::Complete => 0,
        Verdict::Lost => EXIT_LOST,
        Verdict::Differs => EXIT_DIFFERS,
    })
}
