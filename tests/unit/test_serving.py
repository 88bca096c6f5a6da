"""Where probes and metrics are served, and what they say of an operator that starts, works, stands by or hangs."""

from __future__ import annotations

import socket
import ssl
import time

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from batchwright.cluster.client import ApiClient
from batchwright.cluster.connection import Connection
from batchwright.cluster.lease import Leadership, Terms
from batchwright.cluster.resources import JOB_QUEUES
from batchwright.controllers.operator import Operator, declared_resources
from batchwright.errors import ServingError
from batchwright.health import Health
from batchwright.serving import Address, addresses, parse_address, serving
from batchwright.settings import Settings

PROBES = Address("0.0.0.0", 8080, "/healthz")
LIVENESS = "http://0.0.0.0:8080/healthz"


@pytest.mark.parametrize(
    ("liveness", "metrics", "want"),
    [
        pytest.param(None, None, (None, None), id="nothing asked for"),
        pytest.param(LIVENESS, None, (PROBES, Address("0.0.0.0", 8080, "/metrics")), id="beside the probes"),
        pytest.param(LIVENESS, "", (PROBES, None), id="probes only"),
        pytest.param(None, "http://[::1]:9/m", (None, Address("::1", 9, "/m")), id="metrics only"),
        pytest.param(LIVENESS, "http://0.0.0.0:9090/metrics", (PROBES, Address("0.0.0.0", 9090, "/metrics")), id="two"),
        pytest.param("http://h:1/metrics", None, (Address("h", 1, "/metrics"), None), id="the path is taken"),
    ],
)
def test_where(liveness: str | None, metrics: str | None, want: tuple[Address | None, Address | None]) -> None:
    assert addresses(liveness, metrics) == want


@pytest.mark.parametrize(
    "url",
    [
        *("8080", "localhost:8080/metrics", "https://h:1/metrics", "http://:1/metrics", "http://h/metrics"),
        *("http://h:1", "http://h:99999/m", "http://h:1/m?x=1"),
    ],
)
def test_what_is_no_address_is_refused_by_the_name_of_its_option(url: str) -> None:
    with pytest.raises(ServingError, match=r"^--metrics: .*"):
        parse_address(url, "--metrics")


def test_one_address_cannot_have_two_answers() -> None:
    with pytest.raises(ServingError, match=r"--metrics: .*/healthz is where --liveness answers"):
        addresses(LIVENESS, LIVENESS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def get(address: Address) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{address.host}:{address.port}{address.path}") as answer,
    ):
        return answer.status, await answer.text()


def says(text: str) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text)

    return answer


async def test_one_server_and_several_paths() -> None:
    port = free_port()
    one, other = Address("127.0.0.1", port, "/healthz"), Address("127.0.0.1", port, "/metrics")
    async with serving({one: says("well"), other: says("numbers")}):
        assert [await get(one), await get(other)] == [(200, "well"), (200, "numbers")]
        assert (await get(Address("127.0.0.1", port, "/")))[0] == 404
    with pytest.raises(aiohttp.ClientConnectionError):
        await get(one)


async def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match=f"cannot serve on 127.0.0.1:{port}: .*in use"):
            async with serving({Address("127.0.0.1", port, "/healthz"): says("")}):
                pass


@pytest.fixture
def health() -> Health:
    """Of an operator that has not begun to work."""
    api = ApiClient(Connection("http://127.0.0.1:1", ssl.create_default_context(), "default", None))
    leadership = Leadership(api, Terms("kube-system", "lease", 10), "me")
    return Health(Operator(api, Settings()), leadership, Settings())


async def status(health: Health) -> tuple[int, str]:
    address = Address("127.0.0.1", free_port(), "/healthz")
    async with serving({address: health.answer}):
        return await get(address)


async def test_one_that_starts_is_not_ready(health: Health) -> None:
    assert await status(health) == (503, '{"error": "the operator is starting"}')


async def test_one_that_stands_by_is_ready_and_passes_over_nothing(health: Health) -> None:
    health.ready.set()
    health.operator.engine.passed_at = time.monotonic() - 10_000
    code, said = await status(health)
    assert code == 200
    assert '"leads": false' in said


async def test_one_that_works_and_passes_over_nothing_fails(health: Health) -> None:
    health.ready.set()
    health.operator.started.set()
    health.operator.engine.passed_at = time.monotonic() - 200
    assert await status(health) == (503, '{"error": "there has been no pass for 200 s, and 180 s are the most"}')


async def test_one_whose_watch_is_silent_fails(health: Health) -> None:
    health.ready.set()
    health.operator.started.set()
    health.operator.engine.passed_at = time.monotonic()
    health.operator._informers = health.operator._make_informers()
    assert (await status(health))[0] == 200
    health.operator._informers[2].heard_at -= 500
    code, said = await status(health)
    assert code == 503
    assert "the watch of pods has been silent for 500 s, and 400 s are the most" in said


@pytest.mark.parametrize(
    ("plural", "setting", "age", "code"),
    [
        pytest.param("jobqueues", 400.0, 350.0, 200, id="nobody touches the kind"),
        pytest.param("jobqueues", 400.0, 401.0, 503, id="kopf would have asked anew"),
        pytest.param("jobqueues", 100.0, 350.0, 200, id="a setting below what kopf waits is for our own watches"),
        pytest.param("jobqueues", 600.0, 500.0, 200, id="a setting above it is for all"),
        pytest.param("pods", 100.0, 101.0, 503, id="one of our own"),
    ],
)
@pytest.mark.parametrize("works", [True, False], ids=["works", "stands by"])
async def test_how_long_each_watch_may_be_silent(
    health: Health, monkeypatch: pytest.MonkeyPatch, works: bool, plural: str, setting: float, age: float, code: int
) -> None:
    health.ready.set()
    if works:
        health.operator.started.set()
    health.settings = Settings(stale_watch_seconds=setting)
    health.operator.engine.passed_at = time.monotonic()
    monkeypatch.setattr(health.operator, "watch_ages", lambda: {"nodes": 1.0, plural: age})
    found, said = await status(health)
    assert found == code
    assert (f'"watch_age_seconds": {age}' if code == 200 else f"the watch of {plural} has been silent") in said


def test_the_watches_of_kopf_are_among_those_that_age(health: Health) -> None:
    assert health.operator.watch_ages() == {}
    health.operator.hearing.hear(JOB_QUEUES.path())
    assert health.operator.watch_ages().keys() == {"jobqueues"}
    health.operator._informers = health.operator._make_informers()
    assert health.operator.watch_ages().keys() >= {"jobqueues", "pods", "nodes", "batchjobs"}
    # Once it works, also those of which kopf has never heard.
    health.operator.hearing.begin()
    assert health.operator.watch_ages().keys() >= {each.plural for each in declared_resources()}
