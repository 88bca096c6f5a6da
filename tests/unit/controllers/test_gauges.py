"""What a scrape reads of the operator's memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

import builders as b
import manifests
from batchwright import metrics
from batchwright.api.v1alpha1 import BatchJobStatus, JobQueueSpec
from batchwright.controllers.declared import Declared
from batchwright.controllers.entries import Array
from batchwright.controllers.gauges import read_jobs, read_nodes
from batchwright.controllers.progress import Progress, count_progress, failure_cause, progress
from batchwright.controllers.store import Store
from batchwright.domain.declarations import Supply
from batchwright.domain.elements import Elements
from batchwright.domain.observations import FinishedJob, Pod
from batchwright.metrics import FailureCause
from batchwright.scheduling.snapshot import WaitKind

QUEUE = manifests.job_queue()["spec"]


def store_with(*queues: str) -> Store:
    made = Store()
    for name in queues:
        made.queues[("", name)] = Declared(name, "", name, 1, JobQueueSpec.model_validate(QUEUE), QUEUE, {})
    return made


def put(store: Store, uid: str, state: str | None, *, queue: str = "normal", second: float = 0, **spec: Any) -> None:
    job = b.job(uid=uid, name=f"job-{uid}", created_at=b.at(second), spec=b.spec(jobQueue=queue, **spec))
    store.put_job(uid, job)
    store.entries[uid].status = b.status(state)
    if state == "RUNNABLE":
        store.entries[uid].runnable_since = b.at(second)


def readings(store: Store, seconds: float = 100) -> dict[tuple[str, tuple[str, ...]], float]:
    found = [*read_jobs(store, b.at(seconds)), *read_nodes(store)]
    made = {(each.gauge.name, each.labels): each.value for each in found}
    assert len(made) == len(found)
    return made


def test_jobs_are_counted_by_queue_and_state_and_what_is_not_there_is_zero() -> None:
    store = store_with("normal", "idle")
    for uid, state in {"a": "RUNNABLE", "b": "RUNNABLE", "c": "RUNNING", "d": None, "e": "SUCCEEDED"}.items():
        put(store, uid, state)
    found = readings(store)
    counted = {labels: value for (name, labels), value in found.items() if name == "batchwright_jobs"}
    assert counted == {
        **{(queue, state): 0 for queue in ("normal", "idle") for state in ("PENDING", "STARTING")},
        **{("idle", state): 0 for state in ("SUBMITTED", "RUNNABLE", "RUNNING")},
        ("normal", "SUBMITTED"): 1,
        ("normal", "RUNNABLE"): 2,
        ("normal", "RUNNING"): 1,
    }


def test_queues_that_are_not_there_have_one_series_however_many_jobs_name_them() -> None:
    store = store_with("normal")
    for number in range(50):
        put(store, f"u{number}", "SUBMITTED", queue=f"typo-{number}")
    found = readings(store)
    assert found["batchwright_jobs", ("", "SUBMITTED")] == 50
    assert {labels[0] for name, labels in found if name == "batchwright_jobs"} == {"", "normal"}


def test_the_one_that_waits_longest_is_timed_from_when_it_could_have_started() -> None:
    store = store_with("normal", "idle")
    put(store, "a", "RUNNABLE", second=30)
    put(store, "b", "RUNNABLE", second=70)
    put(store, "c", "RUNNING", second=1)
    # Submitted first, and it waited for another job until now.
    store.entries["a"].runnable_since = b.at(90)
    found = readings(store, 100)
    assert found["batchwright_oldest_runnable_job_age_seconds", ("normal",)] == 30
    assert found["batchwright_oldest_runnable_job_age_seconds", ("idle",)] == 0
    assert [waiting(found, queue) for queue in ("normal", "idle")] == [2, 0]


def waiting(found: dict[tuple[str, tuple[str, ...]], float], queue: str) -> float:
    return sum(
        value for (name, labels), value in found.items() if name == "batchwright_jobs_waiting" and labels[0] == queue
    )


def test_what_waits_is_counted_by_why_and_every_why_is_there_from_the_beginning() -> None:
    store = store_with("normal")
    for uid, kind in {"a": WaitKind.NO_ROOM, "b": WaitKind.BEHIND, "c": WaitKind.BEHIND, "d": None, "e": None}.items():
        put(store, uid, "RUNNABLE")
        store.entries[uid].waits_kind = kind
    store.entries["e"].waits = "The API server does not take the job now: exceeded quota"
    found = readings(store)
    counted = {labels[1]: value for (name, labels), value in found.items() if name == "batchwright_jobs_waiting"}
    assert counted == {
        **{kind.reason: 0 for kind in WaitKind},
        **{"NoRoom": 1, "Behind": 2, "Waiting": 1, "NotCreated": 1},
    }


class Case(NamedTuple):
    """An array at 100 s: when it could last have started more, its pods, and what is read of it."""

    since: float | None
    pods: list[Pod]
    waiting: int
    seconds: float


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case(10, [], 1, 90), id="none of it runs"),
        pytest.param(Case(None, [], 0, 0), id="it may not start"),
        pytest.param(Case(10, [b.running_pod(index=0, started=60)], 0, 40), id="some runs: since that started"),
        pytest.param(Case(80, [b.running_pod(index=0, started=60)], 0, 20), id="maxConcurrency held it until then"),
        pytest.param(Case(None, [b.running_pod(index=0, started=60)], 0, 0), id="held by maxConcurrency"),
        pytest.param(
            Case(10, [b.ended_pod(index=0, started_at=b.at(70), stopped_at=b.at(80))], 1, 30), id="what ran has ended"
        ),
    ],
)
def test_an_array_waits_if_nothing_of_it_runs_and_is_timed_since_something_started(case: Case) -> None:
    store = store_with("normal")
    put(store, "a", "PENDING", arrayProperties={"size": 10})
    entry, elements = store.entries["a"], Elements(10, ((0, 9),))
    elements.open()
    elements.gated = True
    entry.array = Array(elements)
    entry.runnable_since = None if case.since is None else b.at(case.since)
    for pod in case.pods:
        elements.see_pod(pod, "i-1")
    found = readings(store, 100)
    assert waiting(found, "normal") == case.waiting
    assert found["batchwright_oldest_runnable_job_age_seconds", ("normal",)] == case.seconds


def test_elements_of_arrays_are_counted_by_state() -> None:
    store = store_with("normal")
    put(store, "a", "PENDING", arrayProperties={"size": 10})
    elements = Elements(10, ((0, 9),))
    elements.open()
    store.entries["a"].array = Array(elements)
    found = readings(store, 100)
    counted = {labels[1]: value for (name, labels), value in found.items() if name == "batchwright_array_elements"}
    assert counted == {"RUNNABLE": 10, **dict.fromkeys(("PENDING", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"), 0)}
    assert found["batchwright_jobs", ("normal", "PENDING")] == 1


def test_what_has_finished_is_not_looked_at() -> None:
    store = store_with("normal")
    before = readings(store)

    class Untouchable(dict[str, FinishedJob]):
        def __iter__(self) -> Any:
            raise AssertionError("a scrape looked at finished jobs")

        values = items = keys = __iter__

    store.finished = Untouchable(a=FinishedJob("a", "default", "a", "SUCCEEDED", "normal", None))
    assert readings(store) == before


def test_nodes_and_instances() -> None:
    store = store_with()
    for name in ("n1", "n2", "n3"):
        store.put_node(f"uid-{name}", b.node(name, ready=name != "n3"))
    store.supplies["spot"] = Supply(desired=4, starting=0, instances=(), pending=None, problem=None, is_known=True)
    found = readings(store)
    assert [found["batchwright_nodes", (ready,)] for ready in ("true", "false")] == [2, 1]
    assert found["batchwright_instances", ("spot",)] == 0


def stamp(second: int) -> str:
    return f"2026-03-01T12:{second // 60:02}:{second % 60:02}Z"


def at(
    state: str, started: int | None = None, stopped: int | None = None, *attempts: tuple[int, int]
) -> BatchJobStatus:
    times = {"startedAt": started, "stoppedAt": stopped}
    ended = [{"container": {}, "startedAt": stamp(since), "stoppedAt": stamp(until)} for since, until in attempts]
    known = {name: stamp(value) for name, value in times.items() if value is not None}
    return b.status(state, createdAt=stamp(0), attempts=ended, **known)


@pytest.mark.parametrize(
    ("before", "after", "want"),
    [
        pytest.param(at("RUNNABLE"), at("STARTING"), Progress(), id="no start yet"),
        pytest.param(at("STARTING"), at("RUNNING", 30), Progress(30), id="starts"),
        pytest.param(at("RUNNING", 30), at("RUNNING", 30), Progress(), id="runs on"),
        pytest.param(at("RUNNING", 30), at("SUCCEEDED", 30, 90, (30, 90)), Progress(None, "SUCCEEDED", 60), id="ends"),
        pytest.param(
            at("STARTING"), at("FAILED", 30, 31, (30, 31)), Progress(30, "FAILED", 1), id="starts and ends unseen"
        ),
        pytest.param(at("RUNNABLE"), at("FAILED", None, 9), Progress(None, "FAILED"), id="ends without a start"),
        pytest.param(
            at("STARTING", 30, None, (30, 40)), at("RUNNING", 50, None, (30, 40)), Progress(), id="a second attempt"
        ),
        pytest.param(
            at("RUNNING", 50, None, (30, 40)),
            at("FAILED", 50, 70, (30, 40), (50, 70)),
            Progress(None, "FAILED", 40),
            id="runs from its first attempt on",
        ),
        pytest.param(at("RUNNABLE", 30), at("RUNNING", 80), Progress(), id="preempted and resumed"),
        pytest.param(
            at("SUCCEEDED", 30, 90), at("SUCCEEDED", 30, 90), Progress(), id="what had ended does not end again"
        ),
    ],
)
def test_progress(before: BatchJobStatus, after: BatchJobStatus, want: Progress) -> None:
    assert progress(before, after) == want


def test_a_job_without_a_queue_is_counted_under_no_name() -> None:
    store = store_with("normal")
    put(store, "a", "FAILED", queue="nowhere-at-all")
    labels = {"queue": "", "state": "FAILED", "cause": "Other"}
    before = metrics.JOBS_FINISHED.labels(**labels)._value.get()
    count_progress(store, store.entries["a"], b.status("SUBMITTED"), at("FAILED", None, 1))
    assert metrics.JOBS_FINISHED.labels(**labels)._value.get() == before + 1


def failed(reason: str, container: str | None = None, **fields: Any) -> BatchJobStatus:
    """A status whose last attempt, if there is one, is why the job has failed."""
    attempts = [] if container is None else [{"statusReason": reason, "container": {"reason": container or None}}]
    return b.status("FAILED", statusReason=reason, attempts=attempts, **fields)


EXITED = "Essential container in task exited"


@pytest.mark.parametrize(
    ("status", "want"),
    [
        pytest.param(b.status("SUCCEEDED", statusReason=EXITED), None, id="has not"),
        pytest.param(failed("Dependent Job failed", isTerminated=True), "Terminated", id="whatever its reason says"),
        pytest.param(failed("no longer needed", isCancelled=True), "Cancelled", id="cancelled"),
        pytest.param(failed("Dependent Job failed"), "DependencyFailed", id="a dependency"),
        pytest.param(failed("Dependent Job succeeded"), "DependencyFailed", id="a dependency that should have failed"),
        pytest.param(failed("Array Child Job failed"), "ElementFailed", id="an element"),
        pytest.param(failed("Job attempt duration exceeded timeout", ""), "TimedOut", id="timeout"),
        pytest.param(failed(EXITED, ""), "Exited", id="by itself"),
        pytest.param(
            failed(EXITED, "OutOfMemoryError: Container killed due to memory usage"), "OutOfMemory", id="out of memory"
        ),
        pytest.param(
            failed("Task failed to start", "CannotPullContainerError: no such image"), "CannotPull", id="no image"
        ),
        pytest.param(failed("Task failed to start", "CannotStartContainerError: x"), "FailedToStart", id="no start"),
        pytest.param(failed("Host EC2 (instance i-1) terminated.", ""), "HostTerminated", id="its host"),
        pytest.param(failed("Node 2 failed (exit code 1)", ""), "NodeFailed", id="another node of it"),
        pytest.param(failed("Node selectors are refused"), "Other", id="refused, in words like another's"),
        pytest.param(failed("something new", ""), "Other", id="an attempt that says what nobody knows"),
    ],
)
def test_why_a_job_has_failed_is_one_of_a_few_words(status: BatchJobStatus, want: str | None) -> None:
    assert failure_cause(status) == (None if want is None else FailureCause(want))
