"""CloudWatch Logs as strict as AWS: the limits of PutLogEvents, which moto does not have, and a record of every batch.

Limits as the API reference states them: 1 to 10,000 events in a batch; 1,048,576 bytes in a batch, counted as the
messages in UTF-8 and 26 bytes an event, and so no single event above that; messages and times that are there at all;
chronological order; at most 24 hours from the first to the last. A batch that breaks one of these is refused as a
whole. Events more than 14 days old or 2 hours ahead, or older than the group's retention, are left out, the others
kept, and the answer says which (the end of the old ones is exclusive, the start of the new ones inclusive).
Sequence tokens are neither asked for nor checked, as since 2023.
"""
import json
import threading
import time
from collections import defaultdict

from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.models import logs_backends
from moto.logs.responses import LogsResponse

BATCH_EVENTS, BATCH_BYTES, EVENT_OVERHEAD = 10_000, 1_048_576, 26
HOUR, DAY = 3_600_000, 24 * 3_600_000

_lock = threading.Lock()
_ingested = defaultdict(list)


def size_of(event):
    return len(event["message"].encode("utf-8", "surrogatepass")) + EVENT_OVERHEAD


def refuse(message):
    raise InvalidParameterException(message)


def constraint(value, place, what):
    refuse(f"1 validation error detected: Value '{value}' at '{place}' failed to satisfy constraint: Member must {what}")


def check_shape(events):
    if not 1 <= len(events) <= BATCH_EVENTS:
        bound = "less than or equal to 10000" if events else "greater than or equal to 1"
        constraint(f"[{len(events)} events]", "logEvents", f"have length {bound}")
    for number, event in enumerate(events, 1):
        if not event.get("message"):
            place = f"logEvents.{number}.member.message"
            constraint(event.get("message", "null"), place, "have length greater than or equal to 1")
        if event.get("timestamp") is None or event["timestamp"] < 0:
            place = f"logEvents.{number}.member.timestamp"
            constraint(event.get("timestamp", "null"), place, "have value greater than or equal to 0")


def check_batch(events):
    times = [event["timestamp"] for event in events]
    if any(later < earlier for earlier, later in zip(times, times[1:])):
        refuse("Log events in a single PutLogEvents request must be in chronological order.")
    if times[-1] - times[0] > DAY:
        refuse("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
    sizes = [size_of(event) for event in events]
    if max(sizes) > BATCH_BYTES:
        refuse(f"Log event too large: {max(sizes)} bytes exceeds limit of {BATCH_BYTES}")
    if sum(sizes) > BATCH_BYTES:
        refuse(f"Upload too large: {sum(sizes)} bytes exceeds limit of {BATCH_BYTES}")


def sort_out(events, now, retention):
    """Which are kept, and what the answer says of the others."""
    too_old = sum(event["timestamp"] < now - 14 * DAY for event in events)
    expired = sum(event["timestamp"] < now - int(retention) * DAY for event in events) if retention else 0
    too_new = sum(event["timestamp"] > now + 2 * HOUR for event in events)
    rejected = {}
    if too_old:
        rejected["tooOldLogEventEndIndex"] = too_old
    if expired > too_old:
        rejected["expiredLogEventEndIndex"] = expired
    if too_new:
        rejected["tooNewLogEventStartIndex"] = len(events) - too_new
    return events[max(too_old, expired) : len(events) - too_new], rejected


def put(backend, group_name, stream_name, events, call):
    check_shape(events)
    call["bytes"] = sum(size_of(event) for event in events)
    call["first"], call["last"] = events[0]["timestamp"], events[-1]["timestamp"]
    group = backend.groups.get(group_name)
    if group is None:
        raise ResourceNotFoundException("The specified log group does not exist.")
    if stream_name not in group.streams:
        raise ResourceNotFoundException("The specified log stream does not exist.")
    check_batch(events)
    kept, rejected = sort_out(events, int(time.time() * 1000), group.retention_in_days)
    with _lock:
        group.put_log_events(stream_name, kept)
        _ingested[group_name, stream_name] += [(event["timestamp"], event["message"]) for event in kept]
    call["stored"] = len(kept)
    return rejected


def install(record):
    """`record(request, call)` is told of each batch, taken or not, when it has been judged."""

    def put_log_events(self):
        group, stream, events = (self._get_param(name) for name in ("logGroupName", "logStreamName", "logEvents"))
        call = {"group": group, "stream": stream, "events": len(events or []), "bytes": 0, "stored": 0}
        try:
            rejected = put(self.logs_backend, group, stream, events or [], call)
        except Exception as error:
            call["error"] = getattr(error, "message", None) or str(error)
            raise
        finally:
            record(self, call)
        answer = {"nextSequenceToken": "49000000000000000000000000000000000000000000000000000000"}
        return json.dumps({**answer, "rejectedLogEventsInfo": rejected} if rejected else answer)

    LogsResponse.put_log_events = put_log_events


def make_group(account_id, order):
    backend = logs_backends[account_id][order["region"]]
    with _lock:
        if order["name"] not in backend.groups:
            backend.create_log_group(order["name"], {})
        backend.groups[order["name"]].set_retention_policy(order.get("retention"))
    return {}


def streams(account_id, order):
    group = logs_backends[account_id][order["region"]].groups.get(order["name"])
    return {"streams": None if group is None else sorted(group.streams)}


def ingested(order):
    with _lock:
        return {"events": list(_ingested[order["group"], order["stream"]])}
