"""Every scenario holds together, and what contenders are given is the same work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from batchwright import names
from batchwright.api.v1alpha1 import BatchJobSpec, JobDefinitionSpec, JobQueueSpec
from batchwright.bench.figures import FIGURES
from batchwright.bench.scenario import BATCHWRIGHT, FLOOR, PLAIN, Scenario, all_scenarios
from batchwright.bench.scenarios import array, gang, pair, shares, single
from batchwright.bench.workload import Workload
from batchwright.cluster.resources import BATCH_JOBS, JOB_DEFINITIONS, JOB_QUEUES

WORKLOADS = [
    pytest.param(single.workload, 7, 7, id="single"),
    pytest.param(array.workload, 7, 7, id="array"),
    pytest.param(pair.workload, 7, 14, id="pair"),
    pytest.param(gang.workload, 7, 7, id="gang"),
    pytest.param(gang.workload, 20, 20, id="gang, large ones"),
    pytest.param(shares.workload, 15_000, 15_000, id="shares"),
    pytest.param(shares.workload, 600, 600, id="shares, fewer"),
]


def test_the_scenarios_of_the_goals_are_there() -> None:
    assert {"single", "array", "pair", "gang", "shares", "backlog", "scheduler"} <= set(all_scenarios())


@pytest.mark.parametrize("scenario", [pytest.param(each, id=name) for name, each in all_scenarios().items()])
def test_a_scenario_holds_together(scenario: Scenario) -> None:
    assert scenario.quick <= min(scenario.sizes)
    assert BATCHWRIGHT in scenario.contenders
    assert scenario.targets
    for target in scenario.targets:
        assert target.figure in FIGURES
        assert (target.at_most is None) is not (target.at_least is None)
        assert not target.to_plain or PLAIN in scenario.contenders
        assert target.size in (None, *scenario.sizes)


@pytest.mark.parametrize(("workload_of", "size", "units"), WORKLOADS)
def test_contenders_do_the_same_work(workload_of: Any, size: int, units: int) -> None:
    plain, ours = workload_of(PLAIN, size), workload_of(BATCHWRIGHT, size)
    assert plain.units == ours.units == units
    for field in ("pods", "nodes", "node_cpu", "faked"):
        assert getattr(plain, field) == getattr(ours, field)
    assert [(each.at, each.body["metadata"]["name"]) for each in plain.submissions] == [
        (each.at, each.body["metadata"]["name"]) for each in ours.submissions
    ]
    templates = {body["metadata"]["name"]: _template(body["spec"]) for body in _declared(ours, JOB_DEFINITIONS)}
    for one, other in zip(plain.submissions, ours.submissions, strict=True):
        assert one.body["spec"]["template"] == templates[other.body["spec"]["jobDefinition"]]


@pytest.mark.parametrize(("scenario", "recorded"), [(single, True), (array, False)], ids=["single", "array"])
def test_the_floor_is_plain_jobs_whose_pods_are_watched(scenario: Any, recorded: bool) -> None:
    floor = scenario.workload(FLOOR, 3)
    assert (floor.recorded, floor.watched) == (recorded, True)
    assert replace(floor, recorded=False, watched=False) == scenario.workload(PLAIN, 3)


@pytest.mark.parametrize(("workload_of", "size", "units"), WORKLOADS)
def test_our_objects_are_valid_and_refer_to_each_other(workload_of: Any, size: int, units: int) -> None:
    workload: Workload = workload_of(BATCHWRIGHT, size)
    assert workload.resource is BATCH_JOBS
    queues = {
        body["metadata"]["name"]: JobQueueSpec.model_validate(body["spec"]) for body in _declared(workload, JOB_QUEUES)
    }
    for body in _declared(workload, JOB_DEFINITIONS):
        JobDefinitionSpec.model_validate(body["spec"])
    for each in workload.submissions:
        spec = BatchJobSpec.model_validate(each.body["spec"])
        assert {share.name for share in queues[spec.job_queue].quota_shares} >= {spec.quota_share_name} - {None}
    names_given = [each.body["metadata"]["name"] for each in workload.submissions]
    assert len(set(names_given)) == len(names_given)


def _template(spec: dict[str, Any]) -> Any:
    """The pods of a definition; of a multi-node one, those of its other nodes."""
    if "podTemplate" in spec:
        return spec["podTemplate"]
    _, others = spec["nodeProperties"]["nodeRangeProperties"]
    return others["podTemplate"]


def _declared(workload: Workload, resource: object) -> list[dict[str, Any]]:
    return [body for kind, body in workload.declarations if kind is resource]


def test_shares_come_as_the_goal_says() -> None:
    workload = shares.workload(PLAIN, 15_000)
    times = [each.at for each in workload.submissions if each.at is not None]
    assert len(times) == 15_000
    assert times == sorted(times)
    large = [each for each in workload.submissions if each.body["metadata"]["name"].startswith("large-0-0-")]
    assert [each.at for each in large] == pytest.approx([1.2 * number for number in range(50)])
    template = large[0].body["spec"]["template"]
    assert template["metadata"]["annotations"][names.SIMULATE_SECONDS] == "1"
    assert template["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "20"
