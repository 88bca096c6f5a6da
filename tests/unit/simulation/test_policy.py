"""Policies of Batchwright's own kinds: weights, and what is refused."""

from __future__ import annotations

import pytest

from batchwright.errors import SimulationError
from batchwright.simulation.policy import parse

HEAD = "apiVersion: batchwright.io/v1alpha1\n"
FAIR = HEAD + "kind: SchedulingPolicy\nmetadata: {name: fair}\nspec: {fairsharePolicy: {shareDistribution: %s}}\n"
ENTRIES = (
    "[{shareIdentifier: user1, weightFactor: 0.5}, {shareIdentifier: team*, weightFactor: 4}, {shareIdentifier: x}]"
)


@pytest.mark.parametrize(
    ("share", "want"),
    [
        pytest.param("user1", 2, id="half the factor, twice the part"),
        pytest.param("teamA", 0.25, id="a prefix"),
        pytest.param("x", 1, id="no factor"),
        pytest.param("tomato", 1, id="a part of a prefix is none"),
        pytest.param("user12", 1, id="not named"),
    ],
)
def test_weights(share: str, want: float) -> None:
    assert parse("p", FAIR % ENTRIES).weight_of(share) == want


QUEUE = (
    HEAD
    + "kind: JobQueue\nmetadata: {name: q}\nspec: {computeEnvironmentOrder: [{order: 1, computeEnvironment: e}], %s}\n"
)


def test_the_policy_of_the_queues_counts() -> None:
    other = (FAIR % "[{shareIdentifier: user1, weightFactor: 8}]").replace("name: fair", "name: other")
    policy = parse("p", "---\n".join([QUEUE % "schedulingPolicy: fair", FAIR % ENTRIES, other]))
    assert policy.weight_of("user1") == 2
    assert policy.queues["q"].scheduling_policy == "fair"
    assert sorted(policy.policies) == ["fair", "other"]


def test_a_policy_that_no_queue_names_does_not_count() -> None:
    assert parse("p", "---\n".join([QUEUE % "priority: 1", FAIR % ENTRIES])).weight_of("user1") == 1


def test_a_policy_may_be_a_list_of_other_kinds() -> None:
    listed = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: batchwright.io/v1alpha1, kind: %s, "
    text = listed % "ComputeEnvironment" + "metadata: {name: e}, spec: {computeResources: {maxvCpus: 8}}}\n"
    assert parse("p", text).environments["e"].compute_resources.max_vcpus == 8


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("", "p: no objects in it; wanted are SchedulingPolicy", id="empty"),
        pytest.param("a: [", "p: not valid YAML", id="no YAML"),
        pytest.param("- 1", "p, document 1: not an object", id="no object"),
        pytest.param(HEAD + "kind: BatchJob", "document 1: .* kind 'BatchJob' is not one of", id="another kind"),
        pytest.param("apiVersion: v2\nkind: JobQueue", "apiVersion 'v2', kind 'JobQueue' is not", id="another version"),
        pytest.param(HEAD + "kind: JobQueue\nmetadata: {}", "JobQueue needs metadata.name and spec", id="no name"),
        pytest.param(
            "---\n".join([FAIR % "[]"] * 2), "document 2: a second SchedulingPolicy with the name fair", id="twice"
        ),
        pytest.param(FAIR % "5", "SchedulingPolicy fair: spec.fairsharePolicy.shareDistribution: ", id="no list"),
        pytest.param(
            FAIR % "[{}]", r"fairsharePolicy.shareDistribution\[0\].shareIdentifier: Field required", id="no identifier"
        ),
        pytest.param(
            FAIR % "[{shareIdentifier: a}, {shareIdentifier: b, weightFactor: 0}]",
            r"document 1: SchedulingPolicy fair: spec.fairsharePolicy.shareDistribution\[1\].weightFactor: .* 0.0001",
            id="factor 0",
        ),
        pytest.param(
            FAIR % "[{shareIdentifier: a, weight: 2}]", r"shareDistribution\[0\].weight: Extra inputs", id="a typo"
        ),
        pytest.param(
            FAIR % "[{shareIdentifier: a*}, {shareIdentifier: ab}]", r"a\* and ab overlap: leave one out", id="overlap"
        ),
        pytest.param(
            QUEUE % "schedulingPolicy: gone",
            "p: no SchedulingPolicy gone, which spec.schedulingPolicy of a JobQueue names",
            id="a policy that is not there",
        ),
        pytest.param(
            FAIR % "[]" + "---\n" + (FAIR % "[]").replace("name: fair", "name: other"),
            r"several SchedulingPolicies are in use \(fair, other\)",
            id="which of two",
        ),
    ],
)
def test_a_bad_policy_is_refused_by_field(text: str, want: str) -> None:
    with pytest.raises(SimulationError, match=want):
        parse("p", text)
