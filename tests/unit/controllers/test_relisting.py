"""The store of what people declare is put right by a list of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import manifests
import waiting
from batchwright.api.v1alpha1 import JobQueueSpec
from batchwright.cluster.resources import JOB_QUEUES, Resource
from batchwright.controllers import relisting
from batchwright.controllers.declared import Declared, declared
from batchwright.controllers.relisting import Relisting
from batchwright.errors import ApiUnavailable

KEY = ("", "normal")


def queue(uid: str, name: str = "normal") -> dict[str, Any]:
    body = manifests.job_queue(name)
    body["metadata"] |= {"uid": uid, "generation": 1}
    return body


class Bench:
    """A cluster's queues, what the store has of them, and what is told."""

    def __init__(self) -> None:
        self.there: list[dict[str, Any]] = []
        self.known: dict[tuple[str, str], Declared[Any]] = {}
        self.told: list[tuple[str, str]] = []
        self.failures = 0
        self.lists = 0
        self.meanwhile: Callable[[], None] = lambda: None
        self.relisting = Relisting(self, {JOB_QUEUES: self.known}, self.tell)  # type: ignore[arg-type]

    def has(self, *uids: str) -> None:
        for uid in uids:
            self.known["", uid.rstrip("0123456789")] = declared(JobQueueSpec, queue(uid, uid.rstrip("0123456789")))

    async def list_all(self, _: Resource) -> list[dict[str, Any]]:
        self.lists += 1
        if self.failures:
            self.failures -= 1
            raise ApiUnavailable("away")
        listed = list(self.there)
        self.meanwhile()
        return listed

    def tell(self, _: str, event: str, body: Any) -> None:
        self.told.append((event, body["metadata"]["uid"]))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(relisting, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(relisting, "RETRY_SECONDS", 0.01)
    return Bench()


@pytest.mark.parametrize(
    ("known", "there", "told"),
    [
        pytest.param(["a1"], ["a1"], [], id="all is right"),
        pytest.param(["a1"], [], [("DELETED", "a1")], id="gone in a gap"),
        pytest.param([], ["a1"], [("ADDED", "a1")], id="the end of another took it along"),
        pytest.param(["a1"], ["a2"], [("ADDED", "a2")], id="made anew, and the first was told last"),
    ],
)
async def test_the_store_is_put_right(bench: Bench, known: list[str], there: list[str], told: list[Any]) -> None:
    bench.has(*known)
    bench.there = [queue(uid, "a") for uid in there]
    bench.failures = 1
    bench.relisting.soon()
    bench.relisting.soon()
    await waiting.until(lambda: bench.lists == 2 and not bench.relisting._is_due)
    await waiting.until(lambda: bench.told == told)
    assert bench.lists == 2


async def test_what_is_told_while_the_list_is_on_its_way_is_newer(bench: Bench) -> None:
    bench.has("a1")
    bench.there = [queue("a1", "a")]
    bench.meanwhile = lambda: bench.has("a2", "b1")
    bench.relisting.soon()
    await waiting.until(lambda: bench.relisting._task is not None and bench.relisting._task.done())
    assert bench.told == []
