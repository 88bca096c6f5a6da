"""The pipeline of the second act: setup, an array of 10, a large array, and another one that follows it by element.

Invariant: the stages' names end with their letter and kind, and come in the order in which they depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from batchwright import names

JSON = dict[str, Any]

MANIFESTS: Final = Path(__file__).parent / "pipeline.yaml"
FETCHERS: Final = 10
# So many elements fail on their first attempt.
FAILING: Final = 10
# What tells a run of this act from other jobs.
LABELS: Final = {names.PART_OF: "batchwright-demo-pipeline"}


@dataclass(frozen=True)
class Stage:
    """One job of the pipeline. `size` None: no array. It waits for `after`, element by element if `elementwise`."""

    job: str
    queue: str
    definition: str
    size: int | None = None
    after: str | None = None
    elementwise: bool = False

    @property
    def elements(self) -> int:
        """How many elements it has; a job that is no array counts as one."""
        return self.size or 1


def stages(run: str, elements: int) -> tuple[Stage, ...]:
    """The four stages of a run, of which the last two have `elements` elements."""
    setup, fetch, compute, gather = f"{run}-a-setup", f"{run}-b-network", f"{run}-c-cpu", f"{run}-d-memory"
    return (
        Stage(setup, "cpu", "pipeline-setup"),
        Stage(fetch, "network", "pipeline-network", FETCHERS, after=setup),
        Stage(compute, "cpu", "pipeline-cpu", elements, after=fetch),
        Stage(gather, "memory", "pipeline-memory", elements, after=compute, elementwise=True),
    )


def failing_indexes(elements: int) -> list[int]:
    """The elements of the large CPU stage that fail on their first attempt: some, and all over it."""
    step = max(1, elements // FAILING)
    return list(range(step // 3, elements, step))[:FAILING]


def render_declarations(elements: int) -> list[JSON]:
    """The environments, queues and definitions."""
    documents: list[JSON] = list(yaml.safe_load_all(MANIFESTS.read_text(encoding="utf-8")))
    for document in documents:
        if document["kind"] == "JobDefinition":
            annotations = document["spec"]["podTemplate"]["metadata"]["annotations"]
            if names.SIMULATE_FAIL_ATTEMPTS in annotations:
                annotations[names.SIMULATE_FAIL_INDEXES] = ",".join(map(str, failing_indexes(elements)))
    return documents


def render_job(stage: Stage) -> JSON:
    """The BatchJob of a stage."""
    spec: JSON = {"jobQueue": stage.queue, "jobDefinition": stage.definition}
    if stage.size is not None:
        spec["arrayProperties"] = {"size": stage.size}
    if stage.after is not None:
        spec["dependsOn"] = [{"name": stage.after} | ({"type": "N_TO_N"} if stage.elementwise else {})]
    metadata = {"name": stage.job, "labels": dict(LABELS)}
    return {"apiVersion": names.API_VERSION, "kind": "BatchJob", "metadata": metadata, "spec": spec}
