"""Malformed and hostile objects, endlessly, by a seed: what a user might send by mistake or on purpose.

Most are refused by the API server; what it takes, the operator has to live with: say why it does not run, or run it.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import manifests
from batchwright.names import ANNOTATION_GATED, API_VERSION, LABEL_JOB_ID, POD_FAILURE_COUNT, POD_INDEX
from manifests import Manifest

# Letters from right to left, joined ones, four-byte ones, an invisible one, and line ends.
TEXTS = ("‮drawkcab", "日本語ジョブ", "👩‍🚀🧨", "zero​width", "a\nb\r\tc", "Ref::Ref::x", "$(HOME)`id`", "%s{0}", "'; --")
MEGABYTE = 1 << 20
# Stands for an object within an object and so on, so many; neither Python's encoder nor its decoder goes so deep.
DEEP = "deeper and deeper: "
DEPTHS = (50, 300, 1200, 9000)
_DEEP = re.compile(f'"{DEEP}([0-9]+)"')


def as_json(manifest: Manifest) -> bytes:
    """The manifest as it is sent."""
    return _DEEP.sub(_nested, json.dumps(manifest)).encode()


def _nested(found: re.Match[str]) -> str:
    depth = int(found[1])
    return '{"x":' * depth + "{}" + "}" * depth


class Hostile:
    """Makes objects for one namespace and queue, numbered, so that their names differ."""

    def __init__(self, namespace: str, queue: str, chance: random.Random) -> None:
        self._namespace, self._queue, self._chance = namespace, queue, chance
        self._number = 0
        self._depths = cycle(DEPTHS)

    def objects(self, count: int) -> Iterator[Manifest]:
        """So many objects, of every kind of hostility in turn, in pairs and rings where one alone is harmless."""
        makers: tuple[Callable[[str], Iterator[Manifest]], ...] = (
            self._huge_array,
            self._deep,
            self._unicode,
            self._fat,
            self._cycle,
            self._wrong_types,
            self._globs,
            self._bomb,
            self._forged_pod,
            self._forged_job,
            self._many_parents,
            self._large_numbers,
        )
        made = 0
        while made < count:
            for maker in makers:
                self._number += 1
                for each in maker(f"evil-{self._number}"):
                    yield each
                    made += 1

    def _job(self, name: str, **spec: Any) -> Manifest:
        return manifests.batch_job(name, self._namespace, **{"jobQueue": self._queue, "jobDefinition": "good", **spec})

    def _definition(self, name: str, **spec: Any) -> Manifest:
        return manifests.job_definition(name, self._namespace, **spec)

    def _huge_array(self, name: str) -> Iterator[Manifest]:
        size = self._chance.choice((100_000, 100_001, 2**31, 2**63, -1, 0, 1))
        yield self._job(name, arrayProperties={"size": size, "maxConcurrency": self._chance.choice((1, 10**9))})

    def _deep(self, name: str) -> Iterator[Manifest]:
        deep = f"{DEEP}{next(self._depths)}"
        yield self._definition(name, podTemplate={"spec": {"containers": [{"name": "a", "image": "b"}], "x": deep}})
        yield self._job(f"{name}-j", jobDefinition=name)

    def _unicode(self, name: str) -> Iterator[Manifest]:
        text = self._chance.choice(TEXTS)
        yield self._job(name, parameters={text: text, "who": text * 50}, tags={text: text})
        yield self._job(f"{name}{text}")
        yield self._job(f"{name}-c", cancel={"reason": text * 20})

    def _fat(self, name: str) -> Iterator[Manifest]:
        size = self._chance.choice((MEGABYTE // 4, MEGABYTE, 2 * MEGABYTE))
        fat = [{"name": f"V{number}", "value": "x" * 4096} for number in range(size // 4096)]
        yield self._definition(name, containerProperties=manifests.container(environment=fat))
        yield self._job(f"{name}-j", jobDefinition=name)
        yield self._job(f"{name}-o", containerOverrides={"environment": fat})

    def _cycle(self, name: str) -> Iterator[Manifest]:
        length = self._chance.choice((1, 2, 3, 20))
        for number in range(length):
            needed = f"{name}-{(number + 1) % length}"
            yield self._job(f"{name}-{number}", dependsOn=[{"name": needed}])

    def _wrong_types(self, name: str) -> Iterator[Manifest]:
        wrong: Any = self._chance.choice((None, [], {}, "x", -1, 1.5, True, [[]], {"": ""}))
        field = self._chance.choice(
            ("jobQueue", "jobDefinition", "dependsOn", "arrayProperties", "timeout", "parameters", "retryStrategy")
        )
        yield self._job(name, **{field: wrong})
        yield {"apiVersion": API_VERSION, "kind": "BatchJob", "metadata": {"name": name, "namespace": self._namespace}}

    def _globs(self, name: str) -> Iterator[Manifest]:
        rules = [{"onReason": "*?" * 200, "onExitCode": "*" * 50, "action": "RETRY"}] * 5
        yield self._job(name, retryStrategy={"attempts": 10, "evaluateOnExit": rules})
        rules = [{"onExitCode": "1*", "onStatusReason": "*", "action": "EXIT"}]
        yield self._job(f"{name}-b", retryStrategy={"attempts": 2, "evaluateOnExit": rules})

    def _bomb(self, name: str) -> Iterator[Manifest]:
        yield self._definition(name, containerProperties=manifests.container(command=["Ref::x" * 100] * 300))
        yield self._job(f"{name}-j", jobDefinition=name, parameters={"x": "Ref::x" * 500})

    def _forged_pod(self, name: str) -> Iterator[Manifest]:
        index = self._chance.choice(("x", "-1", "99999999999999999999", "", "0"))
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": self._namespace,
                "labels": {LABEL_JOB_ID: self._chance.choice(("nobody", "", "a" * 63))},
                "annotations": {POD_INDEX: index, POD_FAILURE_COUNT: index},
            },
            # Nowhere to be scheduled: it is there to be seen.
            "spec": {
                "nodeSelector": {"no": "where"},
                "containers": [{"name": "main", "image": "x", "resources": {"requests": {"cpu": "1000000"}}}],
            },
        }

    def _forged_job(self, name: str) -> Iterator[Manifest]:
        yield {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": self._namespace,
                "labels": {LABEL_JOB_ID: self._chance.choice(("nobody", ""))},
                "annotations": {ANNOTATION_GATED: "perhaps", f"{LABEL_JOB_ID}s": "x"},
            },
            "spec": {
                "suspend": True,
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}},
            },
        }

    def _many_parents(self, name: str) -> Iterator[Manifest]:
        count = self._chance.choice((500, 501))
        yield self._job(name, dependsOn=[{"name": f"{name}-none-{number}"} for number in range(count)])
        yield self._job(f"{name}-t", dependsOn=[{"name": "good"}] * 20)

    def _large_numbers(self, name: str) -> Iterator[Manifest]:
        value = self._chance.choice(("1e400", "-1", "9" * 40, "0.0000001", "NaN", "1Ei"))
        asked = [{"type": "VCPU", "value": value}, {"type": "MEMORY", "value": value}]
        yield self._job(name, containerOverrides={"resourceRequirements": asked})
        yield self._job(f"{name}-t", timeout={"attemptDurationSeconds": self._chance.choice((-1, 0, 2**31, 2**62))})
