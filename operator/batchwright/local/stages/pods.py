"""Stages of simulated pods: start, end, terminate, remove.

Each phase costs one status write, as few as a kubelet that skips ContainerCreating could do. The instant of start is
kept to the millisecond in the containers' `containerID`, because Kubernetes' own times are whole seconds: so that
`seconds: "0.2"` is honest, and an unrelated update of a running pod does not start its time anew.

Hazard: kwok plays a queued stage on the object as it was when queued, hence `patch_seen_status`. Selectors ask for the
phase first: most pods kwok is shown are finished, and every expression costs.
"""

from __future__ import annotations

from typing import Any, Final

from batchwright import names
from batchwright.local.stages import templates
from batchwright.local.stages.build import absent, none_of, one_of, patch_seen_status, present, stage

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
            [one_of(_PHASE, "Pending"), alive, absent(".status.startTime")],
            [patch_seen_status(templates.START)],
        ),
        stage(
            "pod-end",
            "Pod",
            [one_of(_PHASE, "Running"), alive, present(_ENDS), none_of(".spec.restartPolicy", "Always")],
            [patch_seen_status(templates.END)],
            delay={"durationMilliseconds": 0, "durationFrom": {"jq": {"expression": _UNTIL_END}}},
        ),
        stage(
            "pod-terminate",
            "Pod",
            [one_of(_PHASE, "Pending", "Running", "Unknown"), deleted],
            [patch_seen_status(templates.TERMINATE)],
        ),
        stage(
            "pod-remove",
            "Pod",
            [
                one_of(_PHASE, "Succeeded", "Failed"),
                deleted,
                # Grace 0 is a removal that only waits for finalizers: asking again changes nothing.
                none_of(".metadata.deletionGracePeriodSeconds | tostring", "0"),
            ],
            [{"delete": True}],
        ),
    ]
