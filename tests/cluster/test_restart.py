"""kill -9 of the operator at random points: every job runs exactly as often as its attempts say.

The proof comes from outside: the API server's own record of what was created (a watch on pods that counts each pod
that ran), compared with what the jobs say of themselves.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from operatorprocess import OperatorProcess
from stage import Stage

JOBS = 200
SEED = 20261122
# What each kind of job must end as, and the exit codes of its attempts.
WANTED = {"ok": ("SUCCEEDED", [0]), "bad": ("FAILED", [5]), "again": ("SUCCEEDED", [5, 0])}


class PodCounter:
    """Counts the pods of each job that ever ran, whoever made them, from a watch of its own."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._ran: dict[str, set[str]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        api = self._stage.api
        client = api._client
        while not self._stop.is_set():
            response = client.rest_client.pool_manager.request(
                "GET",
                f"{client.configuration.host}/api/v1/namespaces/{self._stage.namespace}/pods",
                fields={"watch": "true", "timeoutSeconds": "600"},
                preload_content=False,
            )
            for line in response:
                if self._stop.is_set():
                    break
                event = json.loads(line)
                if event["type"] in ("ADDED", "MODIFIED"):
                    pod = event["object"]
                    if pod["status"].get("phase") in ("Running", "Succeeded", "Failed"):
                        job_id = pod["metadata"]["labels"]["batchwright.io/job-id"]
                        self._ran.setdefault(job_id, set()).add(pod["metadata"]["uid"])
            response.close()

    def counts(self) -> Counter[str]:
        """Pods that ran, by jobId."""
        return Counter({job_id: len(pods) for job_id, pods in self._ran.items()})

    def stop(self) -> None:
        """Ends the watch with its next event."""
        self._stop.set()


@pytest.fixture
def counter(stage: Stage) -> Iterator[PodCounter]:
    made = PodCounter(stage)
    yield made
    made.stop()


@pytest.mark.timeout(600)
def test_killed_at_random_points_every_job_runs_as_often_as_its_attempts_say(
    stage: Stage, operator: OperatorProcess, counter: PodCounter
) -> None:
    chance = random.Random(SEED)
    stage.nodes(4, cpu=8)
    stage.environment()
    stage.queue()
    stage.simulated("ok", cpu="500m", simulate={"seconds": "0.5"})
    stage.simulated("bad", cpu="500m", simulate={"seconds": "0.3", "exit-code": "5"})
    stage.simulated(
        "again", cpu="500m", simulate={"exit-code": "5", "fail-attempts": "1"}, retryStrategy={"attempts": 2}
    )
    kinds = ["ok"] * 8 + ["bad", "again"]
    wanted: dict[str, str] = {}
    ids: dict[str, str] = {}
    kills = 0
    for number in range(JOBS):
        name, kind = f"j{number}", chance.choice(kinds)
        depends = [{"name": f"j{number - 10}"}] if number >= 10 and wanted[f"j{number - 10}"] == "ok" else []
        wanted[name] = kind
        ids[name] = stage.submit(name, kind, dependsOn=depends)
        if chance.random() < 0.04:
            operator.kill()
            operator.start(wait=chance.random() < 0.7)
            kills += 1
    for _ in range(6):
        threading.Event().wait(chance.uniform(0.2, 2.5))
        operator.kill()
        operator.start(wait=False)
        kills += 1

    statuses = stage.wait_all_final(JOBS, seconds=300)

    assert kills >= 8
    ran = counter.counts()
    for name, kind in wanted.items():
        status = statuses[name]
        want_state, want_codes = WANTED[kind]
        codes = [attempt["container"].get("exitCode") for attempt in status.get("attempts", ())]
        assert (status["state"], codes) == (want_state, want_codes), f"{name} ({kind}): {status}"
        assert ran[ids[name]] == len(want_codes), f"{name} ran {ran[ids[name]]} times, and says {codes}"
