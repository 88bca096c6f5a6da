"""examples/argocd holds together: what it makes is allowed, found, and in an order that can be gone."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import yaml

from apiserver import RESOURCES
from argosync import HOOK, OPTIONS, WAVE
from batchwright.names import GROUP
from documentation import ROOT

JSON = dict[str, Any]
EXAMPLES = ROOT / "examples/argocd"
APPS = {
    folder.name: [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]
    for folder in sorted((EXAMPLES / "apps").iterdir())
}
EVERYTHING = [manifest for listed in APPS.values() for manifest in listed]


def _read(name: str) -> JSON:
    return dict(yaml.safe_load((EXAMPLES / name).read_text()))


def _names(kind: str, listed: list[JSON]) -> set[str]:
    return {each["metadata"]["name"] for each in listed if each["kind"] == kind}


def _wave(manifest: JSON) -> int:
    return int(manifest["metadata"]["annotations"].get(WAVE, "0"))


def test_the_project_allows_what_the_applications_make() -> None:
    spec = _read("project.yaml")["spec"]
    cluster = {(each["group"], each["kind"]) for each in spec["clusterResourceWhitelist"]}
    namespaced = {(each["group"], each["kind"]) for each in spec["namespaceResourceWhitelist"]}
    for manifest in EVERYTHING:
        _, _, has_namespace = RESOURCES[manifest["kind"]]
        assert (GROUP, manifest["kind"]) in (namespaced if has_namespace else cluster)
    for kind, (path, _, has_namespace) in RESOURCES.items():
        if path.startswith(f"/apis/{GROUP}/"):
            assert (GROUP, kind) in (namespaced if has_namespace else cluster)


def test_the_application_set_finds_the_applications_and_keeps_to_its_project() -> None:
    found, project = _read("applicationset.yaml")["spec"], _read("project.yaml")
    [generator] = found["generators"]
    [directory] = generator["git"]["directories"]
    assert all(PurePosixPath(f"apps/{name}").match(directory["path"]) for name in APPS)
    template = found["template"]["spec"]
    assert template["project"] == project["metadata"]["name"]
    assert template["destination"] in project["spec"]["destinations"]
    assert template["source"]["repoURL"] in project["spec"]["sourceRepos"]
    assert generator["git"]["repoURL"] == template["source"]["repoURL"]


def test_the_operator_comes_from_the_chart() -> None:
    source = _read("batchwright.yaml")["spec"]["source"]
    assert (ROOT / source["path"] / "Chart.yaml").is_file()
    schema = yaml.safe_load((ROOT / source["path"] / "values.schema.json").read_text())
    assert source["helm"]["valuesObject"].keys() <= schema["properties"].keys()


def test_waves_go_from_what_is_needed_to_what_needs_it() -> None:
    for listed in APPS.values():
        of_name = {(each["kind"], each["metadata"]["name"]): each for each in listed}
        for manifest in listed:
            for needed in _needs(manifest):
                if needed in of_name and HOOK not in manifest["metadata"]["annotations"]:
                    assert _wave(of_name[needed]) < _wave(manifest)


def test_a_hook_before_the_sync_needs_nothing_of_its_own_application() -> None:
    """It runs before the rest is applied: what it needs has to be there, or to come with another Application."""
    hooks = [
        (name, each) for name, listed in APPS.items() for each in listed if HOOK in each["metadata"]["annotations"]
    ]
    assert {each["metadata"]["annotations"][HOOK] for _, each in hooks} == {"PreSync", "PostSync"}
    for name, hook in hooks:
        if hook["metadata"]["annotations"][HOOK] == "PostSync":
            continue
        elsewhere = [each for other, listed in APPS.items() if other != name for each in listed]
        for kind, needed in _needs(hook):
            assert needed in _names(kind, elsewhere)


def test_every_reference_is_there() -> None:
    for manifest in EVERYTHING:
        for kind, needed in _needs(manifest):
            assert needed in _names(kind, EVERYTHING)


def test_a_job_is_replaced_only_when_it_has_changed() -> None:
    replaced = [each for each in EVERYTHING if "Replace=true" in each["metadata"]["annotations"].get(OPTIONS, "")]
    assert [each["metadata"]["name"] for each in replaced] == ["report"]
    template = _read("applicationset.yaml")["spec"]["template"]["spec"]
    assert "ApplyOutOfSyncOnly=true" in template["syncPolicy"]["syncOptions"]


def test_no_state_is_said() -> None:
    """A state in Git would undo the actions enable and disable."""
    assert [each["metadata"]["name"] for each in EVERYTHING if "state" in each["spec"]] == []


def _needs(manifest: JSON) -> list[tuple[str, str]]:
    spec = manifest["spec"]
    if manifest["kind"] == "BatchJob":
        return [("JobQueue", spec["jobQueue"]), ("JobDefinition", spec["jobDefinition"])]
    if manifest["kind"] == "JobQueue":
        return [("ComputeEnvironment", each["computeEnvironment"]) for each in spec["computeEnvironmentOrder"]]
    return []
