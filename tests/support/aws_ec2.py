"""EC2's volumes: EBS volumes with tags, attached and let go as AWS does, where moto's AttachVolume validates nothing.

An access key has the volumes a test made for it, and sees those of another key once it has joined it: two machines of one
account. A key for which no test has made or joined anything is moto's, so all of moto's EC2 is still there.

  POST /_test/volumes  {"access_key": K, "do": WHAT, ...}   where WHAT is one of

  make      {"id": ID or null, "name": N or null, "zone": Z, "size": GIB, "tags": {KEY: VALUE}, "state": "available",
             "attach_takes": SECONDS or null for "until finish", "attach_fails": B}     -> {"id": ID}
  join      {"of": K2}                                  K sees K2's volumes and instances from now on, not its own
  instance  {"instance": ID, "zone": Z, "state": "running"}   an instance; those of `identity` (aws_lifecycle.py) are there
  hold      {"volume": ID, "instance": ID, "device": D} another instance has it, attached
  release   {"volume": ID, "instance": ID or null, "takes": SECONDS or null for "until finish"}   it is let go, by all or one
  terminate {"instance": ID}                            the instance is gone, and lets go of all it had at once
  finish    {"volume": ID}                              what is under way is done now
  tag       {"volume": ID, "key": K, "value": V or null to remove it}
  remove    {"volume": ID}
  page      {"size": N}                                 no answer has more volumes than that
  wait      {"volume": ID, "seen": VERSION, "within": SECONDS}   waits for a change; -> see `show`
  show      {"volume": ID}   -> {"version": N, "state": S, "tags": {}, "attachments": [{"instance", "device", "state"}]}

A long poll for whoever plugs a device in when the volume becomes attached: ask `wait` again and again with the `version` of
the last answer (0 at first), and act when an attachment is there whose state is `attached`. aws_ec2.rs does so.

What AWS does, and so this:
- AttachVolume: both ids are checked, the zone, the instance's state (`running` or `stopped`), the volume's (`available`),
  the device's name and whether the instance has it already, in this order. Of several calls at once one wins.
- A volume is `attaching`, then `attached`; or, with `attach_fails`, `available` again and nobody is told why (a key that may
  not be used). One that is let go is `detaching`, then `available`.
- DescribeVolumes: filters with `*`, `?` and `\\`, several values each, pages. A filter that is not known is an error.
- DeleteTags with a value removes only a tag that has it, and says yes either way.
"""
import base64
import re
import threading
import time
import uuid
from collections import defaultdict
from xml.sax.saxutils import escape

from aws_wire import Refused, error, members, parameters
from werkzeug.wrappers import Response

EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"
FOREVER = float("inf")


class Account:
    """What the access keys of one account share."""

    def __init__(self):
        self.changed = threading.Condition()
        self.volumes = {}
        self.instances = {}
        self.page = 1000


class Volume:
    def __init__(self, order):
        self.id = order.get("id") or f"vol-{uuid.uuid4().hex[:17]}"
        self.zone, self.size, self.base = order["zone"], order["size"], order["state"]
        self.tags = dict(order["tags"]) | ({"Name": order["name"]} if order.get("name") is not None else {})
        takes = order["attach_takes"]
        self.attach_takes = FOREVER if takes is None else takes
        self.attach_fails = order["attach_fails"]
        self.made = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        self.attachments = []
        self.version = 1

    @property
    def state(self):
        return "in-use" if self.attachments else self.base

    def settle(self):
        """Does what the time has come for."""
        now, before = time.monotonic(), [dict(one) for one in self.attachments]
        for one in list(self.attachments):
            if one["until"] > now:
                continue
            one["until"] = FOREVER
            if one["state"] == "detaching" or (one["state"] == "attaching" and self.attach_fails):
                self.attachments.remove(one)
            elif one["state"] == "attaching":
                one["state"] = "attached"
        if before != self.attachments:
            self.version += 1

    def shown(self):
        attachments = [{key: one[key] for key in ("instance", "device", "state")} for one in self.attachments]
        return {"version": self.version, "state": self.state, "tags": self.tags, "attachments": attachments}


_accounts = {}
_identities = defaultdict(dict)
_lock = threading.Lock()


def account(access_key, make=False):
    with _lock:
        if make and access_key not in _accounts:
            _accounts[access_key] = Account()
        return _accounts.get(access_key)


def identify(access_key, instance, zone):
    """Who an access key's machine is."""
    with _lock:
        _identities[access_key][instance] = {"zone": zone, "state": "running"}


def instances(here):
    """Those that a test made, and the machines of all keys of the account."""
    with _lock:
        keys = [key for key, owner in _accounts.items() if owner is here]
        machines = {}
        for key in keys:
            machines |= _identities[key]
    return machines | here.instances


# --- what tests set up --------------------------------------------------------------------------------------------


def control(order):
    here = account(order["access_key"], make=True)
    with here.changed:
        for volume in here.volumes.values():
            volume.settle()
        answer = SET_UP[order["do"]](here, order)
        here.changed.notify_all()
    return answer or {}


def make(here, order):
    volume = Volume(order)
    here.volumes[volume.id] = volume
    return {"id": volume.id}


def join(here, order):
    other = account(order["of"], make=True)
    with _lock:
        _accounts[order["access_key"]] = other


def set_instance(here, order):
    here.instances[order["instance"]] = {"zone": order["zone"], "state": order["state"]}


def hold(here, order):
    volume = here.volumes[order["volume"]]
    here.instances.setdefault(order["instance"], {"zone": volume.zone, "state": "running"})
    begin(volume, order["instance"], order["device"], "attached", FOREVER)


def begin(volume, instance, device, state, takes):
    until = time.monotonic() + takes
    volume.attachments.append({"instance": instance, "device": device, "state": state, "until": until})
    volume.version += 1


def release(here, order):
    volume, takes = here.volumes[order["volume"]], order["takes"]
    for one in volume.attachments:
        if order["instance"] in (None, one["instance"]):
            one.update(state="detaching", until=time.monotonic() + (FOREVER if takes is None else takes))
            volume.version += 1
    volume.settle()


def terminate(here, order):
    here.instances[order["instance"]] = {"zone": "", "state": "terminated"}
    for volume in here.volumes.values():
        kept = [one for one in volume.attachments if one["instance"] != order["instance"]]
        volume.version += kept != volume.attachments
        volume.attachments = kept


def finish(here, order):
    volume = here.volumes[order["volume"]]
    for one in volume.attachments:
        one["until"] = 0
    volume.settle()


def set_tag(here, order):
    volume = here.volumes[order["volume"]]
    volume.version += 1
    if order["value"] is None:
        volume.tags.pop(order["key"], None)
    else:
        volume.tags[order["key"]] = order["value"]


def remove(here, order):
    here.volumes.pop(order["volume"], None)


def set_page(here, order):
    here.page = order["size"]


def wait(here, order):
    end, volume = time.monotonic() + order["within"], here.volumes[order["volume"]]
    while volume.version <= order["seen"]:
        now = time.monotonic()
        next_change = min((one["until"] for one in volume.attachments), default=FOREVER)
        if now >= end:
            break
        here.changed.wait(max(0.0, min(end, next_change) - now))
        volume.settle()
    return volume.shown()


def show(here, order):
    return here.volumes[order["volume"]].shown()


SET_UP = {
    "make": make,
    "join": join,
    "instance": set_instance,
    "hold": hold,
    "release": release,
    "terminate": terminate,
    "finish": finish,
    "tag": set_tag,
    "remove": remove,
    "page": set_page,
    "wait": wait,
    "show": show,
}

# --- the operations -----------------------------------------------------------------------------------------------


def required(params, *names):
    for name in names:
        if not params.get(name):
            raise Refused(f"The request must contain the parameter {name}", "MissingParameter")
    return [params[name] for name in names]


def volume_of(here, volume):
    if not re.fullmatch(r"vol-[0-9a-f]{8,17}", volume):
        raise Refused(f'Invalid id: "{volume}" (expecting "vol-...")', "InvalidParameterValue")
    if volume not in here.volumes:
        raise Refused(f"The volume '{volume}' does not exist.", "InvalidVolume.NotFound")
    return here.volumes[volume]


def same_device(a, b):
    bare = [re.sub("^(/dev/)?(xv|s)d", "", name) for name in (a, b)]
    return bare[0] == bare[1]


def attach(here, params):
    wanted, instance, device = required(params, "VolumeId", "InstanceId", "Device")
    volume = volume_of(here, wanted)
    if not re.fullmatch(r"i-[0-9a-f]{8,17}", instance):
        raise Refused(f'Invalid id: "{instance}"', "InvalidInstanceID.Malformed")
    machine = instances(here).get(instance)
    if machine is None:
        raise Refused(f"The instance ID '{instance}' does not exist", "InvalidInstanceID.NotFound")
    if machine["state"] not in ("running", "stopped"):
        raise Refused(f"Instance '{instance}' is not 'running'.", "IncorrectState")
    if machine["zone"] != volume.zone:
        text = f"The volume '{wanted}' is not in the same availability zone as instance '{instance}'"
        raise Refused(text, "InvalidVolume.ZoneMismatch")
    if volume.attachments:
        raise Refused(f"{wanted} is already attached to an instance", "VolumeInUse")
    if volume.base != "available":
        raise Refused(f"{wanted} is not 'available'.", "IncorrectState")
    if not re.fullmatch(r"(/dev/)?(sd|xvd)[a-z]{1,2}[0-9]{0,2}", device):
        text = f"Value ({device}) for parameter device is invalid. {device} is not a valid EBS device name."
        raise Refused(text, "InvalidParameterValue")
    for other in here.volumes.values():
        if any(one["instance"] == instance and same_device(one["device"], device) for one in other.attachments):
            text = f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
            raise Refused(text, "InvalidParameterValue")
    begin(volume, instance, device, "attaching", volume.attach_takes)
    return {
        "volumeId": wanted,
        "instanceId": instance,
        "device": device,
        "status": "attaching",
        "attachTime": volume.made,
        "deleteOnTermination": False,
    }


def pattern(value):
    """A filter's value: `*` and `?` stand for any characters, unless a `\\` is before them."""
    parts = re.findall(r"\\.|[*?]|[^\\*?]+|\\", value, re.DOTALL)
    special = {"*": ".*", "?": "."}
    return "".join(special.get(part) or re.escape(part[1:] if len(part) == 2 and part[0] == "\\" else part) for part in parts)


def values_of(volume, name):
    if name.startswith("tag:"):
        return [volume.tags[name[4:]]] if name[4:] in volume.tags else []
    attached = {"attachment.instance-id": "instance", "attachment.device": "device", "attachment.status": "state"}
    if name in attached:
        return [one[attached[name]] for one in volume.attachments]
    simple = {"availability-zone": [volume.zone], "status": [volume.state], "volume-id": [volume.id], "tag-key": list(volume.tags)}
    if name not in simple:
        raise Refused(f"The filter '{name}' is invalid", "InvalidParameterValue")
    return simple[name]


def filters(params):
    number = 1
    while f"Filter.{number}.Name" in params:
        values = members(params, f"Filter.{number}.Value")
        yield params[f"Filter.{number}.Name"], [re.compile(pattern(value), re.DOTALL) for value in values]
        number += 1


def fits(volume, wanted):
    return all(any(one.fullmatch(value) for one in patterns for value in values_of(volume, name)) for name, patterns in wanted)


def page_of(here, params):
    """Where the page begins, and how many volumes it may have."""
    size, token = params.get("MaxResults"), params.get("NextToken")
    if size is not None and not (size.isdigit() and 5 <= int(size) <= 1000):
        text = f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000."
        raise Refused(text, "InvalidParameterValue")
    try:
        begin_after = base64.b64decode(token, validate=True).decode() if token else ""
    except ValueError:
        raise Refused("Unable to parse pagination token", "InvalidParameterValue") from None
    return begin_after, min(here.page, int(size or 1000))


def describe(here, params):
    asked, wanted = members(params, "VolumeId"), list(filters(params))
    begin_after, size = page_of(here, params)
    if asked and "MaxResults" in params:
        text = "The parameter volumeIds cannot be used with the parameter maxResults"
        raise Refused(text, "InvalidParameterCombination")
    chosen = [volume_of(here, one) for one in asked] or here.volumes.values()
    found = sorted((one for one in chosen if fits(one, wanted) and one.id > begin_after), key=lambda one: one.id)
    page, rest = found[:size], found[size:]
    token = base64.b64encode(page[-1].id.encode()).decode() if rest else None
    return {"volumeSet": [described(volume) for volume in page], "nextToken": token}


def described(volume):
    attachments = [
        {
            "volumeId": volume.id,
            "instanceId": one["instance"],
            "device": one["device"],
            "status": one["state"],
            "attachTime": volume.made,
            "deleteOnTermination": False,
        }
        for one in volume.attachments
    ]
    return {
        "volumeId": volume.id,
        "size": volume.size,
        "snapshotId": "",
        "availabilityZone": volume.zone,
        "status": volume.state,
        "createTime": volume.made,
        "attachmentSet": attachments,
        "tagSet": [{"key": key, "value": value} for key, value in volume.tags.items()],
        "volumeType": "gp3",
        "encrypted": volume.attach_fails,
    }


def delete_tags(here, params):
    chosen = [volume_of(here, resource) for resource in members(params, "ResourceId")]
    if not chosen:
        raise Refused("The request must contain the parameter resourceIdSet", "MissingParameter")
    number, doomed = 1, []
    while f"Tag.{number}.Key" in params:
        doomed.append((params[f"Tag.{number}.Key"], params.get(f"Tag.{number}.Value")))
        number += 1
    for volume in chosen:
        before = dict(volume.tags)
        for key, value in doomed:
            if value is None or volume.tags.get(key) == value:
                volume.tags.pop(key, None)
        volume.version += before != volume.tags
    return {"return": True}


OPERATIONS = {"AttachVolume": attach, "DescribeVolumes": describe, "DeleteTags": delete_tags}


def xml(value):
    if isinstance(value, dict):
        return "".join(f"<{name}>{xml(item)}</{name}>" for name, item in value.items() if item is not None)
    if isinstance(value, list):
        return "".join(f"<item>{xml(item)}</item>" for item in value)
    return str(value).lower() if isinstance(value, bool) else escape(str(value))


def answer(request, op, body, access_key):
    """The answer to an operation of EC2's that is done here; None for all others."""
    here = account(access_key)
    if here is None or op not in OPERATIONS:
        return None
    try:
        with here.changed:
            for volume in here.volumes.values():
                volume.settle()
            result = OPERATIONS[op](here, parameters(request, body))
            here.changed.notify_all()
    except Refused as refusal:
        return error(request, refusal.code, str(refusal), refusal.status)
    content = xml({"requestId": str(uuid.uuid4())} | result)
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return Response(f'{head}<{op}Response xmlns="{EC2}">{content}</{op}Response>', content_type="text/xml;charset=UTF-8")
