"""How requests to AWS are told apart, and how answers are written: the protocols the stand-in speaks.

Protocols: `query` (XML; CloudFormation, Auto Scaling, both load balancers), `ec2` (its XML), `json`, `cbor` (CloudWatch,
as current SDKs speak it: Smithy RPC v2, with the errors' names of the query protocol in a header) and `s3`.

Who asks: the access key id of a Signature Version 4; of a request that CloudFormation takes with the instance's identity
document (`Authorization: CFN_V1 DOCUMENT:SIGNATURE`) the access key that has the document's instance (`identify`).

Signatures are not checked, their times are: more than five minutes (S3: fifteen) from the stand-in's clock, which a test
may have put forward or back for one access key, and the request is refused as each protocol does, with `Date` in the
answer.
"""
import base64
import datetime
import email.utils
import gzip
import json
import re
import struct
import threading
import time
import uuid
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response


class Refused(Exception):
    """What an operation says instead of an answer."""

    def __init__(self, message, code="ValidationError", status=400):
        super().__init__(message)
        self.code, self.status = code, status


_instances = {}
_lock = threading.Lock()


def identify(instance, access_key):
    with _lock:
        _instances[instance] = access_key


def access_key_of(request):
    header = request.headers.get("Authorization", "")
    found = re.search(r"Credential=([^/,\s]+)/", header)
    if found:
        return found.group(1)
    document, _ = cfn_signature(header) or (None, None)
    try:
        instance = json.loads(document)["instanceId"] if document else None
    except (ValueError, KeyError, TypeError):
        instance = None
    with _lock:
        return _instances.get(instance, "anonymous")


def cfn_signature(header):
    """The document's bytes and the signature of a request signed by the instance; None of any other."""
    found = re.fullmatch(r"CFN_V1 ([A-Za-z0-9+/=]+):(\S+)", header)
    try:
        return (base64.b64decode(found.group(1), validate=True), found.group(2)) if found else None
    except ValueError:
        return None


def parameters(request, body):
    """Those of the query protocol, from the address or a form."""
    form = body.decode("utf-8", "replace") if "form" in request.headers.get("Content-Type", "form") else ""
    return dict(request.args.items()) | dict(parse_qsl(form, keep_blank_values=True))


def members(params, prefix):
    """`prefix` without its number: `TargetGroupARNs.member`."""
    found, number = [], 1
    while f"{prefix}.{number}" in params:
        found.append(params[f"{prefix}.{number}"])
        number += 1
    return found


def operation(request, body):
    target = request.headers.get("X-Amz-Target")
    if target:
        return target.rpartition(".")[2]
    rpc = re.fullmatch(r"/service/[^/]+/operation/(\w+)", request.path)
    if rpc:
        return rpc.group(1)
    return parameters(request, body).get("Action") or f"{request.method} {request.path}"


def protocol_of(request):
    kind = request.headers.get("Content-Type", "")
    if "smithy-protocol" in request.headers:
        return "cbor"
    if "json" in kind:
        return "json"
    if request.headers.get("x-amz-content-sha256") and "form" not in kind:
        # S3, which has a form of its own.
        return "s3"
    return "ec2" if "/ec2/aws4_request" in request.headers.get("Authorization", "") else "query"


# --- answers ------------------------------------------------------------------------------------------------------


def error(request, code, message, status=400, headers=None):
    protocol, kind = protocol_of(request), "Sender" if status < 500 else "Receiver"
    if protocol == "cbor":
        headers = {"smithy-protocol": "rpc-v2-cbor", "x-amzn-query-error": f"{code};{kind}", **(headers or {})}
        body = encode({"__type": f"com.amazonaws#{code}", "message": message})
        return Response(body, status, headers=headers, content_type="application/cbor")
    if protocol == "json":
        text = json.dumps({"__type": code, "message": message})
        return Response(text, status, headers=headers, content_type=request.headers["Content-Type"])
    code, message = escape(code), escape(message)
    if protocol == "s3":
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return Response(text, status, headers=headers, content_type="application/xml")
    if protocol == "ec2":
        text = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
            f"<RequestID>{uuid.uuid4()}</RequestID></Response>"
        )
        return Response(text, status, headers=headers, content_type="text/xml;charset=UTF-8")
    if request.args.get("ContentType") == "JSON":
        text = json.dumps({"Error": {"Code": code, "Message": message, "Type": kind}, "RequestId": str(uuid.uuid4())})
        return Response(text, status, headers=headers, content_type="application/json")
    text = (
        f"<ErrorResponse><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )
    return Response(text, status, headers=headers, content_type="text/xml")


def xml(value):
    if isinstance(value, dict):
        return "".join(f"<{name}>{xml(item)}</{name}>" for name, item in value.items() if item is not None)
    if isinstance(value, list):
        return "".join(f"<member>{xml(item)}</member>" for item in value)
    return str(value).lower() if isinstance(value, bool) else escape(str(value))


def query_answer(request, op, namespace, result):
    """The answer to a call of the query protocol; `result` is None for one without."""
    meta = {"ResponseMetadata": {"RequestId": str(uuid.uuid4())}}
    content = ({} if result is None else {f"{op}Result": result}) | meta
    if request.args.get("ContentType") == "JSON":
        return Response(json.dumps({f"{op}Response": content}), content_type="application/json")
    text = f'<{op}Response xmlns="{namespace}">{xml(content)}</{op}Response>'
    return Response(text, content_type="text/xml")


def nonsense():
    """What a proxy or a captive portal says: 200, and nothing that any API answers."""
    page = "<html><head><title>Welcome</title></head><body>It works! {\"ok\": true}</body></html>"
    return Response(page, 200, content_type="text/html")


# --- the clock ----------------------------------------------------------------------------------------------------


def clock(offset):
    return time.time() + offset


def http_date(offset):
    return email.utils.formatdate(clock(offset), usegmt=True)


def stamp(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def refuse_skewed(request, offset):
    """What AWS says to a request of another time; None when its time is right, or it has none."""
    written, now, protocol = request.headers.get("X-Amz-Date", ""), clock(offset), protocol_of(request)
    try:
        at = datetime.datetime.strptime(written, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
    except ValueError:
        return None
    minutes = 15 if protocol == "s3" else 5
    if abs(at - now) <= minutes * 60:
        return None
    headers = {"Date": http_date(offset)}
    if protocol == "s3":
        text = "The difference between the request time and the current time is too large."
        return error(request, "RequestTimeTooSkewed", text, 403, headers)
    if at < now:
        text = f"Signature expired: {written} is now earlier than {stamp(now - minutes * 60)} ({stamp(now)} - {minutes} min.)"
    else:
        text = f"Signature not yet current: {written} is still later than {stamp(now + minutes * 60)} ({stamp(now)} + {minutes} min.)"
    if protocol == "json":
        return error(request, "InvalidSignatureException", text, 400, headers)
    if protocol == "ec2":
        return error(request, "RequestExpired", f"Request has expired. {text}", 400, headers)
    return error(request, "SignatureDoesNotMatch", text, 403, headers)


# --- CBOR ---------------------------------------------------------------------------------------------------------


def encode(value):
    """Maps of strings, which is what errors are."""
    if isinstance(value, dict):
        return _head(5, len(value)) + b"".join(encode(key) + encode(item) for key, item in value.items())
    data = value.encode()
    return _head(3, len(data)) + data


def _head(major, count):
    if count < 24:
        return bytes([major << 5 | count])
    return bytes([major << 5 | 25]) + struct.pack(">H", count)


def decode(data):
    return _item(data, 0)[0]


def _item(data, at):
    major, small = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        return _simple(data, at, small)
    count = None if small == 31 else small
    if count is not None and count >= 24:
        size = 1 << (count - 24)
        count, at = int.from_bytes(data[at : at + size], "big"), at + size
    if major < 2:
        return (count if major == 0 else -1 - count), at
    if major == 6:
        return _item(data, at)
    if major < 4 and count is not None:
        piece = data[at : at + count]
        return (piece.decode() if major == 3 else piece), at + count
    return _several(data, at, major, count)


def _several(data, at, major, count):
    items, wanted = [], None if count is None else count * (2 if major == 5 else 1)
    while len(items) != wanted:
        if wanted is None and data[at] == 0xFF:
            at += 1
            break
        item, at = _item(data, at)
        items.append(item)
    if major < 4:
        return ("" if major == 3 else b"").join(items), at
    return (dict(zip(items[::2], items[1::2])) if major == 5 else items), at


def _simple(data, at, small):
    form = {25: ">e", 26: ">f", 27: ">d"}.get(small)
    if form is None:
        return {20: False, 21: True}.get(small), at
    size = struct.calcsize(form)
    return struct.unpack(form, data[at : at + size])[0], at + size


def plain(request, body):
    return gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
