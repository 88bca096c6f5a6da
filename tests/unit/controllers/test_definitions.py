"""Revisions of JobDefinitions: made once, never another definition's, and made again when they vanish."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

import builders as b
import manifests
from batchwright.api.v1alpha1 import JobDefinitionSpec
from batchwright.cluster.resources import CONTROLLER_REVISIONS, JOB_DEFINITIONS, JOBS, PODS, Resource
from batchwright.controllers.declared import Declared, declared
from batchwright.controllers.definitions import Definitions
from batchwright.controllers.store import Store
from batchwright.domain.actions import Notice
from batchwright.domain.observations import Revision
from batchwright.errors import AlreadyExists, ApiError, Forbidden, Invalid

JSON = dict[str, Any]
KEY = ("default", "hello")
RAW = manifests.job_definition()["spec"]
OTHER = {"containerProperties": manifests.container(image="other")}


@dataclass
class FakeApi:
    """Takes dry runs of Jobs and pods, and keeps the revisions made and the statuses written. `forbidden` kinds are a
    policy's to refuse; a volume's name may be taken once."""

    revisions: dict[str, JSON] = field(default_factory=dict)
    statuses: list[JSON] = field(default_factory=list)
    dry_runs: int = 0
    refusal: ApiError | None = None
    forbidden: Resource | None = None
    tried: list[JSON] = field(default_factory=list)

    async def create(self, resource: Resource, namespace: str, body: JSON, **how: bool) -> JSON:
        if resource in (JOBS, PODS):
            assert how == {"dry_run": True, "strict": True}
            self.dry_runs += 1
            self.tried.append(body)
            if self.refusal is not None:
                raise self.refusal
            if resource is self.forbidden:
                raise Forbidden("exceeded quota", 403)
            spec = body["spec"]["template"]["spec"] if resource is JOBS else body["spec"]
            volumes = [each["name"] for each in spec.get("volumes", ())]
            if len(set(volumes)) < len(volumes):
                raise Invalid(f"spec.volumes: Duplicate value: {volumes[-1]}")
            return body
        assert (resource, namespace) == (CONTROLLER_REVISIONS, "default")
        name = body["metadata"]["name"]
        if name in self.revisions:
            raise AlreadyExists(f"{name} exists")
        self.revisions[name] = body | {"metadata": body["metadata"] | {"uid": f"uid-of-{name}"}}
        return self.revisions[name]

    async def get(self, resource: Resource, namespace: str, name: str) -> JSON:
        assert (resource, namespace) == (CONTROLLER_REVISIONS, "default")
        return self.revisions[name]

    async def patch(self, resource: Resource, namespace: str, name: str, body: list[JSON], **how: Any) -> JSON:
        assert (resource, namespace, name, how["subresource"]) == (JOB_DEFINITIONS, "default", "hello", "status")
        [tested, written] = body
        assert (tested["op"], tested["path"], written["path"]) == ("test", "/metadata/uid", "/status")
        self.statuses.append(written["value"])
        return {}


class Posted(list[Notice]):
    """The events that would be posted."""

    async def post(self, _: object, notice: Notice) -> None:
        self.append(notice)


class Bench:
    def __init__(self) -> None:
        self.api, self.store, self.posted = FakeApi(), Store(), Posted()
        self.settled: list[tuple[str, str]] = []
        self.definitions = Definitions(
            self.api,  # type: ignore[arg-type]
            self.store,
            self.posted,  # type: ignore[arg-type]
            self.settled.append,
            lambda: b.NOW,
        )

    def declare(self, raw: JSON = RAW, *, uid: str = "d", generation: int = 1) -> Declared[JobDefinitionSpec]:
        before = self.store.definitions.get(KEY)
        status = before.status if before is not None and before.uid == uid else {}
        made = Declared(uid, *KEY, generation, JobDefinitionSpec.model_validate(raw), raw, status)
        self.store.definitions[KEY] = made
        return made

    @property
    def held(self) -> dict[int, Revision]:
        return {key[2]: revision for key, revision in self.store.revisions.items()}


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_new_definition_gets_revision_1(bench: Bench) -> None:
    known = bench.declare()
    await bench.definitions.reconcile(KEY)
    assert (known.status["status"], known.status["revision"]) == ("ACTIVE", 1)
    assert (bench.held[1].owner, bench.held[1].spec) == ("d", known.spec)
    assert [status["revision"] for status in bench.api.statuses] == [1]
    assert bench.settled == [KEY]


async def test_one_that_is_known_is_left_alone(bench: Bench) -> None:
    bench.declare()
    for _ in range(3):
        await bench.definitions.reconcile(KEY)
    assert (bench.api.dry_runs, len(bench.api.revisions), len(bench.api.statuses)) == (1, 1, 1)


async def test_another_spec_is_another_revision_and_the_same_is_not(bench: Bench) -> None:
    for generation, raw in enumerate((RAW, OTHER, OTHER, RAW), start=1):
        known = bench.declare(raw, generation=generation)
        await bench.definitions.reconcile(KEY)
        assert bench.held[known.status["revision"]].spec == known.spec
    assert set(bench.held) == {1, 2, 3}


async def test_a_revision_that_vanishes_is_made_again(bench: Bench) -> None:
    known = bench.declare()
    await bench.definitions.reconcile(KEY)
    bench.api.revisions.clear()
    bench.store.revisions.clear()
    await bench.definitions.reconcile(KEY)
    assert known.status["revision"] == 1
    assert set(bench.held) == {1}
    assert len(bench.api.revisions) == 1


async def test_a_definition_made_again_does_not_count_on_what_the_first_one_left(bench: Bench) -> None:
    """The first one's revision is being collected: the watch still shows it, and shows it gone later."""
    bench.declare()
    await bench.definitions.reconcile(KEY)
    second = bench.declare(uid="e")
    await bench.definitions.reconcile(KEY)
    assert second.status["revision"] == 2
    assert {number: revision.owner for number, revision in bench.held.items()} == {1: "d", 2: "e"}
    del bench.store.revisions[*KEY, 1]
    await bench.definitions.reconcile(KEY)
    assert second.status["revision"] == 2
    assert len(bench.api.statuses) == 2


async def test_a_status_that_names_the_first_ones_revision_is_not_settled(bench: Bench) -> None:
    """A definition restored from a backup with its status: the revision it names is not its own."""
    await _made_by(bench, "d")
    restored = bench.declare(uid="e")
    restored.status = {"observedGeneration": 1, "status": "ACTIVE", "revision": 1}
    await bench.definitions.reconcile(KEY)
    assert restored.status["revision"] == 2


@pytest.mark.parametrize(
    ("owner", "raw", "want"),
    [
        pytest.param("d", RAW, 1, id="ours, made just before a restart"),
        pytest.param("d", OTHER, 2, id="ours, of another spec"),
        pytest.param("somebody", RAW, 2, id="another definition's"),
    ],
)
async def test_a_name_that_is_taken(bench: Bench, owner: str, raw: JSON, want: int) -> None:
    """The revision is there, and the watch has not shown it yet."""
    await _made_by(bench, owner, raw)
    bench.store.revisions.clear()
    known = bench.declare(uid="d", generation=2)
    known.status = {}
    await bench.definitions.reconcile(KEY)
    assert known.status["revision"] == want
    assert bench.held[want].owner == "d"


async def test_an_orphaned_revision_keeps_its_number(bench: Bench) -> None:
    """Deleted with --cascade=orphan: nobody owns the revision, and its name stays taken."""
    await _made_by(bench, "d")
    [(name, body)] = bench.api.revisions.items()
    bench.api.revisions[name] = body | {"metadata": body["metadata"] | {"ownerReferences": []}}
    bench.store.revisions.clear()
    known = bench.declare(uid="e")
    await bench.definitions.reconcile(KEY)
    assert known.status["revision"] == 2
    assert set(bench.held) == {2}


async def test_an_invalid_one_makes_no_revision_and_says_why(bench: Bench) -> None:
    bench.api.refusal = Invalid("spec.template.spec.containers[0].imagee: unknown field")
    known = bench.declare()
    for _ in range(2):
        await bench.definitions.reconcile(KEY)
    assert [(each["type"], each["status"]) for each in known.status["conditions"]] == [
        *(("Ready", "False"), ("Stalled", "True")),
    ]
    assert (known.status["status"], known.status["statusReason"]) == ("INVALID", str(bench.api.refusal))
    assert (bench.held, bench.api.dry_runs) == ({}, 1)
    assert [notice.reason for notice in bench.posted] == ["InvalidTemplate"]


def gang(*volumes_by_range: list[str], targets: tuple[str, ...] = ("0", "1:")) -> JSON:
    """A definition of three nodes, with volumes of these names in each range."""
    ranges = [
        {
            "targetNodes": target,
            "podTemplate": {
                "spec": {
                    "containers": [{"name": "main", "image": "x", "resources": {"requests": {"cpu": "1"}}}],
                    "volumes": [{"name": name, "emptyDir": {}} for name in volumes],
                }
            },
        }
        for target, volumes in zip(targets, volumes_by_range, strict=True)
    ]
    properties = {"numNodes": 3, "mainNode": 0, "rendezvous": {"port": 29500}, "nodeRangeProperties": ranges}
    return {"type": "multinode", "nodeProperties": properties}


async def test_the_nodes_of_a_multi_node_job_are_tried_as_they_will_be(bench: Bench) -> None:
    """The main node as a Job, and of each range a pod of another node, with what ours have more."""
    bench.declare(gang([], []))
    await bench.definitions.reconcile(KEY)
    job, pod = bench.api.tried
    assert [job["kind"], pod["kind"]] == ["Job", "Pod"]
    for index, spec in (("0", job["spec"]["template"]["spec"]), ("1", pod["spec"])):
        names = {each["name"]: each.get("value") for each in spec["containers"][0]["env"]}
        assert (names["AWS_BATCH_JOB_NODE_INDEX"], names["RANK"], names["MASTER_PORT"]) == (index, index, "29500")
        assert spec["subdomain"] == job["metadata"]["name"]
        assert [each["name"] for each in spec["volumes"]] == ["batchwright-hosts"]


async def test_a_range_with_the_main_node_and_others_is_tried_as_both(bench: Bench) -> None:
    bench.declare(gang([], targets=("0:",)))
    await bench.definitions.reconcile(KEY)
    assert [each["kind"] for each in bench.api.tried] == ["Job", "Pod"]


@pytest.mark.parametrize(
    ("number", "forbidden"),
    [
        pytest.param(0, None, id="the main node's"),
        pytest.param(1, None, id="another's"),
        pytest.param(1, JOBS, id="another's, where a policy refuses the main node's Job"),
    ],
)
async def test_a_volume_named_as_ours_makes_a_definition_invalid(
    bench: Bench, number: int, forbidden: Resource | None
) -> None:
    """It would be found when the first job has all of its room."""
    bench.api.forbidden = forbidden
    volumes: list[list[str]] = [[], []]
    volumes[number] = ["batchwright-hosts"]
    known = bench.declare(gang(*volumes))
    await bench.definitions.reconcile(KEY)
    assert known.status["status"] == "INVALID"
    assert known.status["statusReason"] == (
        f"nodeProperties.nodeRangeProperties[{number}]: spec.volumes: Duplicate value: batchwright-hosts"
    )


async def test_what_only_a_policy_refuses_is_no_fault_of_the_definition(bench: Bench) -> None:
    bench.api.forbidden = PODS
    known = bench.declare(gang([], []))
    await bench.definitions.reconcile(KEY)
    assert known.status["status"] == "ACTIVE"


async def test_one_nested_deeper_than_kubernetes_is_invalid_and_no_job_is_tried(bench: Bench) -> None:
    deep: JSON = {}
    for _ in range(5000):
        deep = {"x": [deep]}
    body = manifests.job_definition(podTemplate={"spec": deep})
    body["metadata"] |= {"uid": "d", "generation": 1}
    known = bench.store.definitions[KEY] = declared(JobDefinitionSpec, body)
    await bench.definitions.reconcile(KEY)
    assert known.status["status"] == "INVALID"
    assert known.status["statusReason"].startswith("podTemplate: nested more than 64 levels deep")
    assert (bench.held, bench.api.dry_runs) == ({}, 0)
    assert [notice.reason for notice in bench.posted] == ["InvalidTemplate"]


async def test_a_number_too_large_for_json_is_the_definitions_fault(bench: Bench) -> None:
    bench.api.refusal = TypeError("Integer exceeds 64-bit range")  # type: ignore[assignment]
    known = bench.declare()
    await bench.definitions.reconcile(KEY)
    assert (known.status["status"], known.status["statusReason"]) == ("INVALID", "Integer exceeds 64-bit range")


async def _made_by(bench: Bench, uid: str, raw: JSON = RAW) -> None:
    bench.store.definitions[KEY] = replace(bench.declare(raw, uid=uid), status={})
    await bench.definitions.reconcile(KEY)


async def test_a_record_that_an_event_replaced_meanwhile_is_settled_too(desk_of_events: Bench) -> None:
    """Found by cut watches: the status went to a record nobody looked at any more, and its jobs waited for ever."""
    bench = desk_of_events
    bench.declare()
    await bench.definitions.reconcile(KEY)
    assert bench.store.definitions[KEY].status["status"] == "ACTIVE"
    assert bench.settled == [KEY]


@pytest.fixture
def desk_of_events() -> Bench:
    """An event about the definition comes while its status is being written."""
    bench = Bench()
    written = bench.api.patch

    async def patch(*args: Any, **how: Any) -> JSON:
        made = bench.declare()
        made.status = {}
        return await written(*args, **how)

    bench.api.patch = patch  # type: ignore[method-assign]
    return bench
