"""Waits in words: the arithmetic must be right, and the texts that clients match exact."""

from __future__ import annotations

import pytest

import builders as b
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.explain import describe, explain
from batchwright.scheduling.snapshot import Shape, Snapshot

GPU = Shape((("cpu", 1000), ("nvidia.com/gpu", 2), ("pods", 1)))
NEVER = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that "
    "can be met by the CE(s) attached to the job queue. "
)
ASKS = "It asks 1 vCPU, 1024 MiB"
UNSUITABLE = "No node of JobQueue normal takes the pod. "


@pytest.mark.parametrize(
    ("resources", "want"),
    [
        pytest.param({}, "nothing", id="nothing"),
        pytest.param({"pods": 1}, "nothing", id="pods are left out"),
        pytest.param({"memory": 512 * 1024**2, "cpu": 250}, "0.25 vCPU, 512 MiB", id="in a fixed order"),
        pytest.param({"nvidia.com/gpu": 2, "cpu": 1000}, "1 vCPU, 2 GPU", id="GPU"),
        pytest.param({"ephemeral-storage": 2 * b.GIB}, "2048 MiB disk", id="disk"),
        pytest.param({"example.com/b": 1, "example.com/a": 3}, "3 example.com/a, 1 example.com/b", id="others"),
    ],
)
def test_describe(resources: dict[str, int], want: str) -> None:
    assert describe(resources) == want


def said(snapshot: Snapshot, shape: Shape) -> str:
    return explain(plan(snapshot).waits["x"], shape, "normal")


def waiting(shape: Shape, *before: object, **over: object) -> Snapshot:
    return b.snapshot(b.queue(*before, b.candidate("x", after=5, shape=shape)), **over)  # type: ignore[arg-type]


CASES = [
    pytest.param(
        waiting(b.shape(), occupied={"n1": b.resources(3250, 0, 3)}),
        b.shape(),
        f"Next in JobQueue normal, waiting for room. {ASKS}. "
        "In e1 the freest of 1 nodes has 0.75 vCPU, 8192 MiB free: short by 0.25 vCPU",
        id="no room",
    ),
    pytest.param(
        waiting(
            b.shape(),
            nodes=(b.node("a"), b.node("b")),
            occupied={
                "a": b.resources(4000, 8 * b.GIB, 3),
                "b": b.resources(3500, 7 * b.GIB + b.GIB // 2, 3),
            },
        ),
        b.shape(),
        f"Next in JobQueue normal, waiting for room. {ASKS}. "
        "In e1 the freest of 2 nodes has 0.5 vCPU, 512 MiB free: short by 0.5 vCPU, 512 MiB",
        id="the closest of two nodes",
    ),
    pytest.param(
        waiting(b.shape(), occupied={"n1": b.resources(4500, 0, 3)}),
        b.shape(),
        f"Next in JobQueue normal, waiting for room. {ASKS}. "
        "In e1 the freest of 1 nodes has 0 vCPU, 8192 MiB free: short by 1.5 vCPU",
        id="overcommitted node",
    ),
    pytest.param(
        waiting(b.shape(), occupied={"n1": b.resources(100, 100, 110)}),
        b.shape(),
        f"Next in JobQueue normal, waiting for room. {ASKS}. "
        "In e1 the freest of 1 nodes has 3.9 vCPU, 8191.9 MiB free: full of pods",
        id="full of pods",
    ),
    pytest.param(
        waiting(b.shape(cpu=6000)),
        b.shape(cpu=6000),
        f"{NEVER}It asks 6 vCPU, 1024 MiB. In e1 the largest of 1 nodes has 4 vCPU, 8192 MiB: short by 2 vCPU. "
        "Ask for less, or add bigger nodes",
        id="never fits",
    ),
    pytest.param(
        waiting(GPU),
        GPU,
        f"{NEVER}It asks 1 vCPU, 2 GPU. In e1 the largest of 1 nodes has 4 vCPU, 0 GPU: short by 2 GPU. "
        "Ask for less, or add bigger nodes",
        id="no GPU anywhere",
    ),
    pytest.param(
        waiting(b.shape(node_selector=(("arch", "arm"),)), nodes=(b.node("a"), b.node("b"))),
        b.shape(node_selector=(("arch", "arm"),)),
        f"{UNSUITABLE}None of the 2 nodes of e1 suits the pod, which needs the labels arch=arm, or tolerations for "
        "taints. Label or untaint nodes, or change the definition",
        id="no suitable label",
    ),
    pytest.param(
        waiting(b.shape(), nodes=(b.node(taints=(b.taint(),)),)),
        b.shape(),
        f"{UNSUITABLE}None of the 1 nodes of e1 suits the pod, which needs tolerations for their taints. "
        "Label or untaint nodes, or change the definition",
        id="taints",
    ),
    pytest.param(
        waiting(b.shape(), nodes=(b.node(ready=False),)),
        b.shape(),
        f"No environment of JobQueue normal has a ready node (e1). {ASKS}",
        id="no nodes",
    ),
    pytest.param(
        waiting(b.shape(), environments=(b.environment(is_open=False),)),
        b.shape(),
        f"No environment of JobQueue normal has a ready node (none that is ENABLED). {ASKS}",
        id="disabled",
    ),
    pytest.param(
        waiting(b.shape(), b.candidate("head"), nodes=(b.node(),), occupied={"n1": b.resources(4000)}),
        b.shape(),
        "Waiting in JobQueue normal behind earlier jobs or a queue of higher priority",
        id="behind",
    ),
]


@pytest.mark.parametrize(("snapshot", "shape", "want"), CASES)
def test_explain(snapshot: Snapshot, shape: Shape, want: str) -> None:
    assert said(snapshot, shape) == want
