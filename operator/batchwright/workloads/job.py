"""The Kubernetes Job of a BatchJob: an Indexed Job, of one completion or one for each element of an array that runs, so
that one set of rules serves all.

The Job's name and content follow from the BatchJob and its pinned revision alone: building it twice gives the same
object, so that creating it twice makes one. Every job-specific word that ends up in a label is cut to fit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from batchwright import names
from batchwright.api.v1alpha1 import BatchJobSpec, JobDefinitionSpec
from batchwright.api.v1alpha1.common import EvaluateOnExit
from batchwright.domain.podresources import pod_requests
from batchwright.domain.quantities import Resources
from batchwright.domain.retry import RetryPlan, retry_plan
from batchwright.errors import WorkloadError
from batchwright.workloads.array import (
    ARRAY_INDEX,
    ARRAY_SIZE,
    ArrayWork,
    array_variables,
    item_variables,
    mark_elements,
)
from batchwright.workloads.failurepolicy import build_failure_policy
from batchwright.workloads.podtemplate import (
    ROOT,
    all_containers,
    build_pod_template,
    main_container,
    remove_variables,
)
from batchwright.workloads.shapes import Wire, child_list, child_object, child_objects, child_text

JOB_ID: Final = "AWS_BATCH_JOB_ID"
ATTEMPT: Final = "AWS_BATCH_JOB_ATTEMPT"
# Room for "-<index>" within the 63 characters of a pod's hostname, and for the pod's own suffix.
MAX_WORK_NAME: Final = 52
MAX_TAGS: Final = 50


@dataclass(frozen=True)
class JobIdentity:
    """Which BatchJob it is. `uid` is its jobId."""

    uid: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Placement:
    """Where the job goes: the ComputeEnvironment's name, and what its nodes need of a pod."""

    environment: str
    node_selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class MainNode:
    """What the main node of a multi-node job has more than a single job, or other: the name of its Kubernetes Job
    (`work`), its `variables`, what `join` adds to the pod, and the `placement` that its Kubernetes Job keeps."""

    work: str
    job_id: str
    variables: tuple[Wire, ...]
    join: Callable[[Wire], None]
    placement: str


@dataclass(frozen=True)
class PodRequest:
    """What a pod of the job needs of a node, before any placement."""

    resources: Resources
    node_selector: dict[str, str]
    tolerations: tuple[Mapping[str, Any], ...]
    node_affinity: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Retry:
    """The retryStrategy in force: `attempts` in all, and evaluateOnExit."""

    attempts: int
    rules: tuple[EvaluateOnExit, ...]


def effective_retry(definition: JobDefinitionSpec, job: BatchJobSpec) -> Retry:
    """The job's retryStrategy, or else the definition's, or else one attempt."""
    strategy = job.retry_strategy or definition.retry_strategy
    if strategy is None:
        return Retry(1, ())
    return Retry(strategy.attempts or 1, strategy.evaluate_on_exit or ())


def effective_timeout(definition: JobDefinitionSpec, job: BatchJobSpec) -> int | None:
    """Seconds an attempt may run: the job's, or else the definition's; None for ever."""
    timeout = job.timeout or definition.timeout
    return None if timeout is None else timeout.attempt_duration_seconds


def job_request(definition: JobDefinitionSpec, job: BatchJobSpec) -> PodRequest:
    """What the scheduler must find room for. Raises WorkloadError."""
    template = build_pod_template(definition, job)
    spec = template["spec"]
    try:
        resources = pod_requests(spec)
    except WorkloadError as error:
        raise WorkloadError(f"{ROOT}.{error}") from error
    selector = child_object(spec, "nodeSelector", f"{ROOT}.spec")
    wanted = {label: child_text(selector, label, f"{ROOT}.spec.nodeSelector") or "" for label in selector}
    where = f"{ROOT}.spec.affinity"
    affinity = child_object(child_object(spec, "affinity", f"{ROOT}.spec"), "nodeAffinity", where)
    required = child_object(affinity, "requiredDuringSchedulingIgnoredDuringExecution", f"{where}.nodeAffinity")
    terms = tuple(child_objects(required, "nodeSelectorTerms", f"{where}.nodeAffinity"))
    return PodRequest(resources, wanted, tuple(child_objects(spec, "tolerations", f"{ROOT}.spec")), terms)


def needs_admission(definition: JobDefinitionSpec, job: BatchJobSpec) -> bool:
    """Whether the operator must look at each retry: the pods then come with the gate names.GATE_ADMISSION."""
    return not _plan(build_pod_template(definition, job), effective_retry(definition, job)).exact


def retries_host_loss(definition: JobDefinitionSpec, job: BatchJobSpec) -> bool:
    """Whether a job with several attempts runs again after its machine was lost."""
    return _plan(build_pod_template(definition, job), effective_retry(definition, job)).retry_host_loss


def work_name(name: str, uid: str) -> str:
    """The Job's name for the BatchJob `name`: a DNS label of at most 52 characters, its own by 8 digits of the uid."""
    digits = uid.replace("-", "")[:8]
    if re.fullmatch("[0-9a-f]{8}", digits) is None:
        digits = sha256(uid.encode()).hexdigest()[:8]
    label = name.replace(".", "-")[: MAX_WORK_NAME - 9].rstrip("-")
    return f"{label}-{digits}"


def build_job(
    identity: JobIdentity,
    queue: str,
    definition_name: str,
    definition: JobDefinitionSpec,
    job: BatchJobSpec,
    placement: Placement,
    *,
    array: ArrayWork | None = None,
    main_node: MainNode | None = None,
) -> Wire:
    """The Job, ready to create. `definition_name` is "name:revision", of which `definition` is the spec.

    Of an array job, `array` says which elements run and how; of a multi-node job, `main_node` what its main node has
    more (`definition` and `job` are that node's then). Raises WorkloadError.
    """
    retry = effective_retry(definition, job)
    template = build_pod_template(definition, job, array.item_names if array else ())
    plan = _plan(template, retry)
    labels = job_labels(identity, queue, placement)
    annotations = {
        names.ANNOTATION_DEFINITION: definition_name,
        names.ANNOTATION_ENVIRONMENT: placement.environment,
    }
    identify(template, labels, tags_of(definition, job))
    node_variables = main_node.variables if main_node else ()
    job_id = identity.uid if main_node is None else main_node.job_id
    _set_environment(template, job_id, queue, placement, retry, array, node_variables)
    place(template, placement)
    if retry.attempts > 1:
        template["metadata"]["labels"][names.LABEL_RETRIES] = "true"
    if main_node is not None:
        main_node.join(template)
        annotations[names.ANNOTATION_PLACEMENT] = main_node.placement
    if not plan.exact or main_node is not None or (array is not None and array.gated):
        _gate(template)
        annotations[names.ANNOTATION_GATED] = "true"
    mark_elements(template, array)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": main_node.work if main_node else work_name(identity.name, identity.uid),
            "namespace": identity.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": "BatchJob",
                    "name": identity.name,
                    "uid": identity.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": array.completions if array else 1,
            "parallelism": array.parallelism if array else 1,
            "backoffLimitPerIndex": retry.attempts - 1,
            # A retry starts only when the attempt before it has ended for good.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": build_failure_policy(
                plan,
                retry.attempts,
                main_container(template)["name"],
                is_array=array is not None,
                is_gang=main_node is not None,
            ),
            "template": template,
        },
    }


def _plan(template: Wire, retry: Retry) -> RetryPlan:
    return retry_plan(retry.rules, retry.attempts, single_container=len(all_containers(template)) == 1)


def job_labels(identity: JobIdentity, queue: str, placement: Placement) -> dict[str, str]:
    """The labels of all that is made for a job."""
    return {
        names.LABEL_JOB_ID: names.label_value(identity.uid),
        names.LABEL_JOB_NAME: names.label_value(identity.name),
        names.LABEL_QUEUE: names.label_value(queue),
        names.LABEL_ENVIRONMENT: names.label_value(placement.environment),
        names.MANAGED_BY: names.FIELD_MANAGER,
    }


def identify(template: Wire, labels: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Gives the template labels and tags."""
    metadata = child_object(template, "metadata", ROOT)
    present = child_object(metadata, "labels", f"{ROOT}.metadata")
    # Only the policy's own jobs may carry its label.
    present.pop(names.LABEL_RETRIES, None)
    present.update(labels)
    if tags:
        annotations = child_object(metadata, "annotations", f"{ROOT}.metadata")
        annotations[names.ANNOTATION_TAGS] = json.dumps(tags, sort_keys=True, ensure_ascii=False)


def tags_of(definition: JobDefinitionSpec, job: BatchJobSpec) -> dict[str, str]:
    """The tags to propagate (AWS: the job's win, and at most 50 together)."""
    propagate = definition.propagate_tags if job.propagate_tags is None else job.propagate_tags
    if not propagate:
        return {}
    tags = {**definition.tags, **job.tags}
    if len(tags) > MAX_TAGS:
        raise WorkloadError(
            f"tags: job and definition have {len(tags)} together, and propagateTags takes at most {MAX_TAGS}"
        )
    return tags


def _set_environment(
    template: Wire,
    job_id: str,
    queue: str,
    placement: Placement,
    retry: Retry,
    array: ArrayWork | None,
    of_node: Iterable[Wire],
) -> None:
    own = job_variables(job_id if array is None else f"{job_id}:$({ARRAY_INDEX})", queue, placement)
    if retry.attempts == 1:
        own.append({"name": ATTEMPT, "value": "1"})
    own += of_node
    if array is not None:
        own = [*array_variables(array), *own, *item_variables(array)]
    put_variables(template, own, {ATTEMPT, ARRAY_INDEX, ARRAY_SIZE})


def job_variables(job_id: str, queue: str, placement: Placement) -> list[Wire]:
    """AWS Batch's variables that every container has."""
    values = {
        JOB_ID: job_id,
        "AWS_BATCH_JQ_NAME": queue,
        "AWS_BATCH_CE_NAME": placement.environment,
        "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
    }
    return [{"name": name, "value": value} for name, value in values.items()]


def put_variables(template: Wire, own: list[Wire], reserved: set[str]) -> None:
    """Our variables in every container, before the user's own, so that those may refer to them; what the user has under
    a name of ours, or of those reserved, goes."""
    taken = reserved | {variable["name"] for variable in own}
    for container, path in all_containers(template):
        remove_variables(container, taken, path)
        container["env"] = deepcopy(own) + child_list(container, "env", path)


def place(template: Wire, placement: Placement) -> None:
    """Sends the template's pods to the environment."""
    spec = template["spec"]
    if placement.node_selector:
        child_object(spec, "nodeSelector", f"{ROOT}.spec").update(placement.node_selector)
    if placement.tolerations:
        child_list(spec, "tolerations", f"{ROOT}.spec").extend(dict(each) for each in placement.tolerations)


def _gate(template: Wire) -> None:
    gates = child_list(template["spec"], "schedulingGates", f"{ROOT}.spec")
    gates.append({"name": names.GATE_ADMISSION})
