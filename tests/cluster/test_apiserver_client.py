"""The tests' own client: what other tests rest on must itself be right."""

from __future__ import annotations

import threading
import time

import pytest

from apiserver import ApiServer, Refused
from manifests import batch_job


def test_wait_sees_what_is_there_already(api: ApiServer, namespace: str) -> None:
    api.create(batch_job("job", namespace))
    found = api.wait_for("BatchJob", "job", namespace, lambda job: job["spec"]["jobQueue"] == "normal", seconds=5)
    assert found["metadata"]["name"] == "job"


def test_wait_sees_a_change(api: ApiServer, namespace: str) -> None:
    job = api.create(batch_job("job", namespace))
    writer = threading.Timer(0.3, api.write_status, [job | {"status": {"state": "RUNNING"}}])
    writer.start()
    try:
        found = api.wait_for(
            "BatchJob", "job", namespace, lambda seen: seen.get("status", {}).get("state") == "RUNNING", seconds=10
        )
    finally:
        writer.join()
    assert found["status"] == {"state": "RUNNING"}


def test_wait_ends_in_time_and_says_what_it_saw(api: ApiServer, namespace: str) -> None:
    api.create(batch_job("job", namespace))
    started = time.monotonic()
    with pytest.raises(
        TimeoutError, match=r"BatchJob job did not come to the wanted state within 1 s; last seen: .*normal"
    ):
        api.wait_for("BatchJob", "job", namespace, lambda _: False, seconds=1)
    assert time.monotonic() - started < 5


def test_find_and_delete_of_nothing(api: ApiServer, namespace: str) -> None:
    api.delete("BatchJob", "none", namespace)
    assert api.find("BatchJob", "none", namespace) is None


def test_refusal_is_told(api: ApiServer) -> None:
    with pytest.raises(Refused, match="HTTP 404") as refusal:
        api.patch("JobQueue", "none", None, {"spec": {"priority": 1}})
    assert refusal.value.status == 404


def test_list_by_selector(api: ApiServer, namespace: str) -> None:
    for name in ("a", "b"):
        api.create(batch_job(name, namespace, jobQueue=name))
    assert [job["metadata"]["name"] for job in api.list("BatchJob", namespace, fieldSelector="spec.jobQueue=b")] == [
        "b"
    ]
