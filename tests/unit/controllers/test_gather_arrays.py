"""From the store to what decisions about arrays look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import pytest

import builders as b
import manifests
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec, JobDefinitionSpec, JobQueueSpec
from batchwright.controllers.arrays import competitors
from batchwright.controllers.declared import declared
from batchwright.controllers.entries import Entry
from batchwright.controllers.gather import set_up, view_of
from batchwright.controllers.scheduling import Scheduling
from batchwright.controllers.store import Store
from batchwright.domain.elements import PENDING, RUNNING, SUCCEEDED
from batchwright.domain.granting import grant
from batchwright.domain.items import ItemTable, item_table
from batchwright.domain.lifecycle import View
from batchwright.domain.observations import FinishedArray, FinishedJob, Revision
from batchwright.scheduling.state import State

DEFINITION = JobDefinitionSpec.model_validate(manifests.job_definition()["spec"])
CONFIG_MAP = {"items": {"configMap": {"name": "rows"}}}


def body(manifest: dict[str, Any], **status: object) -> dict[str, Any]:
    metadata = manifest["metadata"] | {"uid": f"uid-{manifest['metadata']['name']}", "generation": 1}
    return manifest | {"metadata": metadata, "status": status}


@dataclass
class World:
    """A store with a queue, an environment, a definition, and one array."""

    store: Store = field(default_factory=Store)

    def __post_init__(self) -> None:
        queue = declared(JobQueueSpec, body(manifests.job_queue("normal")))
        self.store.queues[queue.key] = queue
        environment = declared(ComputeEnvironmentSpec, body(manifests.compute_environment()))
        self.store.environments[environment.key] = environment
        active = {"observedGeneration": 1, "status": "ACTIVE", "revision": 2}
        definition = declared(JobDefinitionSpec, body(manifests.job_definition(), **active))
        self.store.definitions[definition.key] = definition
        made = Revision("uid-2", "default", "hello", 2, "uid-hello", DEFINITION)
        self.store.revisions["default", "hello", 2] = made
        self.store.put_node("uid-n1", b.node())

    def submit(self, properties: dict[str, Any], **wire: object) -> Entry:
        self.store.put_job(b.UID, b.job(spec=b.spec(arrayProperties=properties, **wire)))
        return self.store.entries[b.UID]

    def sent(self, properties: dict[str, Any], **work: Any) -> Entry:
        """What a new operator finds of an array that runs: its status, its Kubernetes Job, its pods."""
        detail = {"size": 4, "succeededIndexes": "0", "statusSummary": {"SUCCEEDED": 1, "RUNNABLE": 3}}
        status = b.status("PENDING", jobName="hello-1-11111111", jobDefinition="hello:2", arrayProperties=detail)
        self.store.put_job(b.UID, b.job(spec=b.spec(arrayProperties=properties), status=status))
        self.store.put_work("work-1", b.work(**({"parallelism": 3, "completed_indexes": "0-1"} | work)))
        self.store.put_pod("p2", b.running_pod(index=2, uid="p2"))
        self.store.put_pod("p1", b.ended_pod(index=1, uid="p1"))
        return self.store.entries[b.UID]

    def view(self) -> View:
        return view_of(self.store, self.store.entries[b.UID], {}, b.GRACE_SECONDS)


def table_of(entry: Entry, text: str | None) -> ItemTable | None:
    """The items of a ConfigMap that has been read."""
    properties = entry.job.spec.array_properties
    assert properties is not None
    return item_table(properties.items, text) if properties.items is not None and text is not None else None


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("properties", "text", "want_size", "want_running"),
    [
        pytest.param({"size": 5}, None, 5, ((0, 4),), id="size"),
        pytest.param({"size": 9, "indexes": "7,1-3"}, None, 9, ((1, 3), (7, 7)), id="indexes"),
        pytest.param({"items": {"list": [{"a": "1"}, {"a": "2"}]}}, None, 2, ((0, 1),), id="list"),
        pytest.param(CONFIG_MAP, "[a, b, c]", 3, ((0, 2),), id="ConfigMap"),
    ],
)
def test_an_array_is_set_up(
    world: World, properties: dict[str, Any], text: str | None, want_size: int, want_running: object
) -> None:
    entry = world.submit(properties)
    assert set_up(world.store, entry, table_of(entry, text)) is None
    assert entry.array is not None
    assert (entry.array.elements.size, entry.array.elements.runs) == (want_size, want_running)
    assert (entry.array.table is None) == ("items" not in properties)


def test_those_that_wait_for_an_array_hear_how_large_it_is(world: World) -> None:
    entry = world.submit({"size": 5})
    waiting = b.job(uid="uid-2", name="second", spec=b.spec(dependsOn=[{"name": "hello-1", "type": "N_TO_N"}]))
    world.store.put_job("uid-2", waiting)
    world.store.dirty.clear()
    set_up(world.store, entry)
    assert world.store.dirty == {"uid-2"}


@pytest.mark.parametrize(
    ("problem", "want"),
    [
        pytest.param("", "ConfigMap rows of arrayProperties.items is being read", id="not read yet"),
        pytest.param("ConfigMap rows not found", "ConfigMap rows not found", id="not there"),
    ],
)
def test_the_config_map_is_waited_for(world: World, problem: str, want: str) -> None:
    entry = world.submit(CONFIG_MAP)
    entry.items_problem = problem
    assert world.view().unready == want
    assert entry.array is None


@pytest.mark.parametrize(
    ("properties", "text", "want"),
    [
        pytest.param({"size": 4, "indexes": "2-9"}, None, "indexes", id="beyond the size"),
        pytest.param({"size": 4, "indexes": "3-1"}, None, "3-1 ends before it begins", id="backwards"),
        pytest.param({"size": 4, **CONFIG_MAP}, "[a, b]", "size is 4", id="another number of items"),
    ],
)
def test_an_array_that_cannot_be(world: World, properties: dict[str, Any], text: str | None, want: str) -> None:
    entry = world.submit(properties)
    assert set_up(world.store, entry, table_of(entry, text)) is None
    assert entry.array is None
    assert want in (entry.refused or "")
    assert want in (world.view().refused or "")


@pytest.mark.parametrize("properties", [{"size": 4, "indexes": "1"}, CONFIG_MAP], ids=["indexes", "items"])
def test_a_cluster_that_cannot_fill_in_elements(world: World, properties: dict[str, Any]) -> None:
    world.store.fills_in_elements = False
    entry = world.submit(properties)
    set_up(world.store, entry, table_of(entry, "[a, b]" if "items" in properties else None))
    assert entry.array is None
    assert "needs the MutatingAdmissionPolicy" in (entry.refused or "")


@pytest.mark.parametrize("properties", [{"size": 4}, CONFIG_MAP], ids=["size", "ConfigMap that is gone"])
def test_after_a_restart_an_array_goes_on(world: World, properties: dict[str, Any]) -> None:
    entry = world.sent(properties, gated=True)
    assert world.view().unready is None
    assert entry.array is not None
    elements = entry.array.elements
    elements.settle()
    assert list(elements.states) == [SUCCEEDED, SUCCEEDED, RUNNING, PENDING]
    assert (elements.size, elements.parallelism, elements.gated) == (4, 3, True)
    assert set(entry.pods) == {"p2"}


def test_after_a_restart_without_its_queue_an_array_goes_on(world: World) -> None:
    entry = world.sent({"size": 4})
    world.store.queues.clear()
    assert world.view().unready == "JobQueue normal not found; the job waits for it"
    assert entry.array is not None


def test_how_a_job_was_made_is_taken_over_once(world: World) -> None:
    """A request that seemed to fail has made it, and what was granted had been taken back."""
    entry = world.submit({"size": 4})
    world.view()
    assert entry.array is not None
    elements = entry.array.elements
    elements.open()
    assert elements.parallelism == 0
    world.store.put_work("work-1", b.work(parallelism=3, gated=True))
    assert (elements.parallelism, elements.gated) == (3, True)
    grant(elements, 4)
    assert elements.parallelism == 4
    world.store.put_work("work-1", b.work(parallelism=3, gated=True, failed_indexes="2"))
    assert elements.parallelism == 4


def test_pods_that_are_not_of_the_array_s_own_job(world: World) -> None:
    entry = world.sent({"size": 4})
    world.view()
    world.store.put_pod("forged", b.running_pod(index=3, uid="forged", owner="somebody"))
    assert entry.array is not None
    assert 3 not in entry.array.elements.live


def told(world: World, entry: Entry | None = None, *, is_runnable: bool = False) -> State:
    """What the scheduler knows once it has been told of the store, and of this job."""
    scheduling = Scheduling(world.store)
    scheduling.sync(b.NOW.timestamp())
    if entry is not None:
        scheduling.tell(b.UID, entry, is_runnable=is_runnable, now=b.NOW)
    return scheduling.state


@pytest.mark.parametrize(
    ("properties", "is_sent", "want"),
    [
        pytest.param({"size": 4}, False, (4, None), id="all"),
        pytest.param({"size": 4, "maxConcurrency": 3}, False, (3, None), id="maxConcurrency"),
        pytest.param({"size": 4}, True, (1, "nodes"), id="the rest of one that was sent"),
    ],
)
def test_an_array_as_a_candidate(
    world: World, properties: dict[str, Any], is_sent: bool, want: tuple[int, str | None]
) -> None:
    entry = world.submit(properties)
    world.view()
    assert entry.array is not None
    entry.array.elements.open()
    if is_sent:
        world.store.put_work("work-1", b.work(parallelism=3))
    [(candidate, _)] = told(world, entry, is_runnable=True).waiting["normal"].candidates()
    assert (candidate.count, candidate.environment) == want


def test_what_elements_hold(world: World) -> None:
    entry = world.sent({"size": 4})
    world.view()
    assert entry.array is not None
    entry.array.elements.settle()
    held = told(world, entry).held[b.UID]
    assert entry.pinned is not None
    assert entry.pinned.shape is not None
    # Two are left, and one of them is on a node.
    assert (held.environment, held.shape, held.count, held.unbound) == ("nodes", entry.pinned.shape, 2, 1)
    world.store.put_work("work-1", b.work(parallelism=3, failure="no"))
    assert told(world, entry).held == {}


def test_elements_wait_for_those_of_a_finished_array(world: World) -> None:
    done = FinishedJob("uid-a", "default", "a", "FAILED", "normal", None, FinishedArray(4, "0-1", "3"))
    world.store.put_job("uid-a", done)
    entry = world.submit({"size": 4}, dependsOn=[{"name": "a", "type": "N_TO_N"}])
    assert world.view().dependencies.waiting == ()
    assert entry.array is not None
    assert len(entry.array.edges) == 1
    # Index 2 was left out of the other one.
    assert list(entry.array.elements.unmet or ()) == [1, 1, 0, 1]
    # Linked once, however often it is looked at.
    world.view()
    assert list(entry.array.elements.unmet or ()) == [1, 1, 0, 1]


def test_a_failed_array_does_not_fail_one_whose_size_is_not_known(world: World) -> None:
    done = FinishedJob("uid-a", "default", "a", "FAILED", "normal", None, FinishedArray(4, "0-1", "2-3"))
    world.store.put_job("uid-a", done)
    world.submit(CONFIG_MAP, dependsOn=[{"name": "a", "type": "N_TO_N"}])
    found = world.view().dependencies
    assert (found.failed, found.unlinked) == (None, True)
    assert found.waiting == ("a (how many elements this array has is not known yet)",)


@pytest.mark.parametrize(
    ("other", "want"),
    [
        pytest.param(None, False, id="nobody"),
        pytest.param({"created_at": b.at(-5)}, True, id="an older job of the queue"),
        pytest.param({"created_at": b.at(5)}, False, id="a younger one"),
        pytest.param({"created_at": b.at(-5), "spec": b.spec(jobQueue="other")}, False, id="one of another queue"),
    ],
)
def test_competitors(world: World, other: dict[str, Any] | None, want: bool) -> None:
    entry = world.submit({"size": 4})
    if other is not None:
        world.store.put_job("uid-2", b.job(uid="uid-2", name="second", **other))
    assert competitors(world.store, entry, "nodes", told(world)) == want


def test_a_strangers_pod_says_nothing_before_the_job_is_known(world: World) -> None:
    entry = world.submit({"size": 3})
    world.view()
    world.store.put_pod("theirs", b.ended_pod(index=0, uid="theirs", owner=""))
    world.store.put_pod("ours", b.ended_pod(index=1, uid="ours"))
    assert entry.array is not None
    assert entry.array.elements.counts[SUCCEEDED] == 0
    world.store.put_work("work-1", b.work(parallelism=3))
    assert list(entry.array.elements.states) == [PENDING, SUCCEEDED, PENDING]
    assert entry.pods == {}


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_a_chain_has_one_arrival_whatever_is_looked_at_first(world: World, order: tuple[int, ...]) -> None:
    for number in range(4):
        needs = [{"name": f"s{number - 1}", "type": "N_TO_N"}] if number else []
        spec = b.spec(arrayProperties={"size": 2}, dependsOn=needs)
        made = b.job(uid=f"uid-{number}", name=f"s{number}", created_at=b.at(number), spec=spec)
        world.store.put_job(made.uid, made)
    entries = [world.store.entries[f"uid-{number}"] for number in range(4)]
    world.store.dirty.clear()
    for number in order:
        view_of(world.store, entries[number], {}, b.GRACE_SECONDS)
    while world.store.dirty:
        view_of(world.store, world.store.entries[world.store.dirty.pop()], {}, b.GRACE_SECONDS)
    arrays = [entry.array for entry in entries if entry.array is not None]
    assert [known.depth for known in arrays] == [0, 1, 2, 3]
    assert [known.arrival for known in arrays] == [None, b.at(0), b.at(0), b.at(0)]
