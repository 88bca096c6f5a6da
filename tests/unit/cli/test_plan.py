"""`plan` and `queue top`: the next pass from what the API server has, and how it is told."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

import manifests
from batchwright.cli.facts import Facts
from batchwright.cli.options import Output
from batchwright.cli.plan import rehearse, show_plan, show_queue
from batchwright.cli.standings import Standings
from batchwright.errors import Forbidden, NotFound
from batchwright.names import LABEL_JOB_ID
from batchwright.workloads.revision import build_revision
from unit.cli.fakeapi import FakeApi, serve

JSON = dict[str, Any]
TWO_VCPU = {"resourceRequirements": [{"type": "VCPU", "value": "2"}]}
WRITTEN = {
    "computeenvironments": [manifests.compute_environment()],
    "schedulingpolicies": [],
    "consumableresources": [manifests.consumable_resource(totalQuantity=1)],
    "jobqueues": [manifests.job_queue()],
    "jobdefinitions": [],
    "batchjobs": [],
    "jobs": [],
    "nodes": [],
    "namespaces": [],
    "controllerrevisions": [],
    "mutatingadmissionpolicies": [],
}


def stored(item: JSON, number: int = 0, **status: Any) -> JSON:
    """The object as the API server has it: with a uid, `number` seconds after noon."""
    metadata = {
        "uid": f"uid-{item['metadata']['name']}",
        "creationTimestamp": f"2026-01-01T12:00:{number:02}Z",
        "generation": 1,
        **item["metadata"],
    }
    return {**item, "metadata": metadata, "status": status}


def node(name: str = "n1", cpu: int = 2) -> JSON:
    return stored(
        {"metadata": {"name": name}},
        allocatable={"cpu": str(cpu), "memory": "8Gi", "pods": "110"},
        conditions=[{"type": "Ready", "status": "True"}],
    )


def submitted(name: str, number: int = 0, namespace: str = "lab", **spec: Any) -> JSON:
    return stored(manifests.batch_job(name, namespace, **spec), number)


def definition(namespace: str = "lab", name: str = "hello", **spec: Any) -> tuple[JSON, JSON]:
    made = stored(manifests.job_definition(name, namespace, **spec), observedGeneration=1, status="ACTIVE", revision=1)
    revision = build_revision(name, made["metadata"]["uid"], namespace, 1, made["spec"])
    return made, {**revision, "metadata": {**revision["metadata"], "uid": f"uid-{namespace}-{name}-1"}}


def sent(job: JSON, node_name: str, started_at: str) -> tuple[JSON, JSON]:
    """The Kubernetes Job of a BatchJob, and its running pod."""
    name, uid, namespace = (job["metadata"][key] for key in ("name", "uid", "namespace"))
    pod = {"containers": [{"name": "main", "resources": {"requests": {"cpu": "1", "memory": "128Mi"}}}]}
    owner = {"apiVersion": "batchwright.io/v1alpha1", "kind": "BatchJob", "name": name, "uid": uid, "controller": True}
    work = stored(
        {"metadata": {"name": name, "namespace": namespace, "uid": f"work-{name}", "ownerReferences": [owner]}}
    )
    work["metadata"] |= {"labels": {LABEL_JOB_ID: uid}, "annotations": {"batchwright.io/compute-environment": "nodes"}}
    work["spec"] = {"template": {"spec": pod}, "parallelism": 1}
    by = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": f"work-{name}", "controller": True}
    made = stored({"metadata": {"name": f"{name}-0", "namespace": namespace, "ownerReferences": [by]}})
    made["metadata"] |= {
        "labels": {LABEL_JOB_ID: uid},
        "annotations": {"batch.kubernetes.io/job-completion-index": "0"},
    }
    made["spec"] = pod | {"nodeName": node_name}
    running = [{"name": "main", "state": {"running": {"startedAt": started_at}}}]
    made["status"] = {"phase": "Running", "startTime": started_at, "containerStatuses": running}
    return work, made


def cluster(
    *jobs: JSON, pods: Sequence[JSON] = (), others: Sequence[JSON] = (), **kinds: Sequence[JSON] | int
) -> FakeApi:
    """An API server with a node of 2 vCPU, a queue, and the definition `hello` (1 vCPU) in two namespaces."""
    fake = FakeApi()
    definitions = [definition(), definition("other")]
    made: Mapping[str, Sequence[JSON] | int] = {
        **{plural: [stored(item) for item in items] for plural, items in WRITTEN.items()},
        "jobdefinitions": [each for each, _ in definitions],
        "controllerrevisions": [each for _, each in definitions],
        "nodes": [node()],
        "batchjobs": jobs,
        **kinds,
    }
    for plural, items in made.items():
        fake.lists[plural] = deque([items])
    fake.lists["pods"] = deque([pods, others])
    return fake


async def planned(fake: FakeApi, *, everywhere: bool = False, output: Output = Output.json) -> None:
    async with serve(fake) as session:
        await show_plan(session, await rehearse(session), output, all_namespaces=everywhere)
    assert fake.writes == []


async def lined(fake: FakeApi, queue: str = "normal", limit: int = 10, output: Output = Output.json) -> None:
    async with serve(fake) as session:
        show_queue(await rehearse(session), queue, limit, output)
    assert fake.writes == []


async def test_a_plan_starts_what_fits_and_says_what_waits_first(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [submitted("a", 1), submitted("b", 2), submitted("c", 3), submitted("x", 4, "other")]
    await planned(cluster(*jobs), everywhere=True)
    record = json.loads(capsys.readouterr().out)
    assert record["starts"] == [
        {"namespace": "lab", "job": name, "jobId": f"uid-{name}", "queue": "normal"}
        | {"computeEnvironment": "nodes", "count": 1}
        for name in ("a", "b")
    ]
    assert record["preemptions"] == []
    (first,) = record["waiting"]
    assert (first["queue"], first["job"], first["kind"]) == ("normal", "c", "NO_ROOM")
    assert "0 vCPU, 7936 MiB free: short by 1 vCPU" in first["reason"]


async def test_a_plan_is_shown_of_one_namespace(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [submitted("a", 1), submitted("x", 2, "other"), submitted("c", 3)]
    await planned(cluster(*jobs), output=Output.table)
    shown = capsys.readouterr()
    assert shown.out.splitlines()[:3] == ["Starts:", "JOB   ENVIRONMENT   COUNT", "a     nodes         1"]
    assert "normal   c     NO_ROOM   Next in JobQueue normal, waiting for room" in shown.out
    assert shown.err == "1 more start in other namespaces (-A)\n"


async def test_a_plan_of_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    await planned(cluster(), output=Output.table)
    assert capsys.readouterr().out == "nothing to start\n"


async def test_pods_of_others_take_room(capsys: pytest.CaptureFixture[str]) -> None:
    other = stored({"metadata": {"name": "dns", "namespace": "kube-system"}})
    other["spec"] = {"nodeName": "n1", "containers": [{"name": "a", "resources": {"requests": {"cpu": "1500m"}}}]}
    await planned(cluster(submitted("a"), others=[other]))
    record = json.loads(capsys.readouterr().out)
    assert record["starts"] == []
    assert "0.5 vCPU" in record["waiting"][0]["reason"]


async def test_elements_from_a_config_map_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    items = {"configMap": {"name": "rows", "key": "items"}}
    fake = cluster(submitted("sim", arrayProperties={"items": items}))
    fake.objects["configmaps/rows"] = deque([{"metadata": {"name": "rows"}, "data": {"items": "[a, b, c, d, e]"}}])
    await planned(fake)
    record = json.loads(capsys.readouterr().out)
    assert [start["count"] for start in record["starts"]] == [2]
    assert record["waiting"][0]["reason"].startswith(
        "2 to start in the next pass, in ComputeEnvironment nodes; the rest"
    )


async def test_a_higher_queue_preempts(capsys: pytest.CaptureFixture[str]) -> None:
    low = submitted("low")
    low["status"] = {"state": "RUNNING", "jobDefinition": "hello:1", "computeEnvironment": "nodes"}
    work, pod = sent(low, "n1", "2026-01-01T12:00:05Z")
    first = submitted(
        "first", 9, jobQueue="first", containerOverrides={"resourceRequirements": [{"type": "VCPU", "value": "2"}]}
    )
    queues = [
        stored(manifests.job_queue()),
        stored(manifests.job_queue("first", priority=9, preemption={"lowerPriorityQueues": "ENABLED"})),
    ]
    await planned(cluster(low, first, pods=[pod], jobs=[work], jobqueues=queues))
    (preemption,) = json.loads(capsys.readouterr().out)["preemptions"]
    assert (preemption["job"], preemption["count"], preemption["for"]["job"]) == ("low", 1, "first")
    assert "first" in preemption["why"]


async def test_top_has_the_line_with_a_forecast(capsys: pytest.CaptureFixture[str]) -> None:
    began = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    low = submitted("low", timeout={"attemptDurationSeconds": 600})
    low["status"] = {"state": "RUNNING", "jobDefinition": "hello:1", "computeEnvironment": "nodes"}
    work, pod = sent(low, "n1", began)
    waiting = [submitted("big", 5, containerOverrides=TWO_VCPU), submitted("bigger", 6, containerOverrides=TWO_VCPU)]
    await lined(cluster(low, *waiting, pods=[pod], jobs=[work]))
    told = json.loads(capsys.readouterr().out)
    assert (told["queue"], told["length"]) == ("normal", 2)
    assert [(each["position"], each["job"], each["kind"], each["aheadInShare"]) for each in told["waiting"]] == [
        (1, "big", "NO_ROOM", 0),
        (2, "bigger", "BEHIND", 1),
    ]
    assert [each["asks"] for each in told["waiting"]] == ["2 vCPU, 128 MiB"] * 2
    forecast = datetime.fromisoformat(told["waiting"][0]["forecast"])
    assert 540 < (forecast - datetime.now(UTC)).total_seconds() < 700
    assert told["waiting"][1]["forecast"] is None


async def test_top_orders_by_share_and_is_limited(capsys: pytest.CaptureFixture[str]) -> None:
    policy = stored(manifests.scheduling_policy())
    queue = stored(manifests.job_queue(schedulingPolicy="fair"))
    jobs = [submitted(f"{share}{n}", n, shareIdentifier=share) for share in "xy" for n in range(3)]
    await lined(cluster(*jobs, schedulingpolicies=[policy], jobqueues=[queue], nodes=[]), limit=3, output=Output.table)
    shown = capsys.readouterr()
    assert [line.split()[:3] for line in shown.out.splitlines()] == [
        ["POSITION", "JOB", "SHARE"],
        ["1", "lab/x0", "x"],
        ["2", "lab/y0", "y"],
        ["3", "lab/x1", "x"],
    ]
    assert "No environment of JobQueue normal has a ready node" in shown.out
    assert shown.err == "3 more wait (--limit)\n"


async def test_top_of_what_is_empty_and_of_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    await lined(cluster(), output=Output.table)
    assert capsys.readouterr().err == "nothing waits in job queue normal\n"
    with pytest.raises(NotFound, match='job queue "none" not found'):
        await lined(cluster(), "none")


async def test_an_object_that_cannot_be_understood_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    broken = stored(manifests.job_queue("broken", priority="high"))
    await planned(cluster(jobqueues=[stored(manifests.job_queue()), broken]), output=Output.table)
    assert "not understood, and left out: JobQueue broken: " in capsys.readouterr().err


async def test_what_may_not_be_read_makes_no_plan() -> None:
    with pytest.raises(Forbidden):
        await planned(cluster(nodes=403))


async def test_describe_has_the_place_or_says_why_not() -> None:
    jobs = [submitted("a", 1), submitted("b", 2), submitted("c", 3)]
    waits = {**jobs[2], "status": {"state": "RUNNABLE"}}
    async with serve(cluster(*jobs)) as session:
        facts = await Standings(session).add(Facts(waits))
    assert [line.split(maxsplit=1) for line in facts.standing] == [["Position:", "3 of 3"], ["Ahead:", "2"]]
    assert facts.position is not None
    assert (facts.position.place, facts.position.length) == (3, 3)
    async with serve(cluster(*jobs, nodes=403)) as session:
        facts = await Standings(session).add(Facts(waits))
    assert facts.standing == ()
    assert [text.partition(":")[0] for text in facts.unreadable] == ["the place in the queue"]
    running = {**jobs[2], "status": {"state": "RUNNING"}}
    fake = FakeApi()
    async with serve(fake) as session:
        assert await Standings(session).add(Facts(running)) == Facts(running)
    assert fake.queries == []


async def test_describe_has_the_place_of_an_array_of_which_some_waits() -> None:
    sim = submitted("sim", 2, arrayProperties={"size": 5})
    summary = {
        "RUNNABLE": 5,
        **dict.fromkeys(("SUBMITTED", "PENDING", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"), 0),
    }
    shown = {**sim, "status": {"state": "PENDING", "arrayProperties": {"size": 5, "statusSummary": summary}}}
    async with serve(cluster(submitted("a", 1), sim)) as session:
        facts = await Standings(session).add(Facts(shown))
    assert [line.split(maxsplit=1) for line in facts.standing] == [["Position:", "2 of 2"], ["Ahead:", "1"]]
