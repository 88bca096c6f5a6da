"""Auto Scaling as it is, where moto is not like it: instances come a while after they were asked for, or not at all,
and activities say why; sizes are held to their bounds; instances are of their group's type, zones and market.

In front of moto: what is not answered here passes to it. The groups themselves are moto's.
"""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState, autoscaling_backends

from batchwright.local.ec2.switches import Switches

# A group that could not start what it owes tries again after this long.
RETRY_SECONDS = 5.0
_LOOK_SECONDS = 0.1
_NAMESPACE = "http://autoscaling.amazonaws.com/doc/2011-01-01/"
Answer = tuple[str, list[tuple[str, str]], bytes]
Ask = Callable[[dict[str, str]], Answer]


class Groups:
    """The groups of every account and region of the endpoint."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._activities: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        self._turns = itertools.count()
        self._lock = threading.RLock()

    def answer(self, action: str, form: dict[str, str], ask: Ask) -> Answer | None:
        """The answer to a request; None for one that moto answers as AWS does. `ask` asks moto."""
        handler = {
            "CreateAutoScalingGroup": self._create,
            "DeleteAutoScalingGroup": self._delete,
            "SetDesiredCapacity": self._resize,
            "TerminateInstanceInAutoScalingGroup": self._end,
            "DescribeScalingActivities": self._describe,
            "SetInstanceProtection": self._protect,
        }.get(action)
        if handler is None:
            return None
        with self._lock:
            return handler(form, ask)

    def lose(self, ids: set[str]) -> None:
        """Somebody ends these past their groups, which start others in their place."""
        with self._lock:
            for group in every():
                left = [each for each in group.instance_states if each.instance.id not in ids]
                if len(left) < len(group.instance_states):
                    group.instance_states = left
                    self._await(group.name, time.monotonic())

    def _create(self, form: dict[str, str], ask: Ask) -> Answer:
        name = form.get("AutoScalingGroupName", "")
        if find(name) is not None:
            text = f"AutoScalingGroup by this name already exists - A group with the name {name} already exists"
            return refusal("AlreadyExists", text)
        answer = ask(form | {"DesiredCapacity": "0"})
        group = find(name)
        if group is not None:
            self.resize(group, int(form.get("DesiredCapacity") or form["MinSize"]))
        return answer

    def _delete(self, form: dict[str, str], ask: Ask) -> Answer:
        group = find(form.get("AutoScalingGroupName", ""))
        if group is not None and group.instance_states and form.get("ForceDelete") != "true":
            text = "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s)"
            return refusal("ResourceInUse", text)
        if group is not None:
            self._empty(group)
        return ask(form)

    def delete(self, group: FakeAutoScalingGroup) -> None:
        """Deletes it with all that is in it."""
        with self._lock:
            self._empty(group)
            group.autoscaling_backend.delete_auto_scaling_group(group.name)

    def _empty(self, group: FakeAutoScalingGroup) -> None:
        group.desired_capacity = 0
        for state in list(group.instance_states):
            self._drop(group, state)

    def last_failure(self, name: str) -> str | None:
        """Why the last launch of the group failed, if it did."""
        newest = self._activities[name][:1]
        return next((each["StatusMessage"] for each in newest if each["StatusCode"] == "Failed"), None)

    def _resize(self, form: dict[str, str], _: Ask) -> Answer:
        name, size = form.get("AutoScalingGroupName", ""), int(form.get("DesiredCapacity", "0"))
        group = find(name)
        if group is None:
            return refusal("ValidationError", f"AutoScalingGroup name not found - AutoScalingGroup: {name} not found")
        if size > group.max_size:
            text = f"New SetDesiredCapacity value {size} is above max value {group.max_size} for the AutoScalingGroup."
            return refusal("ValidationError", text)
        if size < group.min_size:
            text = f"New SetDesiredCapacity value {size} is below min value {group.min_size} for the AutoScalingGroup."
            return refusal("ValidationError", text)
        self.resize(group, size)
        return result("SetDesiredCapacity")

    def resize(self, group: FakeAutoScalingGroup, size: int) -> None:
        """Has the group be of that size, now or by and by."""
        group.desired_capacity = size
        if size < len(group.instance_states):
            free = [each for each in group.instance_states if not each.protected_from_scale_in]
            for state in free[: len(group.instance_states) - size]:
                self._drop(group, state)
        else:
            self._await(group.name, time.monotonic())

    def _await(self, name: str, since: float) -> None:
        """Fills the group when its time has come, which somebody may change meanwhile."""
        if time.monotonic() - since >= self._switches.fill_seconds:
            self._fill(name)
            return
        timer = threading.Timer(_LOOK_SECONDS, self._await, [name, since])
        timer.daemon = True
        timer.start()

    def _later(self, name: str, seconds: float) -> None:
        timer = threading.Timer(seconds, self._fill, [name])
        timer.daemon = True
        timer.start()

    def _fill(self, name: str) -> None:
        """Starts what the group owes; what is sold out ends in an activity, and is tried again."""
        with self._lock:
            group = find(name)
            if group is None:
                return
            missing = int(group.desired_capacity or 0) - len(group.instance_states)
            most = self._switches.most
            for number in range(missing):
                where = self._place(group)
                if where is None or (most is not None and number >= most):
                    self._fail(group)
                    self._later(name, RETRY_SECONDS)
                    return
                self._start(group, *where)

    def _place(self, group: FakeAutoScalingGroup) -> tuple[str, str, str] | None:
        """Type, subnet and zone of the next instance: zones by turns, types in their order."""
        subnets = self._subnets(group)
        turn = next(self._turns)
        for kind in types_of(group):
            for number in range(len(subnets)):
                subnet, zone = subnets[(turn + number) % len(subnets)]
                if not self._switches.is_exhausted(kind, zone):
                    return kind, subnet, zone
        return None

    def _subnets(self, group: FakeAutoScalingGroup) -> list[tuple[str, str]]:
        if not group.vpc_zone_identifier:
            return [("", zone) for zone in group.availability_zones]
        found = group.ec2_backend.describe_subnets(subnet_ids=group.vpc_zone_identifier.split(","))
        return [(each.id, each.availability_zone) for each in found]

    def _start(self, group: FakeAutoScalingGroup, kind: str, subnet: str, zone: str) -> None:
        tags = {**group.get_propagated_tags(), "aws:autoscaling:groupName": group.name}
        template = group.ec2_launch_template
        market = data_of(group).get("InstanceMarketOptions")
        reservation = group.ec2_backend.run_instances(
            group.image_id,
            1,
            group.user_data,
            group.security_groups,
            instance_type=kind,
            is_instance_type_default=False,
            tags={"instance": tags},
            placement=zone,
            subnet_id=subnet or None,
            launch_config=group.launch_config,
            launch_template={"LaunchTemplateId": template.id} if template is not None else None,
            **({"instance_market_options": market} if market else {}),
        )
        (instance,) = reservation.instances
        instance.autoscaling_group = group
        protected = group.new_instances_protected_from_scale_in
        group.instance_states.append(InstanceState(instance, protected_from_scale_in=protected))
        self._note(group.name, f"Launching a new EC2 instance: {instance.id}", "Successful", "")

    def _fail(self, group: FakeAutoScalingGroup) -> None:
        kind, zones = types_of(group)[0], ", ".join(group.availability_zones)
        text = (
            f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zones}). "
            "Our system will be working on provisioning additional capacity. Launching EC2 instance failed."
        )
        self._note(group.name, "Launching a new EC2 instance.  Status Reason: " + text, "Failed", text)

    def _note(self, name: str, description: str, status: str, message: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._activities[name].insert(
            0,
            {
                "ActivityId": str(uuid.uuid4()),
                "AutoScalingGroupName": name,
                "Description": description,
                "Cause": f"At {now} an instance was started in response to a difference between desired and actual "
                "capacity.",
                "StartTime": now,
                "EndTime": now,
                "StatusCode": status,
                "StatusMessage": message,
                "Progress": "100",
            },
        )

    def _describe(self, form: dict[str, str], _: Ask) -> Answer:
        listed = self._activities[form.get("AutoScalingGroupName", "")][: int(form.get("MaxRecords", "100"))]
        items = "".join(f"<member>{_elements(each)}</member>" for each in listed)
        return result("DescribeScalingActivities", f"<Activities>{items}</Activities>")

    def _protect(self, form: dict[str, str], ask: Ask) -> Answer:
        """AWS refuses the whole list for one that is not in service."""
        group = find(form.get("AutoScalingGroupName", ""))
        known = {each.instance.id for each in group.instance_states} if group is not None else set()
        asked = {value for key, value in form.items() if key.startswith("InstanceIds.member.")}
        if strange := sorted(asked - known):
            return refusal("ValidationError", f"The instance {strange[0]} is not part of Auto Scaling group.")
        return ask(form)

    def _end(self, form: dict[str, str], _: Ask) -> Answer:
        identity, is_smaller = form.get("InstanceId", ""), form.get("ShouldDecrementDesiredCapacity") == "true"
        found = [
            (group, state) for group in every() for state in group.instance_states if state.instance.id == identity
        ]
        if not found:
            text = f"Instance Id not found - No managed instance found for instance ID: {identity}"
            return refusal("ValidationError", text)
        ((group, state),) = found
        if is_smaller and (group.desired_capacity or 0) <= group.min_size:
            text = (
                f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without replacement "
            )
            return refusal("ValidationError", text + "will violate group's min size constraint.")
        self._drop(group, state)
        if is_smaller:
            group.desired_capacity = (group.desired_capacity or 0) - 1
        else:
            self._await(group.name, time.monotonic())
        return result("TerminateInstanceInAutoScalingGroup")

    def _drop(self, group: FakeAutoScalingGroup, state: InstanceState) -> None:
        group.instance_states.remove(state)
        group.ec2_backend.terminate_instances([state.instance.id])


def every() -> list[FakeAutoScalingGroup]:
    """All groups."""
    return [
        group
        for account in autoscaling_backends.values()
        for backend in account.values()
        for group in list(backend.autoscaling_groups.values())
    ]


def find(name: str) -> FakeAutoScalingGroup | None:
    """The group of that name."""
    return next((group for group in every() if group.name == name), None)


def data_of(group: FakeAutoScalingGroup) -> dict[str, Any]:
    """What its launch template says."""
    if group.ec2_launch_template is None:
        return {}
    return dict(group.ec2_launch_template.get_version(group.launch_template_version).data)


def types_of(group: FakeAutoScalingGroup) -> list[str]:
    """The types that it starts, the first first."""
    overrides = ((group.mixed_instances_policy or {}).get("LaunchTemplate") or {}).get("Overrides") or []
    return [each["InstanceType"] for each in overrides] or [group.instance_type]


def _elements(content: dict[str, str]) -> str:
    return "".join(f"<{key}>{escape(value)}</{key}>" for key, value in content.items() if value)


def result(action: str, content: str = "") -> Answer:
    """An answer of the query protocol."""
    body = (
        f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{content}</{action}Result>'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{action}Response>"
    )
    return "200 OK", [("Content-Type", "text/xml")], body.encode()


def refusal(code: str, message: str) -> Answer:
    """A refusal in the query protocol."""
    body = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )
    return "400 Bad Request", [("Content-Type", "text/xml")], body.encode()
