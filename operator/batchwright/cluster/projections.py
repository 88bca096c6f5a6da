"""From the API server's JSON to the slim records that decisions are made of; everything else is dropped here.

Total for whatever the API server may send: absent parts read as their zero values.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
import structlog
from cachetools import LRUCache

from batchwright import names
from batchwright.api.v1alpha1 import BatchJobSpec, BatchJobStatus, JobDefinitionSpec
from batchwright.domain.metering import Price, noted_price
from batchwright.domain.nesting import DEEPEST_TEMPLATE, is_deeper
from batchwright.domain.observations import (
    FINAL_STATES,
    FinishedArray,
    FinishedJob,
    Job,
    Mark,
    Node,
    Occupant,
    Pod,
    Revision,
    Taint,
    Work,
)
from batchwright.domain.podresources import pod_requests
from batchwright.domain.quantities import Resources, resources_from_wire
from batchwright.domain.texts import moment

logger = structlog.get_logger(__name__)
JSON = Mapping[str, Any]
# The activeDeadlineSeconds that ends a Job; somebody else may set longer ones for his own reasons.
ENDING_SECONDS = 1
# Taints that say what the node's conditions and `unschedulable` say (KEP-382).
PASSING_TAINTS = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
CORDONED = "node.kubernetes.io/unschedulable"
# Of those, what a node has that cannot be counted on. With the others, of pressure, it runs on, and takes nothing new.
ABSENT_TAINTS = (
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/out-of-service",
    "node.cloudprovider.kubernetes.io/",
)
# Digits of a count, and no more than what the schema of a status takes.
LONGEST_COUNT = 10
BATCH_JOB_KIND = "BatchJob"
OUR_MARKS = frozenset(
    {
        names.POD_CONDITION_TIMEOUT,
        names.POD_CONDITION_START_FAILED,
        names.POD_CONDITION_NO_RETRY,
        names.POD_CONDITION_DEPENDENCY_FAILED,
        names.POD_CONDITION_TERMINATED,
        names.POD_CONDITION_PREEMPTED,
        names.POD_CONDITION_HOST_ENDED,
        names.POD_CONDITION_HOST_CHARGED,
        names.POD_CONDITION_NODE_FAILED,
    }
)


_known_requests: LRUCache[bytes, Resources] = LRUCache(4096)


def _time(value: str | None) -> datetime | None:
    return moment(value) if value else None


def batch_job(item: JSON) -> Job | FinishedJob:
    """A BatchJob; of a finished one hardly anything is kept. Raises pydantic.ValidationError on a spec that the schema
    of an older or newer version let pass."""
    metadata = item["metadata"]
    raw = item.get("status") or {}
    if raw.get("state") in FINAL_STATES:
        return FinishedJob(
            uid=metadata["uid"],
            namespace=metadata["namespace"],
            name=metadata["name"],
            state=raw["state"],
            queue=item["spec"]["jobQueue"],
            stopped_at=_time(raw.get("stoppedAt")),
            array=FinishedArray.of(raw.get("arrayProperties")),
            share=item["spec"].get("shareIdentifier") or item["spec"].get("quotaShareName") or "",
        )
    return Job(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        generation=metadata.get("generation", 0),
        created_at=moment(metadata["creationTimestamp"]),
        spec=BatchJobSpec.model_validate(item["spec"]),
        status=BatchJobStatus.model_validate(raw),
        deleting="deletionTimestamp" in metadata,
    )


def _count(text: str | None) -> int:
    """A number of an annotation, which anybody may write."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < LONGEST_COUNT else 0


def work(item: JSON) -> Work:
    """The Kubernetes Job of a BatchJob."""
    metadata = item["metadata"]
    status = item.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or () if c.get("status") == "True"}
    failure = conditions.get("Failed")
    spec = item["spec"]
    annotations = metadata.get("annotations") or {}
    return Work(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        job_id=_controller(metadata, BATCH_JOB_KIND),
        environment=annotations.get(names.ANNOTATION_ENVIRONMENT, ""),
        created_at=moment(metadata["creationTimestamp"]),
        failed=status.get("failed", 0),
        succeeded=status.get("succeeded", 0),
        complete="Complete" in conditions,
        failure=(failure.get("message") or failure.get("reason", "")) if failure else None,
        deleting="deletionTimestamp" in metadata,
        request=pod_requests(spec["template"].get("spec") or {}),
        parallelism=spec.get("parallelism", 1),
        gated=annotations.get(names.ANNOTATION_GATED) == "true",
        ending=spec.get("activeDeadlineSeconds") == ENDING_SECONDS,
        suspended=spec.get("suspend", False),
        preemptions=_count(annotations.get(names.ANNOTATION_PREEMPTIONS)),
        completed_indexes=status.get("completedIndexes", ""),
        failed_indexes=status.get("failedIndexes", ""),
        placement=annotations.get(names.ANNOTATION_PLACEMENT, ""),
        given_back=_count(annotations.get(names.ANNOTATION_GIVEN_BACK)),
    )


def pod(item: JSON) -> Pod:
    """A pod of ours."""
    metadata = item["metadata"]
    annotations = metadata.get("annotations") or {}
    spec = item.get("spec") or {}
    status = item.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    containers = spec.get("containers") or ()
    main = annotations.get(names.DEFAULT_CONTAINER) or (containers[0]["name"] if containers else "")
    state: JSON = next((c.get("state") or {} for c in status.get("containerStatuses") or () if c["name"] == main), {})
    running, ended, waiting = state.get("running"), state.get("terminated"), state.get("waiting") or {}
    if waiting.get("reason") in (None, "PodInitializing"):
        # An init container that cannot start keeps the main one waiting without a reason of its own.
        waiting = _init_waiting(status) or waiting
    scheduled = conditions.get("PodScheduled") or {}
    disruption = conditions.get(names.POD_CONDITION_DISRUPTED) or {}
    mark = next((c for kind, c in conditions.items() if kind in OUR_MARKS and c.get("status") == "True"), None)
    labels = metadata.get("labels") or {}
    main_pod = _controller(metadata, "Pod") if names.LABEL_MAIN_POD in labels else ""
    return Pod(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        job_id=labels.get(names.LABEL_JOB_ID, ""),
        created_at=moment(metadata["creationTimestamp"]),
        owner=_controller(metadata, "Job"),
        main=main_pod,
        address=status.get("podIP", ""),
        index=int(labels.get(names.LABEL_NODE_INDEX, 0) if main_pod else annotations.get(names.POD_INDEX, 0)),
        failures=int(annotations.get(names.POD_FAILURE_COUNT, 0)),
        node=spec.get("nodeName", ""),
        phase=status.get("phase", "Pending"),
        deleting="deletionTimestamp" in metadata,
        gated=any(gate.get("name") == names.GATE_ADMISSION for gate in spec.get("schedulingGates") or ()),
        accepted_at=_time(status.get("startTime")),
        started_at=_time((running or ended or {}).get("startedAt")),
        stopped_at=_time((ended or {}).get("finishedAt")),
        running=running is not None,
        unready=names.LABEL_NODE_INDEX in labels and _is_unready(status),
        exit_code=ended.get("exitCode") if ended else None,
        container_reason=(ended or {}).get("reason", ""),
        container_message=(ended or {}).get("message", ""),
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        pod_reason=status.get("reason", ""),
        pod_message=status.get("message", ""),
        unschedulable=scheduled.get("message", "") if scheduled.get("reason") == "Unschedulable" else "",
        disruption=_words(disruption) if disruption.get("status") == "True" else "",
        mark=Mark(mark["type"], mark.get("message", ""), mark.get("reason", "")) if mark else None,
        request=_requests(spec),
    )


def _requests(spec: JSON) -> Resources:
    """What the pod asks; worked out once for all pods that ask the same, as those of an array do."""
    asked = [spec.get("resources"), spec.get("overhead")]
    for field in ("containers", "initContainers"):
        asked += [(each.get("restartPolicy"), each.get("resources")) for each in spec.get(field) or ()]
        asked.append(field)
    key = orjson.dumps(asked)
    known = _known_requests.get(key)
    if known is None:
        known = _known_requests[key] = pod_requests(spec)
    return known


def _controller(metadata: JSON, kind: str) -> str:
    """The uid of the controlling owner of this kind: a label anybody can set, this the garbage collector checks."""
    owners = metadata.get("ownerReferences") or ()
    group = {BATCH_JOB_KIND: names.API_VERSION, "Pod": "v1"}.get(kind, "batch/v1")
    found = (o for o in owners if o.get("controller") and o["kind"] == kind and o.get("apiVersion") == group)
    return next((str(o["uid"]) for o in found), "")


def _init_waiting(status: JSON) -> JSON:
    for container in status.get("initContainerStatuses") or ():
        waiting: JSON = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "PodInitializing"):
            return waiting
    return {}


def _is_unready(status: JSON) -> bool:
    """Whether a container runs whose probes have not passed. The pod's condition is no measure of that: it is false for
    good once one of several containers has ended."""
    containers = status.get("containerStatuses") or ()
    return any(each.get("ready") is False and "running" in (each.get("state") or {}) for each in containers)


def _words(condition: JSON) -> str:
    return (
        ": ".join(part for part in (condition.get("reason", ""), condition.get("message", "")) if part) or "disrupted"
    )


def occupant(item: JSON) -> Occupant:
    """A pod that is not ours."""
    spec, metadata = item.get("spec") or {}, item["metadata"]
    owners = {each["kind"] for each in metadata.get("ownerReferences") or () if each.get("controller")}
    # Static pods are owned by their Node.
    is_daemon = bool(owners & {"DaemonSet", "Node"})
    return Occupant(metadata["uid"], spec.get("nodeName", ""), pod_requests(spec), is_daemon)


def node(item: JSON) -> Node:
    """A node."""
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    taints = spec.get("taints") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    # A node that is starting or in trouble is marked by taints of the control plane's own, which come and go.
    marks = [
        t["key"]
        for t in taints
        if t["key"].startswith(PASSING_TAINTS) and t["key"] != CORDONED and t["effect"] != "PreferNoSchedule"
    ]
    is_absent = any(mark.startswith(ABSENT_TAINTS) for mark in marks)
    instance = (spec.get("providerID") or "").rsplit("/", 1)[-1]
    annotations = metadata.get("annotations") or {}
    return Node(
        name=metadata["name"],
        instance=instance if instance.startswith("i-") else metadata["name"],
        labels=metadata.get("labels") or {},
        taints=tuple(
            Taint(t["key"], t.get("value", ""), t["effect"]) for t in taints if not t["key"].startswith(PASSING_TAINTS)
        ),
        allocatable=resources_from_wire(status.get("allocatable") or {}),
        ready=ready and not is_absent,
        schedulable=not spec.get("unschedulable", False) and "deletionTimestamp" not in metadata,
        cordoned=annotations.get(names.ANNOTATION_CORDONED, ""),
        price=_price(metadata["name"], annotations),
        pressed=any(not mark.startswith(ABSENT_TAINTS) for mark in marks),
    )


def _price(node: str, annotations: JSON) -> Price | None:
    found = noted_price(annotations)
    if found is None and names.ANNOTATION_PRICE in annotations:
        text = annotations[names.ANNOTATION_PRICE]
        logger.warning("annotation is no price: give US dollars an hour, such as 0.192", node=node, price=text)
    return found


def revision(item: JSON) -> Revision:
    """A revision of a JobDefinition. Raises ValueError on one that lost its owner (deleted with --cascade=orphan), and
    on one nested so deep that no operator made it."""
    metadata = item["metadata"]
    owners = metadata.get("ownerReferences") or ()
    owner = next((o for o in owners if o["kind"] == "JobDefinition"), None)
    if owner is None:
        raise ValueError("no JobDefinition owns this revision")
    if is_deeper(item["data"], DEEPEST_TEMPLATE):
        raise ValueError(f"data: nested more than {DEEPEST_TEMPLATE} levels deep")
    return Revision(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        definition=owner["name"],
        number=item["revision"],
        owner=owner["uid"],
        spec=JobDefinitionSpec.model_validate(item["data"]["spec"]),
    )
