"""What an observer saw of the third act who knows nothing of the operator: nodes that came and went, pods and where.

Pure: times are seconds since the submission, given by whoever looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batchwright import names
from batchwright.local.demo.elastic import ELEMENTS

JSON = dict[str, Any]
_LIVE = ("pending", "running")


@dataclass
class Machine:
    """A node of the environment, from when it was ready until it was gone."""

    name: str
    instance: str
    type: str
    zone: str
    ready_at: float
    cordoned: str = ""
    gone_at: float | None = None


@dataclass
class Growth:
    """Nodes by name, the ends of pods, and where pods run."""

    machines: dict[str, Machine] = field(default_factory=dict)
    running: dict[str, str] = field(default_factory=dict)
    succeeded: Counter[int] = field(default_factory=Counter)
    # By uid: the element of each pod that failed or was deleted, and the node it was on.
    lost: dict[str, tuple[int, str]] = field(default_factory=dict)
    ended: dict[str, bool] = field(default_factory=dict)
    victim: str = ""
    warned_at: float = 0.0
    moved_at: float | None = None

    def see_node(self, node: JSON, at: float, *, deleted: bool = False) -> list[str]:
        """Takes a node in; what is to be told of it."""
        name = node["metadata"]["name"]
        known = self.machines.get(name)
        if deleted:
            if known is None or known.gone_at is not None:
                return []
            known.gone_at = at
            return [f"node {name} is gone"]
        told = []
        if known is None and _is_ready(node):
            labels = node["metadata"]["labels"]
            instance = node["spec"].get("providerID", "").rsplit("/", 1)[-1]
            kind, zone = labels.get(names.INSTANCE_TYPE, ""), labels.get(names.ZONE, "")
            known = self.machines[name] = Machine(name, instance, kind, zone, at)
            told.append(f"node {name} is ready: {kind} in {zone}, {instance}")
        if known is not None:
            why = (node["metadata"].get("annotations") or {}).get(names.ANNOTATION_CORDONED, "").split(" ")[0]
            if why and why != known.cordoned:
                told.append(f"node {name} is cordoned: {why}")
            known.cordoned = why
        return told

    def see_pod(self, pod: JSON, at: float, *, deleted: bool = False) -> list[str]:
        """Takes a pod of the array in; what is to be told of it."""
        metadata, status = pod["metadata"], pod.get("status") or {}
        uid, node = metadata["uid"], (pod.get("spec") or {}).get("nodeName", "")
        index = int((metadata.get("annotations") or {}).get(names.POD_INDEX, 0))
        phase, is_going = status.get("phase"), deleted or "deletionTimestamp" in metadata
        if phase == "Running" and not is_going:
            self.running[uid] = node
            return []
        self.running.pop(uid, None)
        if uid in self.ended or not (phase in ("Succeeded", "Failed") or is_going):
            return []
        self.ended[uid] = phase == "Succeeded"
        if phase == "Succeeded":
            self.succeeded[index] += 1
            return []
        self.lost[uid] = index, node
        if self.moved_at is None and node in self.machines and self.machines[node].instance == self.victim:
            self.moved_at = at
            return [f"the elements on {node} wait again"]
        return []

    def busiest(self) -> Machine | None:
        """The node with the most running pods, once every element runs."""
        if len(self.running) < ELEMENTS:
            return None
        name, _ = max(Counter(self.running.values()).items(), key=lambda each: (each[1], each[0]))
        return self.machines.get(name)

    @property
    def is_back(self) -> bool:
        """Whether all nodes that came are gone."""
        return bool(self.machines) and all(each.gone_at is not None for each in self.machines.values())

    @property
    def replaced_after(self) -> float | None:
        """Seconds from the warning to the first node that came after it; None if none did."""
        came = [each.ready_at - self.warned_at for each in self.machines.values() if each.ready_at >= self.warned_at]
        return min(came, default=None) if self.victim else None

    def differences(self, job: JSON, instances: Mapping[str, JSON]) -> list[str]:
        """What is not as it should be, in lines for the user; nothing when all is."""
        found = [
            f"element {index} succeeded {self.succeeded[index]} times"
            for index in range(ELEMENTS)
            if self.succeeded[index] != 1
        ]
        left = [name for name, each in instances.items() if each["State"]["Name"] in _LIVE]
        found += [f"instance {name} is left" for name in left]
        known = {each.instance for each in self.machines.values()}
        found += [f"instance {name} never was a node" for name in instances.keys() - known if name not in left]
        astray = [index for index, node in self.lost.values() if not self._is_victims(node)]
        found += [f"element {index} ended on a node that was not taken back" for index in astray]
        if self.victim and not self.lost:
            found.append("the interruption met no element")
        if (job.get("status") or {}).get("state") != "SUCCEEDED":
            found.append(f"the job is {(job.get('status') or {}).get('state')}")
        return found

    def _is_victims(self, node: str) -> bool:
        return node in self.machines and self.machines[node].instance == self.victim


def _is_ready(node: JSON) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
