"""Pods are told that their host ends: which mark they get, and what is left alone."""

from __future__ import annotations

from typing import Any

import pytest

import builders as b
from batchwright import names
from batchwright.controllers.entries import Pinned
from batchwright.controllers.hostloss import HostLoss
from batchwright.controllers.store import Store
from batchwright.domain.actions import Notice
from batchwright.errors import NotFound
from capacityparts import seen

JSON = dict[str, Any]
ENDED, CHARGED = names.POD_CONDITION_HOST_ENDED, names.POD_CONDITION_HOST_CHARGED
REASON = "Host EC2 (instance i-1) terminated."


class Api:
    """Has pods on one node, and remembers what is done to them."""

    def __init__(self, *pods: JSON, gone: str = "") -> None:
        self.pods, self.gone = pods, gone
        self.asked: list[str] = []
        self.patches: dict[str, JSON] = {}
        self.deleted: list[str] = []

    async def list_all(self, resource: object, *, labels: str, fields: str) -> list[JSON]:
        self.asked.append(fields)
        return list(self.pods)

    async def patch(self, resource: object, namespace: str, name: str, body: JSON, **_: object) -> None:
        if name == self.gone:
            raise NotFound("gone", 404, "NotFound")
        assert body["metadata"] == {"uid": f"uid-{name}"}
        self.patches[name] = body["status"]

    async def delete(self, resource: object, namespace: str | None, name: str) -> None:
        self.deleted.append(name)
        raise NotFound("gone", 404, "NotFound")


class Events:
    def __init__(self) -> None:
        self.posted: list[str] = []

    async def post(self, subject: Any, notice: Notice) -> None:
        self.posted.append(f"{subject.name} {notice.reason}: {notice.message}")


def pod(name: str, mark: str = "", job: str = b.UID) -> JSON:
    conditions = [{"type": mark, "status": "True", "message": "before"}] if mark else []
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "creationTimestamp": "2026-03-01T12:00:00Z",
            "labels": {names.LABEL_JOB_ID: job},
        },
        "spec": {"nodeName": "node-i-1", "containers": [{"name": "main"}]},
        "status": {"phase": "Running", "conditions": conditions},
    }


def store(*rules: Any) -> Store:
    made = Store()
    made.put_job(b.UID, b.job())
    made.entries[b.UID].pinned = Pinned("hello:1", None, b.rules(1, *rules), b.shape())  # type: ignore[arg-type]
    return made


def marks(api: Api) -> dict[str, list[str]]:
    return {name: [each["type"] for each in status.get("conditions", ())] for name, status in api.patches.items()}


@pytest.mark.parametrize(
    ("rules", "guilty", "want"),
    [
        pytest.param((), False, ENDED, id="no rules: not charged"),
        pytest.param((b.exit_rule(onExitCode="3"),), False, ENDED, id="rules of something else: not charged"),
        pytest.param((b.exit_rule("RETRY", onStatusReason="Host EC2*"),), False, CHARGED, id="a rule that retries"),
        pytest.param((b.exit_rule(onReason="*"),), False, CHARGED, id="a rule for everything"),
        pytest.param((), True, CHARGED, id="its node ceased to answer: charged"),
    ],
)
async def test_the_rules_say_which_mark(rules: tuple[Any, ...], guilty: bool, want: str) -> None:
    api, events = Api(pod("a"), pod("c")), Events()
    losing = HostLoss(api, store(*rules), events)  # type: ignore[arg-type]
    await losing.end_node("node-i-1", "i-1", is_guilty=guilty)
    assert marks(api) == {"a": [want], "c": [want]}
    assert {status["phase"] for status in api.patches.values()} == {"Failed"}
    assert api.deleted == ["node-i-1"]
    assert events.posted == [f"hello-1 HostTerminated: {REASON} 2 of its pods ran there"]


async def test_before_its_end_pods_are_marked_and_run_on() -> None:
    api = Api(pod("a"))
    await HostLoss(api, store(), Events()).drain(seen(), "EC2 takes it back")  # type: ignore[arg-type]
    assert marks(api) == {"a": [ENDED]}
    assert "phase" not in api.patches["a"]
    assert api.patches["a"]["conditions"][0]["message"] == "Instance i-1: EC2 takes it back"
    assert api.deleted == []


async def test_what_was_ended_for_another_reason_ends_as_that_says() -> None:
    """The policy's first rule would ignore what timed out."""
    marked = pod("a", names.POD_CONDITION_TIMEOUT)
    api, events = Api(marked), Events()
    losing = HostLoss(api, store(), events)  # type: ignore[arg-type]
    await losing.drain(seen(), "EC2 takes it back")
    assert api.patches == {}
    await losing.end_node("node-i-1", "i-1")
    assert api.patches == {"a": {"phase": "Failed"}}
    assert events.posted == []


async def test_a_pod_that_is_gone_and_a_job_that_nobody_knows() -> None:
    api, events = Api(pod("a"), pod("c", job="another"), gone="a"), Events()
    await HostLoss(api, store(), events).end_node("node-i-1", "i-1")  # type: ignore[arg-type]
    assert marks(api) == {"c": [ENDED]}
    assert events.posted == []
