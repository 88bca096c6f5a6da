"""The check from the outside: what ran, by the API server's own word, against what was wanted and what was said.

Two witnesses, neither of them the operator: a watch on pods, and the bindings in the API server's audit log, which has
no gaps where a watch may have some (the API server was restarted). What either has seen on a node has run.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from apiserver import RESOURCES, Manifest, Refused
from batchwright.domain.indexes import expand, parse_indexes
from batchwright.names import ANNOTATION_GIVEN_BACK, LABEL_DEFINITION, LABEL_JOB_ID, LABEL_NODE_INDEX, POD_INDEX
from chaos import bought
from chaos.ground import Ground, Want
from chaos.patient import PatientApi
from watches import Watch

GONE_SECONDS = 180
# What the operator makes for a job: a Service and an EndpointSlice with the names and a ConfigMap with the hostfile,
# where it is multi-node.
OF_JOBS = ("Job", "Pod", "Service", "EndpointSlice", "ConfigMap", "PodGroup")


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
    statuses, given_back = ground.statuses(), _given_back(ground)
    for name, want in ground.wants.items():
        ran = counted.get(ground.ids[name], Counter())
        if want.deleted:
            found += [f"{name}: deleted, and it ran {dict(ran)}"] if any(n > 1 for n in ran.values()) else []
        else:
            status, returns = statuses.get(name, {}), given_back.get(ground.ids[name], 0)
            found += [f"{name}: {text}" for text in wrong(status, want, ran, returns)]
    unknown = set(counted) - set(ground.ids.values())
    return found + [f"pods ran for jobId {job_id}, which nobody submitted" for job_id in unknown]


def _given_back(ground: Ground) -> dict[str, int]:
    """How often the nodes of multi-node jobs went back, by jobId, as their Kubernetes Jobs say."""
    return {
        job["metadata"]["labels"][LABEL_JOB_ID]: int(job["metadata"]["annotations"][ANNOTATION_GIVEN_BACK])
        for job in ground.api.list("Job", ground.namespace, labelSelector=LABEL_JOB_ID)
        if ANNOTATION_GIVEN_BACK in job["metadata"].get("annotations", {})
    }


def wrong(status: Mapping[str, Any], want: Want, ran: Counter[int], given_back: int = 0) -> Iterator[str]:
    """What differs between a job and what was wanted of it; `ran` has how many pods of each index ran, `given_back` how
    often a multi-node job's Kubernetes Job says that its nodes went back."""
    if status.get("state") != want.state:
        yield f"wanted {want.state}, is {status.get('state')}: {status.get('statusReason')}"
        return
    if want.reason not in (status.get("statusReason") or ""):
        yield f"wanted {want.reason!r} in its statusReason, which is {status.get('statusReason')!r}"
    if want.runs is not None and dict(ran) != dict(want.runs):
        yield f"wanted pods by index {dict(want.runs)}, ran {dict(ran)}"
    if "arrayProperties" in status:
        yield from _wrong_array(status, want, ran)
        return
    attempts = status.get("attempts") or []
    codes = tuple((attempt.get("container") or {}).get("exitCode") for attempt in attempts)
    if want.codes is not None and codes != want.codes:
        yield f"wanted exit codes {want.codes}, has {codes}"
    # What was preempted counts as no attempt, and runs again, unless it ended before it could be.
    again = max(int(status.get("preemptions") or 0) + given_back, want.extra)
    if "nodeProperties" in status:
        yield from _wrong_gang(status, ran, again)
        return
    is_told = want.codes is not None or want.runs is None
    if is_told and not len(attempts) <= ran.total() <= len(attempts) + again:
        yield f"ran {ran.total()} times, and says {len(attempts)} attempts; {again} preemptions at most"


def _wrong_gang(status: Mapping[str, Any], ran: Counter[int], again: int) -> Iterator[str]:
    """All nodes start together or none does, and an attempt ends when all of them run (workload). What went back for a
    lost machine, or a pod that somebody deleted, runs again, and is no attempt: `again` says how often."""
    attempts, detail = status.get("attempts") or [], status["nodeProperties"]
    main = ran[detail["mainNode"]]
    if main > len(attempts) + again:
        yield f"the main node ran {main} times, and says {len(attempts)} attempts; went back {again} times at most"
    few = {index: ran[index] for index in range(detail["numNodes"]) if ran[index] < len(attempts)}
    if few:
        yield f"nodes ran less often than it says attempts, which are {len(attempts)}: {few}"
    others = {index: count for index, count in ran.items() if count > main}
    if others:
        yield f"nodes ran more often than the main node, which did {main} times: {others}"
    if status["state"] == "SUCCEEDED" and not set(ran) <= set(range(detail["numNodes"])):
        yield f"of {detail['numNodes']} nodes ran {sorted(ran)}"


def _wrong_array(status: Mapping[str, Any], want: Want, ran: Counter[int]) -> Iterator[str]:
    detail = status["arrayProperties"]
    if want.runs is None and any(count > want.most for count in ran.values()):
        yield f"elements ran more than {want.most} times: {dict(ran)}"
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
        jobs, pods = (ground.api.list(kind, ground.namespace, labelSelector=LABEL_JOB_ID) for kind in ("Job", "Pod"))
        return standing(jobs, pods, known)

    ground.until(lambda: not look(), 30)
    return look() + bought.left_over(ground)


def standing(jobs: Iterable[Manifest], pods: Iterable[Manifest], known: Container[str]) -> list[str]:
    """What there should not be of Kubernetes Jobs and pods once all jobs have ended; `known` are the jobIds of those
    that are not deleted."""
    owners = Counter(job["metadata"]["labels"][LABEL_JOB_ID] for job in jobs)
    found = [f"{count} Kubernetes Jobs of jobId {job_id}" for job_id, count in owners.items() if count > 1]
    found += [
        f"a Kubernetes Job of jobId {job_id}, which is deleted or was never there"
        for job_id in owners
        if job_id not in known
    ]
    for pod in pods:
        name, phase = pod["metadata"]["name"], pod["status"].get("phase")
        job_id = pod["metadata"]["labels"][LABEL_JOB_ID]
        if job_id not in known:
            found.append(f"pod {name} of jobId {job_id}, which is deleted or was never there, is {phase}")
        elif phase not in ("Succeeded", "Failed"):
            found.append(f"pod {name} is {phase} after the end of its job")
    return found


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
    kinds = {**dict.fromkeys(OF_JOBS, LABEL_JOB_ID), "ControllerRevision": LABEL_DEFINITION, "BatchJob": ""}
    if not _is_served(ground, "PodGroup"):
        del kinds["PodGroup"]

    def look() -> list[str]:
        return [
            f"{kind} {each['metadata']['name']}, made {each['metadata']['creationTimestamp']}, is left over"
            for kind, label in kinds.items()
            for each in ground.api.list(kind, ground.namespace, **({"labelSelector": label} if label else {}))
        ]

    ground.until(lambda: not look(), GONE_SECONDS)
    return look()


def _is_served(ground: Ground, kind: str) -> bool:
    path, plural, _ = RESOURCES[kind]
    try:
        listed = ground.api.request("GET", path)["resources"]
    except Refused as refused:
        if refused.status != 404:
            raise
        return False
    return any(each["name"] == plural for each in listed)
