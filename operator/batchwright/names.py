"""Every name that crosses the API: group, labels, annotations, gates, conditions, finalizers.

One place for each fact: nothing else in the package spells these strings.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

GROUP: Final = "batchwright.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "batchwright"
FIELD_MANAGER: Final = "batchwright"

# Labels on what the operator creates (Job, pod, ControllerRevision).
LABEL_JOB_ID: Final = f"{GROUP}/job-id"
LABEL_JOB_NAME: Final = f"{GROUP}/job-name"
LABEL_QUEUE: Final = f"{GROUP}/job-queue"
LABEL_DEFINITION: Final = f"{GROUP}/job-definition"
LABEL_ENVIRONMENT: Final = f"{GROUP}/compute-environment"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
PART_OF: Final = "app.kubernetes.io/part-of"

# On nodes of MANAGED environments: the label above says whose, and so does a taint of that key; these, whether they are
# SPOT or ON_DEMAND, in which placement group they are launched, and that the operator cordoned them. On instances, as
# tags: whose cluster, environment and launch.
LABEL_CAPACITY: Final = f"{GROUP}/capacity-type"
LABEL_PLACEMENT_GROUP: Final = f"{GROUP}/placement-group"
ANNOTATION_CORDONED: Final = f"{GROUP}/cordoned"
# What an hour of the node costs, in US dollars, and that this was estimated; the first is a tag of instances too.
ANNOTATION_PRICE: Final = f"{GROUP}/hourly-price"
ANNOTATION_PRICE_SOURCE: Final = f"{GROUP}/price-source"
ESTIMATED: Final = "ESTIMATED"
TAG_CLUSTER: Final = f"{GROUP}/cluster"
TAG_ENVIRONMENT: Final = f"{GROUP}/compute-environment"
TAG_ENVIRONMENT_UID: Final = f"{GROUP}/compute-environment-uid"
TAG_LAUNCH: Final = f"{GROUP}/launch"
TAG_BLUEPRINT: Final = f"{GROUP}/blueprint"
# Of groups of instances, and the first of their instances too: which provider's they are; what an instance of the group
# is offered as; how many were asked for, and when; whether the group is ours to delete.
TAG_PROVIDER: Final = f"{GROUP}/provider"
TAG_OFFERED: Final = f"{GROUP}/offered"
TAG_ASKED: Final = f"{GROUP}/asked"
TAG_MADE: Final = f"{GROUP}/made"
# Kubernetes' own labels of nodes.
INSTANCE_TYPE: Final = "node.kubernetes.io/instance-type"
ZONE: Final = "topology.kubernetes.io/zone"
ARCHITECTURE: Final = "kubernetes.io/arch"

# Annotations of the Kubernetes Job: what a label value is too short for.
ANNOTATION_ENVIRONMENT: Final = f"{GROUP}/compute-environment"
ANNOTATION_DEFINITION: Final = f"{GROUP}/job-definition"
# "true" where every pod comes with the gate below.
ANNOTATION_GATED: Final = f"{GROUP}/gated"
# How often the Kubernetes Job of a single job was suspended to make room.
ANNOTATION_PREEMPTIONS: Final = f"{GROUP}/preemptions"
# How often that of a multi-node job was because its nodes went back for another reason.
ANNOTATION_GIVEN_BACK: Final = f"{GROUP}/given-back"

# A pod whose job has attempts left gets AWS_BATCH_JOB_ATTEMPT from the MutatingAdmissionPolicy of that name.
LABEL_RETRIES: Final = f"{GROUP}/retries"
ATTEMPT_POLICY: Final = f"job-attempt.{GROUP}"

# Pods of array jobs; and those whose parameters or index the MutatingAdmissionPolicy of that name gives them, of which
# the template carries all in annotations. The gate holds a pod which that policy did not see.
LABEL_ARRAY: Final = f"{GROUP}/array"
LABEL_ELEMENTS: Final = f"{GROUP}/elements"
ANNOTATION_ITEMS: Final = f"{GROUP}/items"
ANNOTATION_INDEXES: Final = f"{GROUP}/indexes"
GATE_ELEMENTS: Final = f"{GROUP}/elements"
ELEMENT_POLICY: Final = f"array-elements.{GROUP}"

# Pods of multi-node jobs: the number of the node; and of those that are not the main node's, the uid of that pod.
# On the Kubernetes Job, as an annotation: the machines of all nodes, by rank.
LABEL_NODE_INDEX: Final = f"{GROUP}/node-index"
LABEL_MAIN_POD: Final = f"{GROUP}/main-pod"
ANNOTATION_PLACEMENT: Final = f"{GROUP}/placement"

# Annotations of what the operator creates: the definition as "name:revision", and propagated tags as JSON.
ANNOTATION_TAGS: Final = f"{GROUP}/tags"

# The scheduling gate of a pod that needs the scheduler's leave (KEP-3521).
GATE_ADMISSION: Final = f"{GROUP}/admission"

# Pod conditions of ours, matched by podFailurePolicy rules (KEP-3329).
POD_CONDITION_TIMEOUT: Final = f"{GROUP}/AttemptTimedOut"
POD_CONDITION_START_FAILED: Final = f"{GROUP}/TaskFailedToStart"
POD_CONDITION_NO_RETRY: Final = f"{GROUP}/RetryRefused"
POD_CONDITION_DEPENDENCY_FAILED: Final = f"{GROUP}/DependencyFailed"
POD_CONDITION_TERMINATED: Final = f"{GROUP}/ElementTerminated"
POD_CONDITION_NODE_FAILED: Final = f"{GROUP}/NodeFailed"
POD_CONDITION_PREEMPTED: Final = f"{GROUP}/Preempted"
POD_CONDITION_HOST_ENDED: Final = f"{GROUP}/HostTerminated"
POD_CONDITION_HOST_CHARGED: Final = f"{GROUP}/HostTerminatedCharged"
POD_CONDITION_DISRUPTED: Final = "DisruptionTarget"

# Kubernetes' own annotations of an Indexed Job's pod (KEP-3850).
POD_INDEX: Final = "batch.kubernetes.io/job-completion-index"
POD_FAILURE_COUNT: Final = "batch.kubernetes.io/job-index-failure-count"
POD_IGNORED_FAILURE_COUNT: Final = "batch.kubernetes.io/job-index-ignored-failure-count"

# Conditions of a BatchJob: `kubectl wait --for=condition=Complete bj/x`.
CONDITION_COMPLETE: Final = "Complete"
CONDITION_FAILED: Final = "Failed"
# As PodScheduled: False, with the reason why, while the job waits for room; absent otherwise.
CONDITION_SCHEDULED: Final = "Scheduled"
# Its reason before the scheduler has judged the job, and where the API server does not take what is made for it;
# others are kinds of waits.
WAITING: Final = "Waiting"
NOT_CREATED: Final = "NotCreated"
# Condition of queues, environments and definitions (kstatus).
CONDITION_READY: Final = "Ready"
# The same, True where waiting does not help and somebody has to mend it, absent otherwise: kstatus says Failed then.
CONDITION_STALLED: Final = "Stalled"
# Of a MANAGED environment: True while instances of it are to come.
CONDITION_SCALING: Final = "Scaling"

# Simulated pods (kwok) obey these annotations of their template.
SIMULATE: Final = f"simulate.{GROUP}"
SIMULATE_SECONDS: Final = f"{SIMULATE}/seconds"
SIMULATE_EXIT_CODE: Final = f"{SIMULATE}/exit-code"
SIMULATE_FAIL_INDEXES: Final = f"{SIMULATE}/fail-indexes"
SIMULATE_FAIL_ATTEMPTS: Final = f"{SIMULATE}/fail-attempts"
SIMULATE_REASON: Final = f"{SIMULATE}/reason"

# The container whose exit decides an attempt, when a podTemplate has several (kubectl's own convention).
DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"

GPU_RESOURCE: Final = "nvidia.com/gpu"

# Annotations that other projects read: the ulimit adjuster of NRI (by container), and IAM roles for service accounts.
ULIMITS: Final = "ulimits.nri.containerd.io/container."
ROLE_ARN: Final = "eks.amazonaws.com/role-arn"

MAX_LABEL_VALUE: Final = 63


def label_value(name: str) -> str:
    """`name` as a label value, which holds 63 characters: a longer name is cut and told apart by a hash of it all."""
    if len(name) <= MAX_LABEL_VALUE:
        return name
    return f"{name[:54]}-{sha256(name.encode()).hexdigest()[:8]}"
