"""From the store to what decisions look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

import builders as b
import manifests
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec, JobDefinitionSpec, JobQueueSpec
from batchwright.controllers.declared import declared
from batchwright.controllers.entries import Entry
from batchwright.controllers.gather import pin, view_of
from batchwright.controllers.scheduling import Scheduling
from batchwright.controllers.store import Store
from batchwright.domain.lifecycle import View, decide
from batchwright.domain.observations import Revision
from batchwright.scheduling.snapshot import Start, Toleration
from batchwright.scheduling.state import State

DEFINITION = JobDefinitionSpec.model_validate(manifests.job_definition()["spec"])
ACTIVE = {"observedGeneration": 1, "status": "ACTIVE", "revision": 2}


def body(manifest: dict[str, Any], **status: object) -> dict[str, Any]:
    metadata = manifest["metadata"] | {"uid": f"uid-{manifest['metadata']['name']}", "generation": 1}
    return manifest | {"metadata": metadata, "status": status}


@dataclass
class World:
    """A store with a queue, an environment, a definition of revision 2, and one BatchJob."""

    store: Store = field(default_factory=Store)

    def __post_init__(self) -> None:
        self.queue()
        self.definition()
        environment = declared(ComputeEnvironmentSpec, body(manifests.compute_environment()))
        self.store.environments[environment.key] = environment
        self.revision(2)
        self.store.put_node("uid-n1", b.node())

    def queue(self, **spec: object) -> None:
        found = declared(JobQueueSpec, body(manifests.job_queue("normal", **spec)))
        self.store.queues[found.key] = found

    def definition(self, **status: object) -> None:
        found = declared(JobDefinitionSpec, body(manifests.job_definition(), **(ACTIVE | status)))
        self.store.definitions[found.key] = found

    def revision(self, number: int) -> None:
        made = Revision(f"uid-{number}", "default", "hello", number, "uid-hello", DEFINITION)
        self.store.revisions["default", "hello", number] = made

    def submit(self, state: str | None = None, **wire: object) -> Entry:
        self.store.put_job(b.UID, b.job(spec=b.spec(**wire), status=b.status(state)))
        return self.store.entries[b.UID]

    def view(self) -> View:
        return view_of(self.store, self.store.entries[b.UID], {}, b.GRACE_SECONDS)


@pytest.fixture
def world() -> World:
    return World()


def test_a_job_that_is_ready(world: World) -> None:
    world.submit()
    view = world.view()
    assert (view.definition, view.unready, view.refused) == ("hello:2", None, None)


@pytest.mark.parametrize(
    ("status", "want"),
    [
        pytest.param({"observedGeneration": 0}, "JobDefinition hello is being validated", id="not looked at"),
        pytest.param(
            {"status": "INVALID", "statusReason": "no image"}, "JobDefinition hello is INVALID: no image", id="invalid"
        ),
        pytest.param(
            {"revision": 3}, "JobDefinition hello has no revision 3; the job waits for it", id="revision not there"
        ),
    ],
)
def test_a_definition_that_is_not_ready(world: World, status: dict[str, object], want: str) -> None:
    world.definition(**status)
    world.submit()
    assert world.view().unready == want


def test_a_definition_that_is_not_there(world: World) -> None:
    world.store.definitions.clear()
    world.submit()
    unready = world.view().unready
    assert unready is not None
    assert "hello does not exist" in unready


def test_a_revision_may_be_asked_for_by_number(world: World) -> None:
    world.store.definitions.clear()
    world.submit(jobDefinition="hello:2")
    assert world.view().definition == "hello:2"


def test_a_pinned_revision_stays(world: World) -> None:
    world.submit()
    assert world.view().definition == "hello:2"
    world.definition(revision=3)
    world.revision(3)
    assert world.view().definition == "hello:2"


@pytest.mark.parametrize(
    ("spec", "state", "want"),
    [
        pytest.param({"state": "DISABLED"}, None, "JobQueue normal is DISABLED and takes no new jobs", id="new"),
        pytest.param(
            {"state": "DISABLED"}, "SUBMITTED", "JobQueue normal is DISABLED and takes no new jobs", id="not queued yet"
        ),
        pytest.param({"state": "DISABLED"}, "PENDING", None, id="queued before, waits for others"),
        pytest.param({"state": "DISABLED"}, "RUNNABLE", None, id="queued before"),
        pytest.param(
            {"namespaceSelector": {"team": "a"}},
            None,
            "JobQueue normal takes jobs only from namespaces with the labels team=a",
            id="namespace",
        ),
    ],
)
def test_a_queue_that_does_not_take_the_job(
    world: World, spec: dict[str, object], state: str | None, want: str | None
) -> None:
    world.queue(**spec)
    world.submit(state)
    assert world.view().unready == want


@pytest.mark.parametrize("state", ["PENDING", "RUNNABLE"])
@pytest.mark.parametrize("held", [None, "SUBMITTED"])
def test_a_queue_that_is_disabled_goes_on_with_what_it_has(world: World, state: str, held: str | None) -> None:
    """The watch may be behind: what was decided last counts, not what the API server showed last."""
    entry = world.submit(held)
    entry.status = entry.status.model_copy(update={"state": state})
    world.queue(state="DISABLED")
    assert entry.job.status.state == held
    assert world.view().unready is None
    decision = decide(world.view(), b.NOW)
    assert (decision.status.state, decision.runnable) == ("RUNNABLE", True)


def test_a_queue_takes_jobs_of_the_namespaces_it_selects(world: World) -> None:
    world.queue(namespaceSelector={"team": "a"})
    world.store.namespaces["default"] = {"team": "a", "more": "x"}
    world.submit()
    assert world.view().unready is None


@pytest.mark.parametrize(
    ("allowed", "state", "may"),
    [
        pytest.param([], None, False, id="none"),
        pytest.param(["arn:aws:iam::123456789012:role/other"], None, False, id="another"),
        pytest.param(["arn:aws:iam::123456789012:role/other"], "RUNNABLE", False, id="taken back before the start"),
        pytest.param(["arn:aws:iam::123456789012:role/*"], None, True, id="by pattern"),
    ],
)
def test_a_role_is_the_queues_to_allow(world: World, allowed: list[str], state: str | None, may: bool) -> None:
    role = "arn:aws:iam::123456789012:role/reader"
    definition = manifests.job_definition("hello", "default", containerProperties=manifests.container(jobRoleArn=role))
    spec = JobDefinitionSpec.model_validate(definition["spec"])
    world.store.revisions["default", "hello", 2] = Revision("uid-2", "default", "hello", 2, "uid-hello", spec)
    world.queue(allowedJobRoles=allowed)
    world.submit(state)
    said = (
        f"containerProperties.jobRoleArn {role} is not among the allowedJobRoles of JobQueue normal; the job waits "
        "for it"
    )
    assert world.view().unready == (None if may else said)


def test_a_queue_that_is_not_there(world: World) -> None:
    world.store.queues.clear()
    world.submit()
    assert world.view().unready == "JobQueue normal not found; the job waits for it"


def test_pods_of_another_job_do_not_count(world: World) -> None:
    world.submit()
    world.store.put_work("work-1", b.work())
    world.store.put_pod("pod-0", b.pod())
    world.store.put_pod("pod-1", b.pod(1, owner="somebody"))
    assert [pod.name for pod in world.view().pods] == ["hello-0"]


def test_what_a_job_asks() -> None:
    pinned = pin("hello:2", DEFINITION, b.spec(timeout={"attemptDurationSeconds": 70}, retryStrategy={"attempts": 3}))
    assert pinned.shape is not None
    assert dict(pinned.shape.resources) == {"cpu": 1000, "memory": 128 * 1024**2, "pods": 1}
    assert (pinned.rules.attempts, pinned.rules.timeout_seconds) == (3, 70)


def told(world: World, entry: Entry | None = None, *, is_runnable: bool = False) -> State:
    """What the scheduler knows once it has been told of the store, and of this job."""
    scheduling = Scheduling(world.store)
    scheduling.sync(b.NOW.timestamp())
    if entry is not None:
        scheduling.tell(b.UID, entry, is_runnable=is_runnable, now=b.NOW)
    return scheduling.state


def test_what_the_scheduler_is_told(world: World) -> None:
    entry = world.submit()
    world.view()
    found = told(world, entry, is_runnable=True)
    assert list(found.queues) == ["normal"]
    assert found.queues["normal"].environments == ("nodes",)
    assert list(found.waiting_uids) == [b.UID]
    found.nodes.settle()
    assert found.nodes.names == ["n1"]
    assert found.held == {}


@pytest.mark.parametrize(
    ("pods", "want"),
    [
        pytest.param((), 1, id="no pod yet"),
        pytest.param((b.pod(),), 1, id="pod without a node"),
        pytest.param((b.running_pod(),), 0, id="bound: the ledger has it"),
        pytest.param((b.ended_pod(exit_code=1),), 1, id="between attempts the room is kept"),
        pytest.param((b.ended_pod(exit_code=1), b.running_pod(1)), 0, id="second attempt bound"),
    ],
)
def test_what_was_sent_holds_room_until_it_is_bound(world: World, pods: tuple[Any, ...], want: int) -> None:
    entry = world.submit()
    world.view()
    entry.start = Start(b.UID, "nodes", "n1")
    world.store.put_work("work-1", b.work())
    for pod in pods:
        world.store.put_pod(pod.uid, pod)
    held = told(world, entry).held[b.UID]
    assert (held.count, held.unbound) == (1, want)


def test_what_is_finished_holds_no_room(world: World) -> None:
    entry = world.submit()
    world.view()
    world.store.put_work("work-1", b.work(complete=True, succeeded=1))
    assert told(world, entry).held == {}


def test_environments_with_their_tolerations(world: World) -> None:
    manifest = manifests.compute_environment(
        "tainted", nodeSelector={"b": "2", "a": "1"}, tolerations=[{"key": "k", "operator": "Exists"}]
    )
    known = declared(ComputeEnvironmentSpec, body(manifest))
    world.store.environments[known.key] = known
    found = told(world).environments["tainted"]
    assert found.node_selector == (("a", "1"), ("b", "2"))
    assert found.tolerations == (Toleration("k", "Exists"),)
