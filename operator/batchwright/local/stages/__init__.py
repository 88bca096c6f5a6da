"""How simulated nodes and pods behave: kwok Stages, the pods' own made to act like a kubelet's.

A simulated pod obeys annotations of its template (`names.SIMULATE_*`):

- `seconds`: how long its containers run ("0.2"); without it a Job's pod ends at once, any other pod runs on;
- `exit-code`: what the deciding container exits with; the deciding container is the one named by
  `kubectl.kubernetes.io/default-container`, else the first; the others exit 0;
- `fail-indexes` ("3,7" or "0-9,12"): only these elements (or nodes of a multi-node job) fail, the others exit 0; a
  retry of some elements goes by their own indexes, any other Indexed Job by its completion indexes;
- `fail-attempts`: only the first k attempts of an element fail, the later ones exit 0;
- `reason`: the terminated state's reason (`OOMKilled`), or one that keeps a container from ever starting
  (`ImagePullBackOff`, `ErrImagePull`, `InvalidImageName`, `CreateContainerConfigError`, `CreateContainerError`), or
  `Evicted`.

Where a failure is asked for and no exit code is given, it is 137 for OOMKilled and Evicted, 128 for StartError and
ContainerCannotRun, else 1. A malformed annotation makes the pod wait with `CreateContainerConfigError` and a message.

Hazard: a container's restart (restartPolicy OnFailure or Always) is not simulated: with OnFailure the first exit is
final, with Always a pod runs on.
"""

from __future__ import annotations

from typing import Any

from batchwright.local.stages.nodes import node_stages
from batchwright.local.stages.pods import pod_stages


def all_stages() -> list[dict[str, Any]]:
    """Every Stage of the embedded cluster, as objects to put into kwok's configuration."""
    return [*node_stages(), *pod_stages()]
