"""Labels, taints and room, as kube-scheduler's filters judge them."""

from __future__ import annotations

from dataclasses import replace

import pytest

import builders as b
from batchwright.domain.observations import Taint
from batchwright.scheduling.fit import admits, belongs, has_labels, matches, missing, tolerates
from batchwright.scheduling.snapshot import Expression, Term, Toleration

EVERYTHING = Toleration(operator="Exists")


@pytest.mark.parametrize(
    ("toleration", "taint", "want"),
    [
        pytest.param(b.toleration(), b.taint(), True, id="key and value"),
        pytest.param(b.toleration(value="web"), b.taint(), False, id="another value"),
        pytest.param(b.toleration(key="gpu"), b.taint(), False, id="another key"),
        pytest.param(b.toleration(effect="NoSchedule"), b.taint(), True, id="same effect"),
        pytest.param(b.toleration(effect="NoExecute"), b.taint(), False, id="another effect"),
        pytest.param(b.toleration(operator="Exists", value=""), b.taint(), True, id="exists"),
        pytest.param(EVERYTHING, b.taint(), True, id="tolerates everything"),
        pytest.param(replace(EVERYTHING, effect="NoExecute"), b.taint(), False, id="everything of another effect"),
        pytest.param(Toleration(key="dedicated"), b.taint(value=""), True, id="empty value equals empty value"),
        pytest.param(Toleration(), b.taint(value=""), False, id="no key with Equal tolerates nothing"),
    ],
)
def test_tolerates(toleration: Toleration, taint: Taint, want: bool) -> None:
    assert tolerates((toleration,), taint) is want


def test_every_taint_must_be_tolerated() -> None:
    node = b.node(taints=(b.taint(), b.taint(key="gpu", value="")))
    assert not admits(node, (b.toleration(),))
    assert admits(node, (b.toleration(), b.toleration(key="gpu", operator="Exists")))


def test_prefer_no_schedule_keeps_nobody_out() -> None:
    assert admits(b.node(taints=(b.taint(effect="PreferNoSchedule"),)), ())


@pytest.mark.parametrize(
    ("labels", "wanted", "want"),
    [
        pytest.param({}, (), True, id="nothing wanted"),
        pytest.param({"a": "1", "b": "2"}, (("a", "1"),), True, id="has it"),
        pytest.param({"a": "2"}, (("a", "1"),), False, id="another value"),
        pytest.param({}, (("a", ""),), False, id="an empty value is not an absent label"),
        pytest.param({"a": "1"}, (("a", "1"), ("b", "2")), False, id="one of two"),
    ],
)
def test_has_labels(labels: dict[str, str], wanted: tuple[tuple[str, str], ...], want: bool) -> None:
    assert has_labels(b.node(labels=labels), wanted) is want


def test_belongs_takes_labels_and_taints() -> None:
    environment = b.environment(node_selector=(("disk", "ssd"),), tolerations=(b.toleration(),))
    assert belongs(b.node(labels={"disk": "ssd"}, taints=(b.taint(),)), environment)
    assert not belongs(b.node(labels={"disk": "ssd"}, taints=(b.taint(key="x"),)), environment)
    assert not belongs(b.node(taints=(b.taint(),)), environment)


@pytest.mark.parametrize(
    ("request_", "free", "want"),
    [
        pytest.param({"cpu": 100}, {"cpu": 100}, {}, id="exactly"),
        pytest.param({"cpu": 101}, {"cpu": 100}, {"cpu": 1}, id="one short"),
        pytest.param({"gpu": 2}, {"cpu": 100}, {"gpu": 2}, id="a resource the node does not have"),
        pytest.param({"cpu": 10}, {"cpu": -5}, {"cpu": 15}, id="overcommitted"),
        pytest.param({"cpu": 0}, {"cpu": -5}, {}, id="zero of what is overcommitted"),
        pytest.param({"cpu": 0, "memory": 7}, {"memory": 5}, {"memory": 2}, id="only what lacks"),
    ],
)
def test_missing(request_: dict[str, int], free: dict[str, int], want: dict[str, int]) -> None:
    assert missing(request_.items(), free) == want


ZONE_A = b.node("n1", labels={"zone": "a", "cores": "8"})


@pytest.mark.parametrize(
    ("affinity", "want"),
    [
        pytest.param((), True, id="none"),
        pytest.param(((Expression("zone", "In", ("a", "b")),),), True, id="In"),
        pytest.param(((Expression("zone", "In", ("b",)),),), False, id="not In"),
        pytest.param(((Expression("disk", "In", ("ssd",)),),), False, id="In of a label that is absent"),
        pytest.param(((Expression("zone", "NotIn", ("a",)),),), False, id="NotIn"),
        pytest.param(((Expression("disk", "NotIn", ("ssd",)),),), True, id="NotIn of a label that is absent"),
        pytest.param(((Expression("zone", "Exists"),),), True, id="Exists"),
        pytest.param(((Expression("disk", "Exists"),),), False, id="Exists not"),
        pytest.param(((Expression("disk", "DoesNotExist"),),), True, id="DoesNotExist"),
        pytest.param(((Expression("zone", "DoesNotExist"),),), False, id="it does exist"),
        pytest.param(((Expression("cores", "Gt", ("7",)),),), True, id="Gt"),
        pytest.param(((Expression("cores", "Gt", ("8",)),),), False, id="Gt is not at least"),
        pytest.param(((Expression("cores", "Lt", ("10",)),),), True, id="Lt compares numbers, not text"),
        pytest.param(((Expression("cores", "Lt", ("8",)),),), False, id="Lt is not at most"),
        pytest.param(((Expression("zone", "Gt", ("1",)),),), False, id="Gt of what is no number"),
        pytest.param(((Expression("disk", "Lt", ("1",)),),), False, id="Lt of a label that is absent"),
        pytest.param(((Expression("zone", "Near", ("a",)),),), False, id="an operator that is none"),
        pytest.param(
            ((Expression("zone", "In", ("a",)), Expression("disk", "Exists")),), False, id="of a term all must hold"
        ),
        pytest.param(
            ((Expression("disk", "Exists"),), (Expression("zone", "In", ("a",)),)), True, id="of several terms one"
        ),
        pytest.param(((),), False, id="a term without requirements matches nothing"),
        pytest.param(((Expression("metadata.name", "In", ("n1",), is_field=True),),), True, id="matchFields"),
        pytest.param(((Expression("metadata.name", "In", ("n2",), is_field=True),),), False, id="matchFields, another"),
    ],
)
def test_matches(affinity: tuple[Term, ...], want: bool) -> None:
    assert matches(ZONE_A, affinity) is want
