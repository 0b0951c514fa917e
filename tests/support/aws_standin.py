"""AWS for tests: moto, with what its KMS lacks, and faults on demand.

Prints the port it listens on (loopback only). Everything a test sets or reads is kept apart by the access key id its
client signs with, so tests that run at once don't see each other.

  POST /_test/encrypt  {"region": R, "plaintext": base64, "context": {}}     -> {"ciphertext": base64, "key_arn": ARN}
  POST /_test/decrypt  {"region": R, "ciphertext": base64, "context": {}}    -> {"plaintext": base64}, or null
  POST /_test/alias    {"region": R, "alias": "alias/my-app"}                a name for the region's key; the same for all tests
  POST /_test/object   {"bucket": B, "key": K, "body": base64}               puts it into S3, the bucket too
  POST /_test/parameter {"name": N, "value": V}                              puts a SecureString into Parameter Store
  POST /_test/secret   {"name": N, "value": V}                               puts a secret, or its next version
  POST /_test/bucket   {"bucket": B}                                         makes a bucket, unless it is there
  POST /_test/objects  {"bucket": B, "prefix": P}                            -> {"objects": [{"key", "body", "metadata"}]}
  POST /_test/log_group   {"region": R, "name": N, "retention": DAYS}        makes a log group, or changes its retention
  POST /_test/log_streams {"region": R, "name": N}                           -> {"streams": [NAME, ...]}, null without a group
  POST /_test/log_events  {"group": G, "stream": S}                          -> {"events": [[MILLISECONDS, MESSAGE], ...]}
  POST /_test/faults   {"access_key": K, "faults": [FAULT, ...]}             replaces the faults of K
  POST /_test/sts      {"access_key": K, "life": SECONDS}                    how long sessions of roles last that K assumes
  POST /_test/ecr      {"access_key": K, "life": SECONDS}                    how long ECR's logins last for K
  POST /_test/life     {"access_key": K, "do": WHAT, ...}                    stacks, groups, load balancers: see aws_lifecycle.py
  POST /_test/volumes  {"access_key": K, "do": WHAT, ...}                    EBS volumes: see aws_ec2.py
  GET  /_test/journal?access_key=K                                           -> {"calls": [...], "max_concurrent": {OP: N}, "batches": [...]}

A FAULT is {"op": "Decrypt", "times": 3, "code": "ThrottlingException", "http": 400, "delay": 0.05, "message": "..."}.
`headers` come with the error. With `"cut": true` the connection ends before the call is looked at, with `"lose": true`
the call is done and the connection ends instead of the answer, with `"nonsense": true` the call is not done and the answer
is 200 with a web page. Without any of these the call is only delayed; without `times` the fault stays. The first fault that
fits is used. What S3 is asked has two names, `PUT /BUCKET/KEY` and `PutObject`; a fault may use either.

What is replaced in moto (pinned in requirements.txt): key ids and key material are derived from the region, so that a
ciphertext outlives this process; a ciphertext that isn't one is InvalidCiphertextException, as AWS says, where moto
says AccessDeniedException; a disabled key refuses to decrypt. ECR's logins are counted and last
12 hours, where moto's are one and the same that ended in 2015. PutLogEvents has AWS's limits: see aws_logs.py. What a
machine's life needs of CloudFormation, Auto Scaling, the load balancers and CloudWatch is not moto's at all
(aws_lifecycle.py, aws_balancers.py), nor are EC2's volumes (aws_ec2.py), nor is the clock that a signature's time is
compared with (aws_wire.py).
"""
import base64
import datetime
import hashlib
import io
import json
import re
import socket
import struct
import threading
import time
import uuid
from collections import defaultdict

import aws_ec2
import aws_lifecycle
import aws_logs
import aws_wire as wire
import moto.ecr.responses as ecr
import moto.kms.models as kms
import moto.sts.responses as sts
from moto.core.exceptions import JsonRESTError
from moto.kms.exceptions import InvalidCiphertextException
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

ACCOUNT = "123456789012"

# --- KMS ----------------------------------------------------------------------------------------------------------

_new_key = kms.Key.__init__
_decrypt = kms.KmsBackend.decrypt
_key_lock = threading.Lock()
_keys = {}


def _stable_key(self, *args, **kwargs):
    _new_key(self, *args, **kwargs)
    self.key_material = hashlib.sha256(b"monopod rig " + self.id.encode()).digest()


def _decrypt_like_aws(self, ciphertext_blob, *args, **kwargs):
    # moto's own header: a key id in text, an initialisation vector, a tag.
    try:
        (key_id,) = struct.unpack(">36s", ciphertext_blob[:36])
        key_id = str(uuid.UUID(key_id.decode("ascii")))
    except (struct.error, ValueError):
        raise InvalidCiphertextException() from None
    key = self.keys.get(key_id)
    if key is not None and not key.enabled:
        raise JsonRESTError("DisabledException", f"{key.arn} is disabled.")
    return _decrypt(self, ciphertext_blob, *args, **kwargs)


kms.Key.__init__ = _stable_key
kms.KmsBackend.decrypt = _decrypt_like_aws


def key_of(region):
    with _key_lock:
        if region not in _keys:
            backend = kms_backends[ACCOUNT][region]
            wanted = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{region}.monopod-rig.test"))
            generate, kms.generate_key_id = kms.generate_key_id, lambda multi_region=False: wanted
            try:
                key = backend.create_key(None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "monopod test rig", [])
            finally:
                kms.generate_key_id = generate
            _keys[region] = key
        return _keys[region]


def encrypt(order):
    region = order["region"]
    key = key_of(region)
    blob, arn = kms_backends[ACCOUNT][region].encrypt(
        key.id, base64.b64decode(order["plaintext"]), order.get("context", {})
    )
    return {"ciphertext": base64.b64encode(blob).decode(), "key_arn": arn}


# --- ECR ----------------------------------------------------------------------------------------------------------


def _login_like_aws(self):
    chosen = account(wire.access_key_of(self))
    with chosen.lock:
        chosen.logins += 1
        number, life = chosen.logins, chosen.login_life
    ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=life)
    token = base64.b64encode(f"AWS:canary-ecr-token-{number}".encode()).decode()
    endpoint = f"https://{ACCOUNT}.dkr.ecr.{self.region}.amazonaws.com"
    data = {"authorizationToken": token, "expiresAt": ends, "proxyEndpoint": endpoint}
    return ecr.ActionResult({"authorizationData": [data]})


ecr.ECRResponse.get_authorization_token = _login_like_aws

# --- STS ----------------------------------------------------------------------------------------------------------

_assume_role = sts.TokenResponse.assume_role


def _assume_for_a_while(self):
    chosen = account(wire.access_key_of(self))
    with chosen.lock:
        life = chosen.session_life
    if life is not None:
        # AWS's least is 15 minutes, which no test waits for.
        ask = self._get_int_param
        self._get_int_param = lambda name, *rest: life if name == "DurationSeconds" else ask(name, *rest)
    return _assume_role(self)


sts.TokenResponse.assume_role = _assume_for_a_while


def decrypt(order):
    key_of(order["region"])
    try:
        plaintext, _ = kms_backends[ACCOUNT][order["region"]].decrypt(
            base64.b64decode(order["ciphertext"]), order.get("context", {})
        )
    except JsonRESTError:
        return {"plaintext": None}
    return {"plaintext": base64.b64encode(plaintext).decode()}


def name_key(order):
    key = key_of(order["region"])
    with _key_lock:
        kms_backends[ACCOUNT][order["region"]].create_alias(key.id, order["alias"])
    return {}


# --- S3 -----------------------------------------------------------------------------------------------------------


def make_bucket(order):
    backend = s3_backends[ACCOUNT]["aws"]
    with _key_lock:
        if order["bucket"] not in backend.buckets:
            backend.create_bucket(order["bucket"], "eu-central-1")
    return {}


def put_object(order):
    make_bucket(order)
    backend = s3_backends[ACCOUNT]["aws"]
    backend.put_object(order["bucket"], order["key"], base64.b64decode(order["body"]))
    return {}


def objects(order):
    bucket = s3_backends[ACCOUNT]["aws"].buckets.get(order["bucket"])
    keys = [] if bucket is None else sorted(bucket.keys.values(), key=lambda key: key.name)
    return {
        "objects": [
            {"key": key.name, "body": base64.b64encode(key.value).decode(), "metadata": dict(key.metadata)}
            for key in keys
            if key.name.startswith(order["prefix"])
        ]
    }


# --- Parameter Store and Secrets Manager ---------------------------------------------------------------------------


def put_parameter(order):
    with _key_lock:
        ssm_backends[ACCOUNT]["eu-central-1"].put_parameter(
            name=order["name"],
            description="",
            value=order["value"],
            parameter_type="SecureString",
            allowed_pattern="",
            keyid="alias/aws/ssm",
            overwrite=True,
            tags=[],
            data_type="text",
            tier=None,
            policies=None,
        )
    return {}


def put_secret(order):
    backend, token = secretsmanager_backends[ACCOUNT]["eu-central-1"], str(uuid.uuid4())
    with _key_lock:
        if order["name"] in backend.secrets:
            backend.put_secret_value(order["name"], order["value"], None, token, ["AWSCURRENT"])
        else:
            backend.create_secret(order["name"], order["value"], None, None, None, None, token, [], False)
    return {"version": token}


# --- faults and journal -------------------------------------------------------------------------------------------


class Account:
    """What one access key has been told to suffer, and what it did."""

    def __init__(self):
        self.lock = threading.Lock()
        self.faults = []
        self.logins = 0
        self.login_life = 12 * 3600
        self.session_life = None
        self.calls = []
        self.batches = []
        self.running = defaultdict(int)
        self.max_concurrent = defaultdict(int)

    def begin(self, op, action):
        with self.lock:
            for name in {op, action}:
                self.running[name] += 1
                self.max_concurrent[name] = max(self.max_concurrent[name], self.running[name])
            for fault in self.faults:
                if fault["op"] in (op, action) and fault.get("times", 1) > 0:
                    if "times" in fault:
                        fault["times"] -= 1
                    return fault
        return None

    def end(self, op, action, started, status, injected):
        seconds = time.monotonic() - started
        with self.lock:
            for name in {op, action}:
                self.running[name] -= 1
            self.calls.append(
                {"op": op, "action": action, "status": status, "injected": injected, "seconds": seconds}
            )


_accounts = defaultdict(Account)
_accounts_lock = threading.Lock()


def account(access_key):
    with _accounts_lock:
        return _accounts[access_key]


def action_of(request, op):
    """What the API's reference calls it: S3's requests don't say, but their method and path do."""
    if " " not in op or not re.match("/[^/]+/.", request.path):
        return op
    if "uploads" in request.args:
        return "CreateMultipartUpload"
    if "uploadId" in request.args:
        return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload"}.get(request.method, op)
    names = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
    return names.get(request.method, op)


def remember_batch(request, call):
    caller = account(wire.access_key_of(request))
    with caller.lock:
        caller.batches.append(call)


aws_logs.install(remember_batch)


def hang_up(environ, start_response):
    """Ends the connection with nothing on it; the server finds that out when it writes."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    start_response("500 Hung Up", [("Content-Length", "0")])
    return [b""]


# --- server -------------------------------------------------------------------------------------------------------

moto_app = DomainDispatcherApplication(create_backend_app)


def control(request):
    order = json.loads(request.get_data() or b"{}")
    if request.path == "/_test/life":
        return aws_lifecycle.control(order)
    if request.path == "/_test/volumes":
        return aws_ec2.control(order)
    if request.path == "/_test/ready":
        return {}
    if request.path == "/_test/encrypt":
        return encrypt(order)
    if request.path == "/_test/decrypt":
        return decrypt(order)
    if request.path == "/_test/alias":
        return name_key(order)
    if request.path == "/_test/object":
        return put_object(order)
    if request.path == "/_test/bucket":
        return make_bucket(order)
    if request.path == "/_test/objects":
        return objects(order)
    if request.path == "/_test/log_group":
        return aws_logs.make_group(ACCOUNT, order)
    if request.path == "/_test/log_streams":
        return aws_logs.streams(ACCOUNT, order)
    if request.path == "/_test/log_events":
        return aws_logs.ingested(order)
    if request.path == "/_test/parameter":
        return put_parameter(order)
    if request.path == "/_test/secret":
        return put_secret(order)
    if request.path == "/_test/faults":
        chosen = account(order["access_key"])
        with chosen.lock:
            chosen.faults = order["faults"]
        return {}
    if request.path == "/_test/ecr":
        chosen = account(order["access_key"])
        with chosen.lock:
            chosen.login_life = order["life"]
        return {}
    if request.path == "/_test/sts":
        chosen = account(order["access_key"])
        with chosen.lock:
            chosen.session_life = order["life"]
        return {}
    if request.path == "/_test/journal":
        chosen = account(request.args["access_key"])
        with chosen.lock:
            return {
                "calls": list(chosen.calls),
                "max_concurrent": dict(chosen.max_concurrent),
                "batches": list(chosen.batches),
            }
    return None


def app(environ, start_response):
    request = Request(environ)
    if request.path.startswith("/_test/"):
        answer = control(request)
        response = Response("no such control", 404) if answer is None else Response(json.dumps(answer))
        return response(environ, start_response)

    body = request.get_data(cache=True)
    environ["wsgi.input"] = io.BytesIO(body)
    if request.path.startswith("/_wait/"):
        op = action = "WaitHandle"
        access_key = request.path.split("/")[2]
    else:
        op, access_key = wire.operation(request, body), wire.access_key_of(request)
        action = action_of(request, op)
    environ["monopod.clock"] = aws_lifecycle.offset(access_key)
    caller, started = account(access_key), time.monotonic()
    fault, status = caller.begin(op, action), 500
    try:
        time.sleep(fault.get("delay", 0) if fault else 0)
        if fault and fault.get("cut"):
            status = 0
            return hang_up(environ, start_response)
        lost = bool(fault and fault.get("lose"))

        def remember_status(line, headers, *rest):
            nonlocal status
            status = int(line.split(" ", 1)[0])
            return None if lost else start_response(line, headers, *rest)

        chosen = answer_of(request, op, body, access_key, fault or {}) or moto_app
        answer = list(chosen(environ, remember_status))
        return hang_up(environ, start_response) if lost else answer
    finally:
        caller.end(op, action, started, status, bool(fault))


def answer_of(request, op, body, access_key, fault):
    """The answer that is not moto's to give; None leaves it to moto."""
    if fault.get("nonsense"):
        return wire.nonsense()
    if fault.get("code"):
        message = fault.get("message", "injected by the test rig")
        return wire.error(request, fault["code"], message, fault.get("http", 400), fault.get("headers"))
    if op == "WaitHandle":
        return aws_lifecycle.handle(request, body)
    skewed = wire.refuse_skewed(request, request.environ["monopod.clock"])
    return skewed or aws_lifecycle.answer(request, op, body, access_key)


class Quiet(WSGIRequestHandler):
    # Bodies are small and written in two pieces: without this the second waits for the first one's acknowledgement.
    disable_nagle_algorithm = True
    protocol_version = "HTTP/1.1"

    def date_time_string(self, timestamp=None):
        # In every answer, as the machine's AWS has it.
        return wire.http_date(self.environ.get("monopod.clock", 0))

    def log_request(self, code="-", size="-"):
        pass


if __name__ == "__main__":
    # The first request to a backend pays for its imports: pay here, before we call ourselves ready.
    key_of("eu-central-1")
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
