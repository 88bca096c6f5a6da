"""Stages of simulated pods: start, end, terminate, remove.

Each phase costs one status write, as few as a kubelet that skips ContainerCreating could do. The instant of start is
kept to the millisecond in the containers' `containerID`, because Kubernetes' own times are whole seconds: so that
`seconds: "0.2"` is honest, and an unrelated update of a running pod does not start its time anew.

Hazard: kwok plays a queued stage on the object as it was when queued; `pod-finished` has no steps and exists only to
cancel the queued end of a pod that somebody else ended meanwhile.
"""

from __future__ import annotations

from typing import Any, Final

from batchwright import names
from batchwright.local.stages import templates
from batchwright.local.stages.build import absent, none_of, one_of, patch_status, present, stage

_DELETED: Final = ".metadata.deletionTimestamp"
_PHASE: Final = ".status.phase"
_ENDS: Final = (
    '(.metadata.ownerReferences[]? | select(.kind == "Job") | .kind), '
    f'.metadata.annotations["{names.SIMULATE_SECONDS}"]'
)
# A Go duration in milliseconds until the pod's end; kwok takes an unreadable one for 0, hence "at once".
_UNTIL_END: Final = (
    f'(.metadata.annotations["{names.SIMULATE_SECONDS}"] // "0" | tonumber) as $seconds'
    ' | (.status.containerStatuses[0].containerID | capture("@(?<ms>[0-9]+)$").ms | tonumber) as $started'
    ' | ($started + $seconds * 1000 - now * 1000) | floor | tostring + "ms"'
)


def pod_stages() -> list[dict[str, Any]]:
    """The Stages of pods, in the order of a pod's life."""
    alive = absent(_DELETED)
    deleted = present(_DELETED)
    return [
        stage(
            "pod-start",
            "Pod",
            [alive, one_of(_PHASE, "Pending"), absent(".status.startTime")],
            [patch_status(templates.START)],
        ),
        stage(
            "pod-end",
            "Pod",
            [alive, one_of(_PHASE, "Running"), present(_ENDS), none_of(".spec.restartPolicy", "Always")],
            [patch_status(templates.END)],
            delay={"durationMilliseconds": 0, "durationFrom": {"jq": {"expression": _UNTIL_END}}},
        ),
        stage("pod-finished", "Pod", [alive, one_of(_PHASE, "Succeeded", "Failed")], []),
        stage(
            "pod-terminate",
            "Pod",
            [deleted, one_of(_PHASE, "Pending", "Running", "Unknown")],
            [patch_status(templates.TERMINATE)],
        ),
        stage(
            "pod-remove",
            "Pod",
            [
                deleted,
                one_of(_PHASE, "Succeeded", "Failed"),
                # Grace 0 is a removal that only waits for finalizers: asking again changes nothing.
                none_of(".metadata.deletionGracePeriodSeconds | tostring", "0"),
            ],
            [{"delete": True}],
        ),
    ]
