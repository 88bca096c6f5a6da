"""Whether nodes are made in a PodGroup: where the cluster has the API, once for each pod of the main node."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import structlog

import builders as b
from batchwright.cluster.resources import POD_GROUPS, Resource
from batchwright.controllers.engine import Engine
from batchwright.controllers.nodepods import Nodes
from batchwright.controllers.podgroups import DISCOVERY_SECONDS, PodGroups
from batchwright.domain.actions import GiveBack
from batchwright.domain.observations import Pod
from batchwright.errors import AlreadyExists, ApiError, ApiUnavailable, Forbidden, Invalid, NotFound
from batchwright.settings import Settings
from unit.controllers.test_gather import World

MAIN, NAME = "main-uid", "train-0-abcde"
BODY = {
    "metadata": {"name": NAME, "namespace": "lab", "ownerReferences": [{"uid": MAIN}]},
    "spec": {"schedulingPolicy": {"gang": {"minCount": 2}}},
}
THEIRS = {"metadata": {"name": NAME, "ownerReferences": [{"uid": "another"}]}}
SERVED = ("workloads", "podgroups", "podgroups/status")


@dataclass
class Api:
    """Serves these resources of the group, and has these PodGroups; `refuses` what is asked for with an error."""

    served: tuple[str, ...] | None = SERVED
    groups: dict[str, Any] = field(default_factory=dict)
    refuses: dict[str, ApiError] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def _ask(self, what: str) -> None:
        self.asked[what] += 1
        if what in self.refuses:
            raise self.refuses[what]

    async def request(self, method: str, path: str) -> dict[str, Any]:
        assert (method, path) == ("GET", "/apis/scheduling.k8s.io/v1beta1")
        self._ask("discover")
        if self.served is None:
            raise NotFound("no such version", 404)
        return {"resources": [{"name": name} for name in self.served]}

    async def create(self, resource: Resource, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        assert (resource, namespace) == (POD_GROUPS, "lab")
        self._ask("create")
        if body["metadata"]["name"] in self.groups:
            raise AlreadyExists("there is one", 409)
        self.groups[body["metadata"]["name"]] = body
        return body

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        assert (resource, namespace) == (POD_GROUPS, "lab")
        self._ask("get")
        if name not in self.groups:
            raise NotFound("there is none", 404)
        found: dict[str, Any] = self.groups[name]
        return found


def node(number: int, **over: Any) -> Pod:
    """Another node's pod."""
    return replace(b.pod(uid=f"n-{number}", index=number, main=MAIN), **over)


def known(*pods: Pod, **over: Any) -> Nodes:
    return Nodes(pods={pod.uid: pod for pod in pods}, **over)


async def joined(api: Api, nodes: Nodes | None = None, *, begun: bool = False, **how: Any) -> str:
    groups = PodGroups(api, **how)  # type: ignore[arg-type]
    return await groups.join(nodes or Nodes(), MAIN, BODY, begun=begun)


@pytest.mark.parametrize(
    ("served", "asked"),
    [
        pytest.param(SERVED, {"discover": 1, "create": 1}, id="it is served"),
        pytest.param(None, {"discover": 1}, id="no such version"),
        pytest.param(("priorityclasses",), {"discover": 1}, id="the version without the kind"),
    ],
)
async def test_the_api_is_found_by_discovery(served: tuple[str, ...] | None, asked: dict[str, int]) -> None:
    api = Api(served)
    assert await joined(api) == (NAME if "create" in asked else "")
    assert api.asked == asked


async def test_discovery_is_repeated_now_and_then() -> None:
    api, now = Api(None), [0.0]
    groups = PodGroups(api, seconds=lambda: now[0])  # type: ignore[arg-type]
    found = []
    for number, at in enumerate((0, DISCOVERY_SECONDS - 1, DISCOVERY_SECONDS, 2 * DISCOVERY_SECONDS)):
        now[0] = at
        found.append(await groups.join(Nodes(), f"{number}", BODY, begun=False))
        # The cluster is upgraded meanwhile.
        api.served = SERVED
        api.groups.clear()
    assert found == ["", "", NAME, NAME]
    assert api.asked["discover"] == 3


async def test_it_is_decided_once_for_each_pod_of_the_main_node() -> None:
    api, nodes = Api(), Nodes()
    groups = PodGroups(api)  # type: ignore[arg-type]
    for main, begun, want in [(MAIN, False, NAME), (MAIN, True, NAME), ("next", False, "next-0")]:
        body = {**BODY, "metadata": {**BODY["metadata"], "name": want}}
        assert await groups.join(nodes, main, body, begun=begun) == want
    assert api.asked == {"discover": 1, "create": 2}
    api.served, nodes = None, Nodes(group=(MAIN, ""))
    assert await groups.join(nodes, MAIN, BODY, begun=False) == "", "none is none also when there could be one now"


BOUND = node(1, node="m1")
CASES = [
    pytest.param(Api(), Nodes(), False, NAME, id="nothing is there"),
    pytest.param(Api(groups={NAME: BODY}), Nodes(), False, NAME, id="made before a crash"),
    pytest.param(Api(groups={NAME: THEIRS}), Nodes(), False, "", id="somebody else's of that name"),
    pytest.param(Api(groups={NAME: BODY}), known(node(1)), True, NAME, id="nodes of before a crash, in the group"),
    pytest.param(Api(), known(node(1)), True, "", id="nodes of before a crash, in none"),
    pytest.param(Api(groups={NAME: BODY}), known(BOUND), True, "", id="one is made again, the others are bound"),
    pytest.param(
        Api(groups={NAME: BODY}),
        known(b.ended_pod(main=MAIN, node="m1"), group=(MAIN, NAME)),
        True,
        "",
        id="one is made again, another has ended",
    ),
    pytest.param(Api(), known(replace(BOUND, main="before")), False, NAME, id="nodes of the attempt before"),
    pytest.param(Api(), Nodes(apart=True), False, "", id="a group was not bound before"),
]


@pytest.mark.parametrize(("api", "nodes", "begun", "want"), CASES)
async def test_no_node_waits_for_others_that_are_in_no_group(api: Api, nodes: Nodes, begun: bool, want: str) -> None:
    assert await joined(api, nodes, begun=begun) == want
    assert nodes.group == (MAIN, want)


@pytest.mark.parametrize("how", ["not wanted", "cannot be"])
async def test_nothing_is_asked_where_there_is_to_be_no_group(how: str) -> None:
    api = Api()
    groups = PodGroups(api, wanted=how != "not wanted")  # type: ignore[arg-type]
    assert await groups.join(Nodes(), MAIN, BODY if how == "not wanted" else None, begun=False) == ""
    assert not api.asked


@pytest.mark.parametrize(
    ("what", "error"),
    [
        pytest.param("create", Forbidden("podgroups is forbidden", 403), id="no right"),
        pytest.param("create", NotFound("no such kind", 404), id="no longer served"),
        pytest.param("create", Invalid("minCount", 422), id="another form"),
        pytest.param("get", Forbidden("podgroups is forbidden", 403), id="no right to look"),
        pytest.param("discover", Forbidden("no discovery", 403), id="no discovery"),
    ],
)
async def test_what_is_refused_is_gone_without_and_said_once(what: str, error: ApiError) -> None:
    api = Api(groups={NAME: BODY} if what == "get" else {}, refuses={what: error})
    groups = PodGroups(api)  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as logs:
        for number in range(3):
            assert await groups.join(Nodes(), f"{number}", BODY, begun=what == "get") == ""
    said = [each for each in logs if each["log_level"] == "warning"]
    assert len(said) == (0 if what == "discover" else 1)


@pytest.mark.parametrize("what", ["discover", "create", "get"])
async def test_what_may_pass_decides_nothing(what: str) -> None:
    api, nodes = Api(groups={NAME: BODY}, refuses={what: ApiUnavailable("down", 503)}), Nodes()
    groups = PodGroups(api)  # type: ignore[arg-type]
    with pytest.raises(ApiUnavailable):
        await groups.join(nodes, MAIN, BODY, begun=what == "get")
    assert nodes.group is None
    api.refuses.clear()
    assert await groups.join(nodes, MAIN, BODY, begun=what == "get") == NAME


class Events:
    async def post(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("nodes", "want"),
    [
        pytest.param(known(node(1), node(2), group=(MAIN, NAME)), True, id="its pods waited to be bound"),
        pytest.param(known(group=(MAIN, NAME)), True, id="its pods were refused"),
        pytest.param(known(BOUND, node(2, node="m2"), group=(MAIN, NAME)), False, id="a machine was lost later"),
        pytest.param(known(node(1), group=(MAIN, "")), False, id="there was no group"),
        pytest.param(known(node(1)), False, id="no node was to be made"),
    ],
)
async def test_after_a_group_that_was_not_bound_there_is_none(nodes: Nodes, want: bool) -> None:
    world = World()
    entry = world.submit()
    world.store.put_work("work-1", b.work())
    entry.nodes = nodes
    engine = Engine(Api(), world.store, Settings(), Events())  # type: ignore[arg-type]
    engine._gangs._act = lambda *_: None
    engine._gangs.give_back(b.UID, entry, GiveBack(b.work(), "not in time"))
    assert nodes.apart == want
