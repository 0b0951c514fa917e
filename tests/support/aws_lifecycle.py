"""A machine's life as AWS sees it: stacks that wait for signals, an Auto Scaling group with hooks, metrics. One world for
each access key, that is for each machine; nothing is there until a test sets it up. Load balancers are
in aws_balancers.py, metrics in aws_metrics.py, volumes in aws_ec2.py.

  POST /_test/life  {"access_key": K, "do": WHAT, ...}   where WHAT is one of

  identity  {"instance": ID, "document": base64, "signature": TEXT}   who the machine is; the rig tells for each lease
  stack     {"stack": N, "resource": R, "state": "CREATE_IN_PROGRESS"}   adds the resource, changes the stack's state
  group     {"name": N, "state": S, "healthy": true, "hooks": {NAME: "launch"|"terminate"}, "waiting": [HOOK, ...],
             "others": {ID: {"healthy": true, "state": S}}, "desired": COUNT, "target_groups": [ARN], "balancers": [NAME],
             "grace": false}                                    replaces the group; this machine is always a member
  member    {"instance": ID or null for this one, "healthy": B, "state": S}   changes one; null for both removes it
  wait      {"transition": "launch"|"terminate", "state": S}   its hooks begin to wait, with this lifecycle state
  expire    {}                                                 the waits end by themselves
  clock     {"now_offset": SECONDS}                            AWS's clock, beside this machine's
  journal   {}   -> {"signals", "completions", "heartbeats", "health", "metrics", "handles",
             "asked", "registrations", "group"}

What AWS does, and so this:
- SignalResource: signed by a role (any Signature Version 4), or by the instance (document and signature must be the
  machine's, the latter without its newlines). Only a stack whose state ends in _IN_PROGRESS is signalled. The same
  UniqueId again is accepted and ignored. GET and POST, XML, and JSON for those who ask with ContentType=JSON.
- A hook's wait is completed once; afterwards there is none. A machine whose launch hooks are all completed goes from
  Pending:Wait to InService, from Warmed:Pending:Wait to Warmed:Stopped; ABANDON, and a completed terminate hook, lead
  to Terminating:Proceed.
- SetInstanceHealth respects the grace period unless told otherwise; while there is one (`grace`) nothing changes.
- A wait condition's handle is PUT /_wait/K/NAME: like a pre-signed address of S3 it was signed without a Content-Type,
  and refuses a request that has one. Its operation for faults is WaitHandle.
"""
import base64
import json
import threading
import time
from collections import defaultdict

import aws_balancers
import aws_ec2
import aws_metrics
import aws_wire as wire
from aws_wire import Refused
from werkzeug.wrappers import Response

CLOUDFORMATION = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
AUTO_SCALING = "http://autoscaling.amazonaws.com/doc/2011-01-01/"
ACCOUNT, REGION = "123456789012", "eu-central-1"


class World:
    def __init__(self):
        self.lock = threading.Lock()
        self.instance, self.document, self.signature = "i-00000000000000000", None, None
        self.offset = 0
        self.stacks = {}
        self.group = None
        self.balancers = {}
        self.journal = defaultdict(list)

    def note(self, kind, **what):
        self.journal[kind].append({**what, "at": int(time.time() * 1000)})

    def unused(self):
        """No load balancer knows a machine whose launch hook has not been completed."""
        return self.group is not None and self.group["state"].startswith(("Pending", "Warmed"))

    def member(self, instance):
        if self.group is None:
            return None
        return self.group if instance == self.instance else self.group["others"].get(instance)


_worlds = defaultdict(World)
_lock = threading.Lock()


def world(access_key):
    with _lock:
        return _worlds[access_key]


def offset(access_key):
    return world(access_key).offset


# --- what tests set up --------------------------------------------------------------------------------------------


def control(order):
    here, what = world(order["access_key"]), order["do"]
    with here.lock:
        return SET_UP[what](here, order) or {}


def set_identity(here, order):
    here.instance, here.signature = order["instance"], order["signature"]
    here.document = base64.b64decode(order["document"])
    wire.identify(order["instance"], order["access_key"])
    zone = json.loads(here.document).get("availabilityZone", f"{REGION}a")
    aws_ec2.identify(order["access_key"], order["instance"], zone)


def set_stack(here, order):
    stack = here.stacks.setdefault(order["stack"], {"resources": {}, "state": None})
    stack["state"] = order["state"]
    if order.get("resource"):
        stack["resources"].setdefault(order["resource"], set())


def set_group(here, order):
    here.group = {key: value for key, value in order.items() if key not in ("access_key", "do")}


def set_member(here, order):
    instance = order["instance"] or here.instance
    change = {key: order[key] for key in ("healthy", "state") if order.get(key) is not None}
    if instance == here.instance:
        here.group.update(change)
    elif change:
        here.group["others"].setdefault(instance, {"healthy": True, "state": "InService"}).update(change)
    else:
        here.group["others"].pop(instance, None)


def begin_wait(here, order):
    here.group["state"] = order["state"]
    hooks = here.group["hooks"].items()
    here.group["waiting"] = [name for name, transition in hooks if transition == order["transition"]]


def expire(here, order):
    here.group["waiting"] = []


def set_clock(here, order):
    here.offset = order["now_offset"]


def journal(here, order):
    kinds = ("signals", "completions", "heartbeats", "health", "metrics", "handles", "asked", "registrations")
    return {kind: list(here.journal[kind]) for kind in kinds} | {"group": here.group}


SET_UP = {
    "identity": set_identity,
    "stack": set_stack,
    "group": set_group,
    "member": set_member,
    "wait": begin_wait,
    "expire": expire,
    "clock": set_clock,
    "journal": journal,
    "balancer": aws_balancers.set_up,
    "target": aws_balancers.set_target,
}

# --- CloudFormation -----------------------------------------------------------------------------------------------


def required(params, *names):
    for name in names:
        if not params.get(name):
            place = name[0].lower() + name[1:]
            raise Refused(
                f"1 validation error detected: Value null at '{place}' failed to satisfy constraint: Member must not be null"
            )
    return [params[name] for name in names]


def one_of(value, place, allowed):
    if value not in allowed:
        raise Refused(
            f"1 validation error detected: Value '{value}' at '{place}' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(allowed)}]"
        )


def signer(here, request):
    header = request.headers.get("Authorization", "")
    if "Credential=" in header:
        return "role"
    document, signature = wire.cfn_signature(header) or (None, None)
    if document is None:
        raise Refused("Request is missing Authentication Token", "MissingAuthenticationToken", 403)
    if document != here.document or signature != here.signature.replace("\n", ""):
        raise Refused("The instance identity's signature does not fit its document", "SignatureDoesNotMatch", 403)
    return "instance"


def signal_resource(here, params, request):
    who = signer(here, request)
    stack_name, resource, unique, status = required(params, "StackName", "LogicalResourceId", "UniqueId", "Status")
    one_of(status, "status", ["SUCCESS", "FAILURE"])
    if len(unique) > 64:
        raise Refused("1 validation error detected: Value at 'uniqueId' failed to satisfy constraint: length at most 64")
    refusal, name = None, stack_name.split("/")[1] if stack_name.startswith("arn:") else stack_name
    stack = here.stacks.get(name)
    if stack is None:
        refusal = f"Stack:{stack_name} does not exist"
    elif resource not in stack["resources"]:
        refusal = f"Resource {resource} does not exist for stack {name}"
    elif not stack["state"].endswith("_IN_PROGRESS"):
        arn = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/7d2e3dd0-f5f3-11e7-93f5-50a686e4bb4a"
        refusal = f"Stack {arn} is in {stack['state']} state and cannot be signaled"
    again = refusal is None and unique in stack["resources"][resource]
    here.note(
        "signals", stack=stack_name, resource=resource, unique=unique, status=status, signer=who, again=again, refusal=refusal
    )
    if refusal:
        raise Refused(refusal)
    stack["resources"][resource].add(unique)
    return None


# --- Auto Scaling -------------------------------------------------------------------------------------------------


def group_named(here, params):
    (name,) = required(params, "AutoScalingGroupName")
    if here.group is None or here.group["name"] != name:
        raise Refused(f"AutoScalingGroup name not found - {name}")
    return here.group


def active_wait(here, params):
    """The hook that waits for this machine."""
    group, (hook,) = group_named(here, params), required(params, "LifecycleHookName")
    if hook not in group["hooks"]:
        raise Refused(f"No lifecycle hook found with name {hook}")
    instance = params.get("InstanceId")
    if instance is None and params.get("LifecycleActionToken") is None:
        raise Refused("You must specify either the lifecycle action token or the instance ID")
    if hook not in group["waiting"] or instance not in (None, here.instance):
        raise Refused(f"No active Lifecycle Action found with instance ID {instance}")
    return hook


def complete(here, params, request):
    (result,) = required(params, "LifecycleActionResult")
    noted = {"group": params.get("AutoScalingGroupName"), "hook": params.get("LifecycleHookName")}
    noted |= {"instance": params.get("InstanceId"), "result": result}
    try:
        one_of(result, "lifecycleActionResult", ["CONTINUE", "ABANDON"])
        hook = active_wait(here, params)
    except Refused as refusal:
        here.note("completions", **noted, refusal=str(refusal))
        raise
    here.note("completions", **noted, refusal=None)
    group = here.group
    group["waiting"].remove(hook)
    if group["hooks"][hook] == "terminate" or result == "ABANDON":
        group["waiting"], group["state"] = [], "Terminating:Proceed"
    elif not group["waiting"]:
        group["state"] = "Warmed:Stopped" if group["state"].startswith("Warmed") else "InService"
    return {}


def heartbeat(here, params, request):
    noted = {"group": params.get("AutoScalingGroupName"), "hook": params.get("LifecycleHookName")}
    try:
        active_wait(here, params)
    except Refused as refusal:
        here.note("heartbeats", **noted, refusal=str(refusal))
        raise
    here.note("heartbeats", **noted, refusal=None)
    return {}


def set_health(here, params, request):
    instance, status = required(params, "InstanceId", "HealthStatus")
    one_of(status, "healthStatus", ["Healthy", "Unhealthy"])
    respected = params.get("ShouldRespectGracePeriod", "true") == "true"
    member = here.member(instance)
    here.note("health", instance=instance, status=status, respects_grace=respected, known=member is not None)
    if member is None:
        raise Refused(f"Instance Id not found - No managed instance found for instance ID {instance}")
    if not (respected and here.group["grace"]):
        member["healthy"] = status == "Healthy"
    return None


def instances(here):
    """All members, this machine first."""
    if here.group is None:
        return {}
    mine = {} if here.group["state"] == "Terminated" else {here.instance: here.group}
    return mine | here.group["others"]


def described(instance, member):
    return {
        "InstanceId": instance,
        "InstanceType": "t3.micro",
        "AvailabilityZone": f"{REGION}a",
        "LifecycleState": member["state"],
        "ProtectedFromScaleIn": False,
    }


def describe_instances(here, params, request):
    wanted = wire.members(params, "InstanceIds.member")
    found = [
        # Here in capitals, in the group's description not.
        {**described(instance, member), "HealthStatus": "HEALTHY" if member["healthy"] else "UNHEALTHY"}
        | {"AutoScalingGroupName": here.group["name"]}
        for instance, member in instances(here).items()
        if not wanted or instance in wanted
    ]
    return {"AutoScalingInstances": found}


def describe_groups(here, params, request):
    wanted, group = wire.members(params, "AutoScalingGroupNames.member"), here.group
    if group is None or (wanted and group["name"] not in wanted):
        return {"AutoScalingGroups": []}
    everyone = [
        {**described(instance, member), "HealthStatus": "Healthy" if member["healthy"] else "Unhealthy"}
        for instance, member in instances(here).items()
    ]
    balanced = group["target_groups"] or group["balancers"]
    found = {
        "AutoScalingGroupName": group["name"],
        "AutoScalingGroupARN": f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:1:autoScalingGroupName/{group['name']}",
        "MinSize": 0,
        "MaxSize": max(len(everyone), group["desired"]) + 1,
        "DesiredCapacity": group["desired"],
        "DefaultCooldown": 300,
        "AvailabilityZones": [f"{REGION}a"],
        "LoadBalancerNames": group["balancers"],
        "TargetGroupARNs": group["target_groups"],
        "HealthCheckType": "ELB" if balanced else "EC2",
        "HealthCheckGracePeriod": 300,
        "Instances": everyone,
        "CreatedTime": "2026-01-01T00:00:00Z",
        "TerminationPolicies": ["Default"],
    }
    return {"AutoScalingGroups": [found]}


def describe_hooks(here, params, request):
    group, wanted = group_named(here, params), wire.members(params, "LifecycleHookNames.member")
    event = {"launch": "autoscaling:EC2_INSTANCE_LAUNCHING", "terminate": "autoscaling:EC2_INSTANCE_TERMINATING"}
    found = [
        {
            "LifecycleHookName": name,
            "AutoScalingGroupName": group["name"],
            "LifecycleTransition": event[transition],
            "HeartbeatTimeout": 3600,
            "GlobalTimeout": 172800,
            "DefaultResult": "ABANDON",
        }
        for name, transition in group["hooks"].items()
        if not wanted or name in wanted
    ]
    return {"LifecycleHooks": found}


# --- all of them --------------------------------------------------------------------------------------------------

OPERATIONS = {
    "SignalResource": (CLOUDFORMATION, signal_resource),
    "CompleteLifecycleAction": (AUTO_SCALING, complete),
    "RecordLifecycleActionHeartbeat": (AUTO_SCALING, heartbeat),
    "SetInstanceHealth": (AUTO_SCALING, set_health),
    "DescribeAutoScalingInstances": (AUTO_SCALING, describe_instances),
    "DescribeAutoScalingGroups": (AUTO_SCALING, describe_groups),
    "DescribeLifecycleHooks": (AUTO_SCALING, describe_hooks),
    **aws_balancers.OPERATIONS,
    **aws_metrics.OPERATIONS,
}


def answer(request, op, body, access_key):
    """The answer to an operation that is done here; None for all others."""
    if wire.protocol_of(request) == "ec2":
        return aws_ec2.answer(request, op, body, access_key)
    if op not in OPERATIONS:
        return None
    namespace, act = OPERATIONS[op]
    here, params = world(access_key), wire.parameters(request, body)
    try:
        with here.lock:
            result = act(here, params, request)
    except Refused as refusal:
        return wire.error(request, refusal.code, str(refusal), refusal.status)
    return result if isinstance(result, Response) else wire.query_answer(request, op, namespace, result)


def handle(request, body):
    """A wait condition's handle; the path says whose."""
    _, _, access_key, name = request.path.split("/", 3)
    here = world(access_key)
    if request.method != "PUT" or request.headers.get("Content-Type"):
        text = "The request signature we calculated does not match the signature you provided."
        return Response(f"<Error><Code>SignatureDoesNotMatch</Code><Message>{text}</Message></Error>", 403)
    with here.lock:
        here.note("handles", name=name, body=body.decode("utf-8", "replace"))
    return Response("", 200)
