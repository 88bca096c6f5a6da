"""The check from the outside: what ran, by the API server's own word, against what was wanted and what was said.

Two witnesses, neither of them the operator: a watch on pods, and the bindings in the API server's audit log, which has
no gaps where a watch may have some (the API server was restarted). What either has seen on a node has run.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from apiserver import Manifest
from batchwright.domain.indexes import expand, parse_indexes
from batchwright.names import LABEL_DEFINITION, LABEL_JOB_ID, LABEL_NODE_INDEX, POD_INDEX
from chaos import bought
from chaos.ground import Ground, Want
from chaos.patient import PatientApi
from watches import Watch

GONE_SECONDS = 180


class PodWitness:
    """The pods of a namespace that were ever on a node, by job and index; from a watch of its own."""

    def __init__(self, api: PatientApi, namespace: str) -> None:
        self._lock = threading.Lock()
        # By the pod's name, which the Job controller makes by chance: (jobId, index, whether it was on a node).
        self._pods: dict[str, tuple[str, int, bool]] = {}
        self._watch = Watch(api, "Pod", namespace, self._see)

    def _see(self, kind: str, pod: Manifest) -> None:
        metadata = pod["metadata"]
        labels = metadata.get("labels") or {}
        job_id = labels.get(LABEL_JOB_ID)
        index = labels.get(LABEL_NODE_INDEX) or (metadata.get("annotations") or {}).get(POD_INDEX, "")
        if job_id is None or not index.isdigit():
            return
        with self._lock:
            before = self._pods.get(metadata["name"], (job_id, int(index), False))
            self._pods[metadata["name"]] = (job_id, int(index), before[2] or bool(pod["spec"].get("nodeName")))

    @property
    def gaps(self) -> int:
        """How often the watch lost its place."""
        return self._watch.gaps

    def seen(self) -> dict[str, tuple[str, int, bool]]:
        """All pods seen so far, by name."""
        with self._lock:
            return dict(self._pods)

    def stop(self) -> None:
        """Ends the watch with its next event."""
        self._watch.stop()


def bound_pods(audit_log: Path, namespace: str) -> set[str]:
    """The names of the namespace's pods that were bound to a node, by the audit log and its rotated parts."""
    found: set[str] = set()
    mark = f'"namespace":"{namespace}"'.encode()
    for part in sorted(audit_log.parent.glob(f"{audit_log.stem}*{audit_log.suffix}")):
        with part.open("rb") as log:
            for line in log:
                if b'"subresource":"binding"' not in line or mark not in line or not line.endswith(b"\n"):
                    continue
                entry = orjson.loads(line)
                if entry["responseStatus"]["code"] < 300:
                    found.add(entry["objectRef"]["name"])
    return found


def runs(ground: Ground, witness: PodWitness) -> tuple[dict[str, Counter[int]], list[str]]:
    """By jobId, how many pods of each index ran; and what makes the record doubtful."""
    seen = witness.seen()
    assert ground.cluster.audit_log is not None, "the cluster has no audit log"
    bound = bound_pods(ground.cluster.audit_log, ground.namespace)
    doubts = [
        f"pod {name} was bound and never seen by the watch, which had {witness.gaps} gaps" for name in bound - set(seen)
    ]
    counted: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for name, (job_id, index, was_on_node) in seen.items():
        if was_on_node or name in bound:
            counted[job_id][index] += 1
    return counted, doubts


def differences(ground: Ground, witness: PodWitness) -> list[str]:
    """What was lost, repeated or wrong; empty when every job ended as it must and ran as often as it says."""
    counted, found = runs(ground, witness)
    statuses = ground.statuses()
    for name, want in ground.wants.items():
        ran = counted.get(ground.ids[name], Counter())
        if want.deleted:
            found += [f"{name}: deleted, and it ran {dict(ran)}"] if any(n > 1 for n in ran.values()) else []
        else:
            found += [f"{name}: {text}" for text in wrong(statuses.get(name, {}), want, ran)]
    unknown = set(counted) - set(ground.ids.values())
    return found + [f"pods ran for jobId {job_id}, which nobody submitted" for job_id in unknown]


def wrong(status: Mapping[str, Any], want: Want, ran: Counter[int]) -> Iterator[str]:
    """What differs between a job and what was wanted of it; `ran` has how many pods of each index ran."""
    if status.get("state") != want.state:
        yield f"wanted {want.state}, is {status.get('state')}: {status.get('statusReason')}"
        return
    if want.reason not in (status.get("statusReason") or ""):
        yield f"wanted {want.reason!r} in its statusReason, which is {status.get('statusReason')!r}"
    if want.runs is not None and dict(ran) != dict(want.runs):
        yield f"wanted pods by index {dict(want.runs)}, ran {dict(ran)}"
    if "arrayProperties" in status:
        yield from _wrong_array(status, ran)
        return
    attempts = status.get("attempts") or []
    codes = tuple((attempt.get("container") or {}).get("exitCode") for attempt in attempts)
    if want.codes is not None and codes != want.codes:
        yield f"wanted exit codes {want.codes}, has {codes}"
    if "nodeProperties" in status:
        yield from _wrong_gang(status, ran)
        return
    # What was preempted counts as no attempt, and runs again, unless it ended before it could be.
    preemptions = max(int(status.get("preemptions") or 0), want.extra)
    if want.codes is not None and not len(attempts) <= ran.total() <= len(attempts) + preemptions:
        yield f"ran {ran.total()} times, and says {len(attempts)} attempts; {preemptions} preemptions at most"


def _wrong_gang(status: Mapping[str, Any], ran: Counter[int]) -> Iterator[str]:
    """All nodes start together or none does, and an attempt ends when all of them run (workload). What went back for a
    lost machine, or a pod that somebody deleted, runs again, and is no attempt."""
    attempts, detail = status.get("attempts") or [], status["nodeProperties"]
    main = ran[detail["mainNode"]]
    few = {index: ran[index] for index in range(detail["numNodes"]) if ran[index] < len(attempts)}
    if few:
        yield f"nodes ran less often than it says attempts, which are {len(attempts)}: {few}"
    others = {index: count for index, count in ran.items() if count > main}
    if others:
        yield f"nodes ran more often than the main node, which did {main} times: {others}"
    if status["state"] == "SUCCEEDED" and not set(ran) <= set(range(detail["numNodes"])):
        yield f"of {detail['numNodes']} nodes ran {sorted(ran)}"


def _wrong_array(status: Mapping[str, Any], ran: Counter[int]) -> Iterator[str]:
    detail = status["arrayProperties"]
    succeeded = set(expand(parse_indexes(detail.get("succeededIndexes") or "")))
    failed = set(expand(parse_indexes(detail.get("failedIndexes") or "")))
    if succeeded & failed or len(succeeded) + len(failed) != detail["size"]:
        yield f"of {detail['size']} elements, {sorted(succeeded)} succeeded and {sorted(failed)} failed"
    if not succeeded <= set(ran):
        yield f"elements {sorted(succeeded - set(ran))} are said to have succeeded and never ran"
    if status["state"] == "SUCCEEDED" and failed:
        yield f"SUCCEEDED, and elements {sorted(failed)} failed"


def leftovers_at_end(ground: Ground) -> list[str]:
    """What still works although every job has ended, and Kubernetes Jobs there should not be."""
    known = {ground.ids[name] for name, want in ground.wants.items() if not want.deleted}

    def look() -> list[str]:
        found = []
        owners = Counter(
            job["metadata"]["labels"][LABEL_JOB_ID]
            for job in ground.api.list("Job", ground.namespace, labelSelector=LABEL_JOB_ID)
        )
        found += [f"{count} Kubernetes Jobs of jobId {job_id}" for job_id, count in owners.items() if count > 1]
        found += [
            f"a Kubernetes Job of jobId {job_id}, which is deleted or was never there"
            for job_id in owners
            if job_id not in known
        ]
        found += [
            f"pod {pod['metadata']['name']} is {pod['status'].get('phase')} after the end of its job"
            for pod in ground.api.list("Pod", ground.namespace, labelSelector=LABEL_JOB_ID)
            if pod["status"].get("phase") not in ("Succeeded", "Failed")
        ]
        return found

    ground.until(lambda: not look(), 30)
    return look() + bought.left_over(ground)


def leftovers_after_deletion(ground: Ground) -> list[str]:
    """Deletes the BatchJobs and their definitions; what is left of the operator's making then."""
    collections = {
        kind: f"{path}/namespaces/{ground.namespace}/{plural}"
        for kind, path, plural in (
            ("BatchJob", "/apis/batchwright.io/v1alpha1", "batchjobs"),
            ("JobDefinition", "/apis/batchwright.io/v1alpha1", "jobdefinitions"),
        )
    }
    for path in collections.values():
        ground.api.request("DELETE", path, {"propagationPolicy": "Background"})

    def look() -> list[str]:
        kinds = {"Job": LABEL_JOB_ID, "Pod": LABEL_JOB_ID, "ControllerRevision": LABEL_DEFINITION, "BatchJob": ""}
        return [
            f"{kind} {each['metadata']['name']}, made {each['metadata']['creationTimestamp']}, is left over"
            for kind, label in kinds.items()
            for each in ground.api.list(kind, ground.namespace, **({"labelSelector": label} if label else {}))
        ]

    ground.until(lambda: not look(), GONE_SECONDS)
    return look()
