"""How long a job's status may wait for the next one: a state that is overtaken before its turn is never written.

That is what a job's writes hang on: one to create the Kubernetes Job, one for the result, and in between only states
that last. People wait for results first.
"""

from __future__ import annotations

from typing import Final

from batchwright.cluster.writes import Urgency
from batchwright.controllers.entries import Entry
from batchwright.domain.observations import FINAL_STATES

# Delay and rank by state. A job that is STARTING is usually RUNNING soon.
URGENCY: Final = {
    "SUCCEEDED": Urgency(0.0, 0),
    "FAILED": Urgency(0.0, 0),
    "RUNNING": Urgency(0.2, 1),
    "STARTING": Urgency(2.0, 2),
}
WAITING: Final = Urgency(1.0, 3)
# The pod has ended, and the Job controller will say in a moment how the job has.
ENDING: Final = Urgency(5.0, 2)

# A running array's counts, at most once a second.
ARRAY: Final = Urgency(1.0, 2)
ARRAY_TEXT: Final = 20_000


def urgency(entry: Entry) -> tuple[str, Urgency]:
    """The label of the status the job should have, and how urgent writing it is."""
    state = entry.status.state or ""
    if entry.array is not None and state not in FINAL_STATES:
        # Ranges of a hundred thousand scattered results are most of a megabyte: that is not for every second.
        detail = entry.held.get("arrayProperties") or {}
        size = len(detail.get("succeededIndexes", "")) + len(detail.get("failedIndexes", ""))
        return "array", Urgency(ARRAY.delay_seconds * (1 + size / ARRAY_TEXT), ARRAY.rank)
    if any(each.container.pod_name not in entry.noted and not each.stopped_at for each in entry.status.attempts):
        return f"{state}, to be ended", Urgency(0.0, 1)
    if state in ("STARTING", "RUNNING") and entry.pods and all(pod.is_finished for pod in entry.pods.values()):
        return f"{state}, ended", ENDING
    return state, URGENCY.get(state, WAITING)
