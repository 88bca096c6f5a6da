"""What Argo CD would say of our objects: the cases of its own layout, and whatever the operator can write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

import builders as b
from argolua import CUSTOMIZATIONS, HealthCase, action_cases, discovery_cases, health_cases, health_of, kinds
from batchwright.api.crds import KINDS
from batchwright.api.v1alpha1.common import Model
from batchwright.domain.lifecycle import decide
from batchwright.names import API_VERSION, GROUP
from unit.domain.lifecycle_cases import BEFORE_START, UNDER_WAY, Case
from unit.domain.lifecycle_endings import ENDED

JSON = dict[str, Any]
MODELS: Final = {kind.model.__name__: kind.model for kind in KINDS}
CASES: Final = health_cases()
INPUTS: Final = {
    **{name: case.resource for name, case in CASES.items()},
    **{f"discovery {name}": case.resource for name, case in discovery_cases().items()},
    **{f"action {name}": case.resource for name, case in action_cases().items()},
    **{f"made by {name}": made for name, case in action_cases().items() for _, made in case.want},
}
OF_STATE: Final = {"SUCCEEDED": "Healthy", "FAILED": "Degraded"}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_health(case: HealthCase) -> None:
    assert health_of(case.resource) == case.want


@pytest.mark.parametrize("resource", [pytest.param(found, id=name) for name, found in INPUTS.items()])
def test_testdata_is_what_the_api_server_has(resource: JSON) -> None:
    """Whatever a file has, the model of its kind has too, and would write in the same way."""
    assert resource["apiVersion"] == API_VERSION
    read = MODELS[resource["kind"]].model_validate(resource)
    assert isinstance(read, Model)
    wire = read.to_wire()
    for part in ("spec", "status"):
        assert _missing(resource.get(part), wire.get(part)) == []


def _missing(said: Any, known: Any, path: str = "") -> list[str]:
    """Where `said` has something that `known` has not; what it has besides is defaults."""
    if isinstance(said, dict):
        known = known if isinstance(known, dict) else {}
        return [each for key, value in said.items() for each in _missing(value, known.get(key), f"{path}.{key}")]
    if isinstance(said, list) and isinstance(known, list) and len(said) == len(known):
        pairs = enumerate(zip(said, known, strict=True))
        return [each for number, (one, other) in pairs for each in _missing(one, other, f"{path}[{number}]")]
    return [] if said == known else [f"{path}: {said!r}, and the model has {known!r}"]


def test_every_kind_has_a_health_and_every_health_is_shown() -> None:
    assert set(kinds()) == {f"{GROUP}/{kind}" for kind in MODELS}
    for kind in MODELS:
        shown = {case.want["status"] for case in CASES.values() if case.resource["kind"] == kind}
        assert {"Healthy", "Progressing"} <= shown
        assert "Suspended" in shown or "state" not in MODELS[kind].model_fields["spec"].annotation.model_fields
        assert kind == "ConsumableResource" or "Degraded" in shown


def test_every_file_of_testdata_is_used() -> None:
    """A case that nobody names would never run."""
    files = {path.relative_to(CUSTOMIZATIONS).as_posix() for path in CUSTOMIZATIONS.rglob("testdata/*.yaml")}
    named: set[str] = set(CASES)
    for test in CUSTOMIZATIONS.rglob("action_test.yaml"):
        words = test.read_text().split()
        where = test.parent.relative_to(CUSTOMIZATIONS).as_posix()
        named |= {f"{where}/{word}" for word in words if word.startswith("testdata/")}
    assert files == named


@pytest.mark.parametrize("case", BEFORE_START + UNDER_WAY + ENDED)
def test_a_job_is_progressing_until_it_has_ended(case: Case) -> None:
    """Whatever is decided about a job, a wave waits while it may still succeed, and no longer."""
    status = decide(case.view, case.now).status
    found = health_of(_job(case, status.to_wire()))
    assert found["status"] == OF_STATE.get(str(status.state), "Progressing")
    assert str(status.state) in found["message"]


@pytest.mark.parametrize("case", BEFORE_START + UNDER_WAY + ENDED)
def test_what_is_asked_of_a_job_later_changes_only_what_is_not_final(case: Case) -> None:
    """A final status keeps the generation it was written for; another one is not believed until it is of the latest."""
    status = decide(case.view, case.now).status
    later = replace(case.view, job=replace(case.view.job, generation=case.view.job.generation + 1))
    assert decide(b.with_status(later, status), case.now).status == status or status.state not in OF_STATE
    resource = _job(case, status.to_wire())
    resource["metadata"]["generation"] += 1
    assert health_of(resource)["status"] == OF_STATE.get(str(status.state), "Progressing")


def _job(case: Case, status: JSON) -> JSON:
    job = case.view.job
    return {
        "apiVersion": API_VERSION,
        "kind": "BatchJob",
        "metadata": {"name": job.name, "namespace": job.namespace, "uid": job.uid, "generation": job.generation},
        "spec": job.spec.to_wire(),
        "status": status,
    }
