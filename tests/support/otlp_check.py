"""Judges bodies of OTLP over HTTP in its JSON form by the protocol's own schema, a line each.

Asked `SIGNAL BASE64`, with SIGNAL one of logs, metrics and traces, and the body in gzip, it answers a line of JSON: `body`,
what was sent, and `problem`, null or what is wrong with it. Unknown fields are wrong. Where the protocol's JSON form is
stricter than protobuf's, so is this: ids are hexadecimal, names are in lowerCamelCase, 64-bit numbers are strings, and
enumerations are numbers.
"""
import base64
import gzip
import json
import re
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "traces": ExportTraceServiceRequest,
}
IDS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
NUMBERS = {"timeUnixNano", "observedTimeUnixNano", "startTimeUnixNano", "endTimeUnixNano", "intValue", "asInt"}
ENUMS = {"severityNumber", "kind", "code", "aggregationTemporality"}


class Wrong(Exception):
    pass


def as_protobuf(value, path=""):
    """The same as protobuf's own JSON form has it, which writes ids in base64."""
    if isinstance(value, list):
        return [as_protobuf(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    out = {}
    for name, inner in value.items():
        where = f"{path}.{name}"
        if "_" in name:
            raise Wrong(f"{where}: names are in lowerCamelCase")
        if name in IDS:
            if not re.fullmatch("[0-9a-f]{%d}" % IDS[name], inner) or not inner.strip("0"):
                raise Wrong(f"{where}: no id of {IDS[name]} hexadecimal digits")
            inner = base64.b64encode(bytes.fromhex(inner)).decode()
        elif name in NUMBERS and not (isinstance(inner, str) and re.fullmatch("-?[0-9]+", inner)):
            raise Wrong(f"{where}: a 64-bit number is a string of digits")
        elif name in ENUMS and not isinstance(inner, int):
            raise Wrong(f"{where}: an enumeration is a number")
        out[name] = as_protobuf(inner, where)
    return out


def judge(signal, data):
    body = None
    try:
        body = json.loads(gzip.decompress(data))
        message = REQUESTS[signal]()
        json_format.ParseDict(as_protobuf(body), message, ignore_unknown_fields=False)
        if not message.IsInitialized() or not message.ByteSize():
            raise Wrong("nothing is in it")
        problem = None
    except (Wrong, OSError, EOFError, ValueError, KeyError, TypeError, json_format.ParseError) as error:
        problem = f"{type(error).__name__}: {error}"
    return {"body": body, "problem": problem}


def main():
    print("judging", flush=True)
    for line in sys.stdin:
        signal, data = line.split()
        print(json.dumps(judge(signal, base64.b64decode(data))), flush=True)


if __name__ == "__main__":
    main()
