//! Lines as the SDK's events, and its answer as what was left out.

use aws_sdk_cloudwatchlogs::error::BuildError;
use aws_sdk_cloudwatchlogs::operation::put_log_events::PutLogEventsOutput;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use monopod_core::logs::cloudwatch::{Parcel, Rejected};

/// The first events that wait in the parcel.
pub(super) fn events(parcel: &Parcel, count: usize) -> Result<Vec<InputLogEvent>, BuildError> {
    let event = |(time, message): (u64, &str)| {
        InputLogEvent::builder()
            .timestamp(i64::try_from(time).unwrap_or(i64::MAX))
            .message(message)
            .build()
    };
    let mut events = Vec::with_capacity(count);
    for one in parcel.events().take(count).map(event) {
        events.push(one?);
    }
    Ok(events)
}

/// What the answer says was left out.
pub(super) fn rejected(answer: &PutLogEventsOutput) -> Rejected {
    let Some(info) = answer.rejected_log_events_info() else {
        return Rejected::default();
    };
    let index = |index: Option<i32>| index.and_then(|index| usize::try_from(index).ok());
    Rejected {
        too_old_end: index(info.too_old_log_event_end_index()),
        expired_end: index(info.expired_log_event_end_index()),
        too_new_start: index(info.too_new_log_event_start_index()),
    }
}
