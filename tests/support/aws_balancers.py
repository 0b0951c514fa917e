"""Target groups and classic load balancers, as one machine's world (aws_lifecycle.py) has them.

  POST /_test/life  {"access_key": K, "do": WHAT, ...}   where WHAT is one of

  balancer  {"balancer": ARN or NAME, "kind": "target_group"|"classic", "initial": ASKS or null, "draining": ASKS or null,
             "state": STATE, "registered": true, "others": {ID: STATE}}      makes it, or makes it anew
  target    {"balancer": ARN or NAME, "instance": ID or null for this one, "states": [STATE, ...]}

A STATE is a target's, with a reason where the usual one is not wanted: `healthy`, `unhealthy`,
`unhealthy Target.Timeout`, `initial`, `draining`, `unused`, `unavailable`. Of this machine:

- while its launch hook waits (no group: never) it is not registered;
- once registered it is `initial` for as many asks as said, null being until told;
- then `states` go one by one, one an ask, and the last one stays; `target` ends what came before at once;
- deregistered it is `draining` for as many asks as said, null being until told `unused`, and then not registered: that is
  `unused` with Target.NotRegistered, in a classic load balancer InvalidInstance.

Deregistering what is not registered is well. A classic load balancer says InService and OutOfService with a ReasonCode
and a Description; while connections drain that is InService. Asks for everyone list what is registered, and don't count.
"""
import aws_wire as wire

CLASSIC = "http://elasticloadbalancing.amazonaws.com/doc/2012-06-01/"
SECOND = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"

REASONS = {
    "initial": "Elb.InitialHealthChecking",
    "unhealthy": "Target.FailedHealthChecks",
    "unused": "Target.NotRegistered",
    "draining": "Target.DeregistrationInProgress",
    "unavailable": "Target.HealthCheckDisabled",
}
DESCRIPTIONS = {
    "initial": "Initial health checks in progress",
    "unhealthy": "Health checks failed",
    "unused": "Target is not registered to the target group",
    "draining": "Target deregistration is in progress",
    "unavailable": "Health checks are not enabled for this target",
}
CLASSIC_STATES = {
    "healthy": ("InService", "N/A", "N/A"),
    "draining": ("InService", "N/A", "Instance deregistration currently in progress."),
    "initial": ("OutOfService", "ELB", "Instance registration is still in progress."),
    "unhealthy": (
        "OutOfService",
        "Instance",
        "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.",
    ),
    "unavailable": ("Unknown", "ELB", "A transient error occurred. Please try again later."),
}


def set_up(here, order):
    here.balancers[order["balancer"]] = {
        "kind": order["kind"],
        "initial": order["initial"],
        "draining": order["draining"],
        "phase": "in" if order["registered"] else "out",
        "left": order["initial"],
        "states": [order["state"]],
        "others": order["others"],
    }


def set_target(here, order):
    balancer, states = here.balancers[order["balancer"]], order["states"]
    if order["instance"] not in (None, here.instance):
        if states:
            balancer["others"][order["instance"]] = states[-1]
        else:
            balancer["others"].pop(order["instance"], None)
    elif states == ["unused"]:
        balancer["phase"] = "out"
    else:
        balancer.update(phase="in", left=0, states=list(states))


def step(here, balancer, count):
    """What this machine's target is; an ask that counts brings it one step on."""
    if balancer["phase"] == "out" or here.unused():
        return "unused"
    if balancer["left"] != 0:
        if balancer["left"] is not None and count:
            balancer["left"] -= 1
        return "initial" if balancer["phase"] == "in" else "draining"
    if balancer["phase"] == "leaving":
        balancer["phase"] = "out"
        return "unused"
    states = balancer["states"]
    return states.pop(0) if count and len(states) > 1 else states[0]


def find(here, key, kind):
    balancer = here.balancers.get(key)
    if balancer is not None and balancer["kind"] == kind:
        return balancer
    if kind == "classic":
        raise wire.Refused(f"There is no ACTIVE Load Balancer named '{key}'", "LoadBalancerNotFound")
    raise wire.Refused("One or more target groups not found", "TargetGroupNotFound")


def healths(here, key, balancer, wanted):
    """State by instance: of those asked for, or of all that are registered."""
    everyone = dict(balancer["others"])
    if wanted:
        found = {instance: everyone.get(instance, "unused") for instance in wanted}
        if here.instance in wanted:
            found[here.instance] = step(here, balancer, True)
            here.note("asked", balancer=key, state=found[here.instance])
        return found
    mine = step(here, balancer, False)
    return everyone if mine.startswith("unused") else {here.instance: mine} | everyone


def change(here, key, balancer, wanted, phase):
    for instance in wanted:
        mine = instance == here.instance
        here.note("registrations", balancer=key, instance=instance, registered=phase == "in")
        if mine and phase == "in" and balancer["phase"] != "in":
            balancer.update(phase="in", left=balancer["initial"])
        elif mine and phase == "out" and balancer["phase"] == "in":
            balancer.update(phase="out" if here.unused() else "leaving", left=balancer["draining"])
        elif not mine and phase == "in":
            balancer["others"].setdefault(instance, "initial")
        elif not mine:
            balancer["others"].pop(instance, None)


# --- ELBv2 --------------------------------------------------------------------------------------------------------


def targets(params):
    found, number = [], 1
    while f"Targets.member.{number}.Id" in params:
        found.append(params[f"Targets.member.{number}.Id"])
        number += 1
    return found


def group_of(here, params):
    key = params.get("TargetGroupArn", "")
    return key, find(here, key, "target_group")


def described(instance, state):
    word, _, reason = state.partition(" ")
    reason = reason or REASONS.get(word)
    health = {"State": word, "Reason": reason, "Description": DESCRIPTIONS.get(word)}
    return {"Target": {"Id": instance, "Port": 8080}, "HealthCheckPort": "8080", "TargetHealth": health}


def target_health(here, params, request):
    key, balancer = group_of(here, params)
    found = healths(here, key, balancer, targets(params))
    return {"TargetHealthDescriptions": [described(instance, state) for instance, state in found.items()]}


def change_targets(phase):
    def act(here, params, request):
        key, balancer = group_of(here, params)
        if not targets(params):
            raise wire.Refused("At least one target must be specified")
        change(here, key, balancer, targets(params), phase)
        return {}

    return act


# --- classic ------------------------------------------------------------------------------------------------------


def listed(params):
    found, number = [], 1
    while f"Instances.member.{number}.InstanceId" in params:
        found.append(params[f"Instances.member.{number}.InstanceId"])
        number += 1
    return found


def classic_of(here, params):
    key = params.get("LoadBalancerName", "")
    return key, find(here, key, "classic")


def instance_health(here, params, request):
    key, balancer = classic_of(here, params)
    states = []
    for instance, state in healths(here, key, balancer, listed(params)).items():
        word, _, reason = state.partition(" ")
        if word == "unused":
            raise wire.Refused(f"Could not find EC2 instance {instance}.", "InvalidInstance")
        says, code, description = CLASSIC_STATES[word]
        states.append(
            {"InstanceId": instance, "State": says, "ReasonCode": reason or code, "Description": description}
        )
    return {"InstanceStates": states}


def change_instances(phase):
    def act(here, params, request):
        key, balancer = classic_of(here, params)
        change(here, key, balancer, listed(params), phase)
        registered = healths(here, key, balancer, [])
        gone = ("draining", "unused")
        return {"Instances": [{"InstanceId": one} for one, state in registered.items() if state not in gone]}

    return act


OPERATIONS = {
    "DescribeTargetHealth": (SECOND, target_health),
    "RegisterTargets": (SECOND, change_targets("in")),
    "DeregisterTargets": (SECOND, change_targets("out")),
    "DescribeInstanceHealth": (CLASSIC, instance_health),
    "RegisterInstancesWithLoadBalancer": (CLASSIC, change_instances("in")),
    "DeregisterInstancesFromLoadBalancer": (CLASSIC, change_instances("out")),
}
