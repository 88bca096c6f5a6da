"""The API server refuses a status that was decided on another one than is there, as it does a write that comes late."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import waiting
from apiserver import ApiServer
from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.cluster.writes import StatusWrite, StatusWriter, Urgency
from kubecluster import Cluster
from manifests import batch_job

JSON = dict[str, Any]


@pytest.mark.parametrize(
    ("present", "held", "wanted", "stands"),
    [
        pytest.param(None, {}, "SUBMITTED", "SUBMITTED", id="the first"),
        pytest.param(
            None, {"attempts": [], "conditions": []}, "SUBMITTED", "SUBMITTED", id="the first of what was read"
        ),
        pytest.param("SUBMITTED", {"state": "SUBMITTED"}, "RUNNABLE", "RUNNABLE", id="the next"),
        pytest.param("RUNNABLE", {}, "SUBMITTED", "SUBMITTED", id="not the first after all"),
        pytest.param("STARTING", {"state": "RUNNABLE"}, "RUNNING", "RUNNING", id="another has gone on"),
        pytest.param("SUCCEEDED", {"state": "RUNNABLE"}, "RUNNING", "SUCCEEDED", id="another has seen the end"),
        pytest.param("SUCCEEDED", {}, "SUBMITTED", "SUCCEEDED", id="late by the whole life of the job"),
    ],
)
async def test_what_stands_after_a_write(
    cluster: Cluster, api: ApiServer, namespace: str, present: str | None, held: JSON, wanted: str, stands: str
) -> None:
    job = api.create(batch_job("job", namespace))
    if present is not None:
        api.write_status(job | {"status": {"state": present}})
    heard: list[JSON | None] = []
    async with await ApiClient.connect(kubeconfig=str(cluster.kubeconfig)) as client:
        write = StatusWrite(BATCH_JOBS, namespace, "job", job["metadata"]["uid"], {"state": wanted}, held)
        writer = StatusWriter(client, lambda key: write, lambda key, wire: heard.append(wire))
        task = asyncio.create_task(writer.run())
        writer.offer("job", wanted, Urgency(0.0, 0))
        await waiting.until(lambda: bool(heard), what="an answer")
        task.cancel()
    found = api.find("BatchJob", "job", namespace)
    assert found is not None
    assert heard == [found["status"]]
    assert found["status"]["state"] == stands
