"""CloudWatch's PutMetricData, as one machine's world (aws_lifecycle.py) has it: in CBOR, JSON or the query form, gzipped or
not. Each datum is noted in the world's journal.
"""
import json

import aws_wire as wire
from werkzeug.wrappers import Response

MONITORING = "http://monitoring.amazonaws.com/doc/2010-08-01/"


def from_query(params):
    """PutMetricData's parameters as the other protocols have them."""
    data, number = [], 1
    while f"MetricData.member.{number}.MetricName" in params:
        at, pairs, pair = f"MetricData.member.{number}", [], 1
        while f"{at}.Dimensions.member.{pair}.Name" in params:
            pairs.append({key: params[f"{at}.Dimensions.member.{pair}.{key}"] for key in ("Name", "Value")})
            pair += 1
        value = params.get(f"{at}.Value")
        data.append(
            {
                "MetricName": params[f"{at}.MetricName"],
                "Value": None if value is None else float(value),
                "Unit": params.get(f"{at}.Unit"),
                "Dimensions": pairs,
            }
        )
        number += 1
    return {"Namespace": params.get("Namespace"), "MetricData": data}


def put_metrics(here, params, request):
    protocol, body = wire.protocol_of(request), wire.plain(request, request.get_data())
    read = {"cbor": wire.decode, "json": json.loads}.get(protocol)
    asked = read(body) if read else from_query(params)
    if not asked.get("Namespace"):
        raise wire.Refused("The parameter Namespace is required.", "MissingParameter")
    if not asked.get("MetricData"):
        raise wire.Refused("The parameter MetricData is required.", "MissingParameter")
    for datum in asked["MetricData"]:
        here.note(
            "metrics",
            namespace=asked["Namespace"],
            name=datum.get("MetricName"),
            value=datum.get("Value"),
            values=datum.get("Values") or [],
            unit=datum.get("Unit"),
            time=datum.get("Timestamp"),
            resolution=datum.get("StorageResolution"),
            dimensions={one["Name"]: one["Value"] for one in datum.get("Dimensions") or []},
        )
    if protocol == "json":
        return Response("{}", content_type=request.headers["Content-Type"])
    if protocol == "cbor":
        headers = {"smithy-protocol": "rpc-v2-cbor"}
        return Response(wire.encode({}), headers=headers, content_type="application/cbor")
    return None


OPERATIONS = {"PutMetricData": (MONITORING, put_metrics)}
