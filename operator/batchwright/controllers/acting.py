"""Act: carry out what was decided. Each action is idempotent, so a crash between two of them costs a repetition.

A Conflict is no sign that the object is gone: the API server also answers so when others write the object faster than
it can merge (a pod's status, a Job's). It is raised, and the action repeated until a watch shows what has become of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from batchwright import names
from batchwright.cluster import projections
from batchwright.cluster.client import JSON, JSON_PATCH, STRATEGIC_PATCH, ApiClient
from batchwright.cluster.resources import JOBS, PODS, SERVICE_ACCOUNTS, VOLUME_CLAIMS, VOLUMES, Resource
from batchwright.controllers.entries import Entry, Pinned
from batchwright.domain.actions import EndAttempt, ReleasePod
from batchwright.domain.observations import Pod, Work
from batchwright.domain.texts import timestamp
from batchwright.errors import AlreadyExists, Conflict, Invalid, NotFound
from batchwright.workloads.array import ArrayWork
from batchwright.workloads.gang import main_node
from batchwright.workloads.job import JobIdentity, Placement, build_job
from batchwright.workloads.serviceaccount import build_service_account
from batchwright.workloads.volumes import build_efs_objects


async def create_work(api: ApiClient, entry: Entry, pinned: Pinned, placement: Placement) -> Work:
    """Creates the Kubernetes Job of a BatchJob, or finds the one that a try before this made.

    Raises Invalid when the API server refuses it for good, and the other ApiErrors as they come.
    """
    job, layout = entry.job, pinned.layout
    identity = JobIdentity(job.uid, job.namespace, job.name)
    machines = entry.nodes.machines if entry.nodes is not None else ()
    main = layout.kinds[0] if layout is not None else None
    manifest = build_job(
        identity,
        job.spec.job_queue,
        pinned.name,
        main.definition if main else pinned.definition,
        main.job if main else job.spec,
        placement,
        array=_array_work(entry),
        main_node=main_node(identity, layout, machines) if layout is not None else None,
    )
    for role in pinned.roles:
        await ensure(api, SERVICE_ACCOUNTS, build_service_account(job.namespace, role))
    definitions = {id(kind): kind.definition for kind in layout.kinds}.values() if layout else (pinned.definition,)
    for body in [body for each in definitions for body in build_efs_objects(each, job.namespace)]:
        await ensure(api, VOLUMES if body["kind"] == VOLUMES.kind else VOLUME_CLAIMS, body)
    try:
        return projections.work(await api.create(JOBS, job.namespace, manifest))
    except AlreadyExists:
        found = projections.work(await api.get(JOBS, job.namespace, manifest["metadata"]["name"]))
        if found.job_id != job.uid:
            raise Invalid(f"a Job named {found.name} exists in {job.namespace} and is not this job's") from None
        return found


def _array_work(entry: Entry) -> ArrayWork | None:
    if entry.array is None:
        return None
    elements = entry.array.elements
    return ArrayWork(elements.size, elements.runs, elements.parallelism, elements.gated, entry.array.table)


async def end_work(api: ApiClient, work: Work) -> None:
    """Makes the Job controller stop the pods of a Job, with their grace period, and keep those that have finished: a
    Job that is deleted would take their logs along."""
    await _patch_job(api, work, {"activeDeadlineSeconds": projections.ENDING_SECONDS})


async def suspend_work(api: ApiClient, work: Work, *, makes_room: bool = True) -> None:
    """Stops the pods of a Job, and counts it, by why. What the Job controller stops counts as no failure (KEP-2232)."""
    if makes_room:
        counted = {names.ANNOTATION_PREEMPTIONS: str(work.preemptions + 1)}
    else:
        counted = {names.ANNOTATION_GIVEN_BACK: str(work.given_back + 1)}
    await _patch_job(api, work, {"suspend": True}, counted)


async def resume_work(api: ApiClient, work: Work) -> None:
    """Lets a Job that was suspended go on."""
    await _patch_job(api, work, {"suspend": False})


async def set_parallelism(api: ApiClient, work: Work, parallelism: int) -> None:
    """Sets how many pods the Job has at one time, if that still is what was seen. A write that arrives late, from an
    operator that is dead by then, would lower what the next one has set, and the Job controller end what runs.

    Raises Conflict when it is another number by now: the watch will tell.
    """
    patch: list[JSON] = [
        {"op": "test", "path": "/metadata/uid", "value": work.uid},
        {"op": "test", "path": "/spec/parallelism", "value": work.parallelism},
        {"op": "replace", "path": "/spec/parallelism", "value": parallelism},
    ]
    try:
        await api.patch(JOBS, work.namespace, work.name, patch, content_type=JSON_PATCH, answer=False)
    except NotFound:
        return
    except Invalid:
        # That a test failed is said in words only. After an answer that was lost, it is as wanted.
        found = await api.get(JOBS, work.namespace, work.name)
        present = found["spec"].get("parallelism")
        if found["metadata"]["uid"] != work.uid or present == parallelism:
            return
        if present != work.parallelism:
            raise Conflict(f"{work.name} has a parallelism of {present} by now", 409) from None
        raise


async def _patch_job(api: ApiClient, work: Work, spec: JSON, annotations: Mapping[str, str] | None = None) -> None:
    metadata: JSON = {"uid": work.uid}
    if annotations:
        metadata["annotations"] = dict(annotations)
    body = {"metadata": metadata, "spec": spec}
    try:
        await api.patch(JOBS, work.namespace, work.name, body, answer=False)
    except NotFound:
        return  # The watch will tell.


async def ensure(api: ApiClient, resource: Resource, body: JSON) -> None:
    """Makes the object, or leaves the one of that name as it is."""
    try:
        await api.create(resource, body["metadata"].get("namespace"), body)
    except AlreadyExists:
        return


async def read_pods(api: ApiClient, work: Work, *, is_array: bool) -> list[Pod]:
    """The pods of a Kubernetes Job, as the API server has them now."""
    labels = f"{names.LABEL_JOB_ID}={work.job_id}"
    pages = api.pages(PODS, work.namespace, labels=labels, is_small=not is_array)
    return [projections.pod(item) async for page in pages for item in page["items"]]


async def delete_work(api: ApiClient, work: Work, *, propagation: str) -> None:
    """Deletes a Kubernetes Job; Foreground keeps it until its pods have ended."""
    try:
        await api.delete(JOBS, work.namespace, work.name, uid=work.uid, propagation=propagation)
    except NotFound:
        return


async def end_attempt(api: ApiClient, action: EndAttempt) -> None:
    """Marks the pod with our condition, then deletes it: the kubelet stops it with its grace period, and the Job
    controller reads the mark. A gated pod has no kubelet, so it is set to Failed instead (verified on v1.37)."""
    pod = action.pod
    try:
        if pod.mark is None:
            await _mark(api, pod, action)
        if not pod.gated:
            await api.delete(PODS, pod.namespace, pod.name, uid=pod.uid)
    except NotFound:
        return  # It ended by itself meanwhile.


async def mark_preempted(api: ApiClient, pod: Pod, message: str, reason: str = "Preempted") -> None:
    """Marks the pod of a single job that is to make room. It says so even if its Job was not suspended in time."""
    try:
        await _mark(api, pod, EndAttempt(pod, names.POD_CONDITION_PREEMPTED, reason, message))
    except NotFound:
        return


async def _mark(api: ApiClient, pod: Pod, action: EndAttempt) -> None:
    condition = {
        "type": action.mark,
        "status": "True",
        "reason": action.reason,
        "message": action.message,
        "lastTransitionTime": timestamp(datetime.now(UTC)),
    }
    status: JSON = {"conditions": [condition]}
    if pod.gated:
        status["phase"] = "Failed"
    await api.patch(
        PODS,
        pod.namespace,
        pod.name,
        {"status": status},
        subresource="status",
        content_type=STRATEGIC_PATCH,
        answer=False,
    )


async def release_pod(api: ApiClient, action: ReleasePod, spec: JSON | None = None) -> None:
    """Takes our scheduling gate off a pod, has it get this besides, and clears the record of who set which field, half
    of its size: nobody applies to a Job's pod, and once it is empty the API server keeps none (Server-Side Apply,
    "Clearing managedFields")."""
    pod = action.pod
    patch: JSON = {
        "metadata": {"managedFields": [{}]},
        "spec": {"schedulingGates": [_gone(names.GATE_ADMISSION)], **(spec or {})},
    }
    try:
        await api.patch(PODS, pod.namespace, pod.name, patch, content_type=STRATEGIC_PATCH, answer=False)
    except NotFound:
        return


def _gone(name: str) -> JSON:
    return {"$patch": "delete", "name": name}
