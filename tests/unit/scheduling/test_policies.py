"""What the policies of a queue let start, each by the rule of AWS Batch that it is named after."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

import builders as b
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.fairshare import FairShare
from batchwright.scheduling.quota import QuotaShare
from batchwright.scheduling.snapshot import Candidate, Held, Preempt, Snapshot, WaitKind
from batchwright.scheduling.state import State

BEHIND, NO_ROOM, FULL = WaitKind.BEHIND, WaitKind.NO_ROOM, WaitKind.QUEUE_FULL
EQUAL = FairShare()
LICENCE = (("licence", 1),)


@dataclass(frozen=True)
class Case:
    snapshot: Snapshot
    want_starts: dict[str, int]  # uid → how many
    want_waits: dict[str, WaitKind] = field(default_factory=dict)


def fair(policy: FairShare, **arrays: int) -> Snapshot:
    """One node of 4 vCPU, and an array of each share, that of the first share first."""
    waiting = [b.candidate(share, after=n, share=share, count=count) for n, (share, count) in enumerate(arrays.items())]
    return b.snapshot(b.queue(*waiting, fair_share=policy))


def used(share: str, cpu: int) -> Held:
    """What a share holds on a node that is not looked at."""
    return b.running(f"h-{share}", "n9", b.shape(cpu=cpu), share=share)


# AWS Batch User Guide, "Fair-share scheduling policies".
FAIR_SHARE = [
    pytest.param(
        Case(fair(EQUAL, x=9, y=9), {"x": 2, "y": 2}, {"x": NO_ROOM, "y": BEHIND}), id="equal shares alternate"
    ),
    pytest.param(Case(fair(EQUAL, x=9, y=1), {"x": 3, "y": 1}, {"x": NO_ROOM}), id="what one leaves, another takes"),
    pytest.param(
        Case(
            fair(FairShare(weights=(("x", 0.5), ("y", 1.5))), x=9, y=9), {"x": 3, "y": 1}, {"x": NO_ROOM, "y": BEHIND}
        ),
        id="weightFactor: a third of it gets three times as much",
    ),
    pytest.param(
        Case(
            fair(FairShare(weights=(("team*", 3.0),)), teamA=9, y=9),
            {"teamA": 1, "y": 3},
            {"teamA": NO_ROOM, "y": BEHIND},
        ),
        id="weightFactor of a prefix",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(
                    b.candidate("x", share="x", count=4),
                    b.candidate("y", after=1, share="y", count=4),
                    fair_share=EQUAL,
                ),
                held=(used("x", 2000),),
            ),
            {"x": 1, "y": 3},
            {"x": NO_ROOM, "y": BEHIND},
        ),
        id="what a share holds counts",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(
                    b.candidate("old", share="x", count=3),
                    b.candidate("urgent", after=1, share="x", priority=5, count=2),
                    b.candidate("y", after=2, share="y", count=2),
                    fair_share=EQUAL,
                )
            ),
            {"urgent": 2, "y": 2},
            {"old": NO_ROOM},
        ),
        id="schedulingPriority counts within its share alone",
    ),
    # API, FairsharePolicy: of a computeReservation of 50, half is kept beside one active share, a quarter beside two.
    pytest.param(
        Case(fair(FairShare(reservation=50), x=9), {"x": 2}, {"x": WaitKind.RESERVED}),
        id="computeReservation, one share",
    ),
    pytest.param(
        Case(
            fair(FairShare(reservation=50), x=9, y=9),
            {"x": 2, "y": 1},
            {"x": WaitKind.RESERVED, "y": WaitKind.RESERVED},
        ),
        id="computeReservation, two shares",
    ),
]

# AWS Batch User Guide, "Resource-aware scheduling": jobs wait at the head for what is lacking.
CONSUMABLES = [
    pytest.param(
        Case(
            b.snapshot(b.queue(b.candidate("a", count=4, consumables=LICENCE)), consumables={"licence": 3}),
            {"a": 3},
            {"a": WaitKind.CONSUMABLE},
        ),
        id="as many elements as there are licences",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(
                    b.candidate("two", consumables=(("licence", 2),)),
                    b.candidate("one", after=1, consumables=LICENCE),
                    b.candidate("none", after=2),
                ),
                consumables={"licence": 1},
            ),
            {"none": 1},
            {"two": WaitKind.CONSUMABLE, "one": WaitKind.CONSUMABLE},
        ),
        id="nobody behind takes what it waits for; who asks none passes",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("low", consumables=LICENCE), name="low"),
                b.queue(b.candidate("high", after=1, consumables=LICENCE), name="high", priority=1),
                consumables={"licence": 1},
            ),
            {"high": 1},
            {"low": WaitKind.CONSUMABLE},
        ),
        id="queues share them by priority",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("a", consumables=LICENCE)),
                held=(b.running(consumables=LICENCE),),
                consumables={"licence": 1},
            ),
            {},
            {"a": WaitKind.CONSUMABLE},
        ),
        id="what runs holds them",
    ),
    pytest.param(
        Case(b.snapshot(b.queue(b.candidate("a", consumables=LICENCE))), {}, {"a": WaitKind.CONSUMABLE}),
        id="one that does not exist",
    ),
]

LIMITS = [
    pytest.param(
        Case(
            b.snapshot(b.queue(b.candidate("a", count=3), b.candidate("b", after=1), max_running=2)),
            {"a": 2},
            {"a": FULL, "b": FULL},
        ),
        id="maxConcurrency counts jobs and elements",
    ),
    pytest.param(
        Case(b.snapshot(b.queue(b.candidate("a"), max_running=1), held=(b.running(),)), {}, {"a": FULL}),
        id="maxConcurrency counts what runs",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("a"), name="one", max_running=0), b.queue(b.candidate("b", after=1), name="two")
            ),
            {"b": 1},
            {"a": FULL},
        ),
        id="maxConcurrency is of one queue",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(b.candidate("a", count=4)), environments=(b.environment(max_vcpus=3000),)),
            {"a": 3},
            {"a": WaitKind.AT_MAXIMUM},
        ),
        id="maxvCpus",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("a", shape=b.shape(cpu=2000)), b.candidate("b", after=1)),
                environments=(b.environment(max_vcpus=3000),),
                held=(b.running(of=b.shape(cpu=2000)),),
            ),
            {},
            {"a": WaitKind.AT_MAXIMUM, "b": WaitKind.AT_MAXIMUM},
        ),
        id="what is left of maxvCpus is kept for the first that waits",
    ),
    # "Jobs stuck in RUNNABLE": MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE.
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("a", shape=b.shape(cpu=3500)), b.candidate("b", after=1)),
                environments=(b.environment(max_vcpus=3000),),
            ),
            {"b": 1},
            {"a": WaitKind.OVER_MAXIMUM},
        ),
        id="more than maxvCpus ever allows holds nobody up",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("a", count=3), environments=("e1", "e2")),
                environments=(b.environment("e1", max_vcpus=0), b.environment("e2")),
            ),
            {"a": 3},
        ),
        id="an environment at its maximum, then the next",
    ),
]

# AWS Batch User Guide, "Job retries": what comes back goes to the front.
ORDER = [
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("first", priority=9), b.candidate("back", after=5, returning=True)),
                nodes=(b.node(cpu=1000),),
            ),
            {"back": 1},
            {"first": NO_ROOM},
        ),
        id="what was preempted goes first",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("early"), name="one"),
                b.queue(b.candidate("urgent", after=5, priority=9), name="two"),
                nodes=(b.node(cpu=1000),),
            ),
            {"early": 1},
            {"urgent": NO_ROOM},
        ),
        id="schedulingPriority counts for nothing between queues",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("b", share="b"), b.candidate("a", after=1, share="a")), nodes=(b.node(cpu=1000),)
            ),
            {"b": 1},
            {"a": NO_ROOM},
        ),
        id="without a policy a shareIdentifier means nothing",
    ),
]


def quota_share(name: str, cpu: int, strategy: str = "RESERVE", **over: object) -> QuotaShare:
    return QuotaShare(name, limits=(("cpu", cpu),), strategy=strategy, **over)  # type: ignore[arg-type]


LENDING = (quota_share("x", 2000, "LEND_AND_BORROW"), quota_share("y", 2000, "LEND_AND_BORROW"))

# AWS Batch User Guide, "Quota management": quota shares.
QUOTAS = [
    pytest.param(
        Case(
            b.snapshot(
                b.queue(
                    b.candidate("x", share="x", count=4),
                    b.candidate("y", after=1, share="y"),
                    quota_shares=(quota_share("x", 2000), quota_share("y", 2000)),
                )
            ),
            {"x": 2, "y": 1},
            {"x": WaitKind.QUOTA},
        ),
        id="RESERVE: up to its own, and no more",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(b.candidate("x", share="x", count=9), quota_shares=LENDING)),
            {"x": 4},
            {"x": WaitKind.QUOTA},
        ),
        id="LEND_AND_BORROW: what others leave",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(
                    b.candidate("x", share="x", count=9),
                    b.candidate("y", after=1, share="y", count=9),
                    quota_shares=LENDING,
                )
            ),
            {"x": 2, "y": 2},
            {"x": WaitKind.QUOTA, "y": WaitKind.QUOTA},
        ),
        id="who is within its own goes before who would borrow",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("a", share="z"), b.candidate("b", after=1, share="x"), quota_shares=LENDING)
            ),
            {"b": 1},
            {"a": WaitKind.QUOTA},
        ),
        id="a share that the queue does not have",
    ),
]


@pytest.mark.parametrize("case", FAIR_SHARE + CONSUMABLES + LIMITS + ORDER + QUOTAS)
def test_policy(case: Case) -> None:
    decided = plan(case.snapshot)
    assert {start.uid: start.count for start in decided.starts} == case.want_starts
    assert {uid: wait.kind for uid, wait in decided.waits.items()} == case.want_waits


def preempted(snapshot: Snapshot) -> list[tuple[str, int, str]]:
    return [(each.uid, each.count, each.by) for each in plan(snapshot).preempts]


BORROWED = b.running("h", of=b.shape(), count=4, share="x")


@pytest.mark.parametrize(
    ("snapshot", "want"),
    [
        pytest.param(
            b.snapshot(b.queue(b.candidate("y", share="y"), quota_shares=LENDING), held=(BORROWED,)),
            [("h", 1, "y")],
            id="what was lent comes back",
        ),
        pytest.param(
            b.snapshot(
                b.queue(
                    b.candidate("y", share="y"),
                    b.candidate("y2", after=1, share="y", shape=b.shape(cpu=500)),
                    quota_shares=LENDING,
                ),
                held=(BORROWED,),
            ),
            [("h", 1, "y"), ("h", 1, "y2")],
            id="for each what it asks, and no pod twice",
        ),
        pytest.param(
            b.snapshot(b.queue(b.candidate("y", share="y", count=50), quota_shares=LENDING), held=(BORROWED,)),
            [("h", 2, "y")],
            id="for an array at once all that is its own",
        ),
        pytest.param(
            b.snapshot(
                b.queue(b.candidate("y", share="y", count=50), quota_shares=LENDING),
                held=(b.running("h", share="x", count=3, is_fixed=True), b.running("i", share="x")),
            ),
            [("i", 1, "y")],
            id="for an array what can be had, if not all",
        ),
        pytest.param(
            b.snapshot(
                b.queue(b.candidate("y", share="y"), quota_shares=LENDING),
                held=(b.running("h", of=b.shape(), count=2, share="x"), b.running("i", count=2, share="y")),
            ),
            [],
            id="nobody who is within its own",
        ),
        pytest.param(
            b.snapshot(
                b.queue(
                    b.candidate("y", share="y", priority=3),
                    quota_shares=(quota_share("y", 2000, preempts_in_share=True),),
                ),
                held=(b.running("low", share="y"), b.running("equal", share="y", priority=3)),
            ),
            [("low", 1, "y")],
            id="inSharePreemption: of lower priority",
        ),
        pytest.param(
            b.snapshot(
                b.queue(b.candidate("y", share="y"), quota_shares=LENDING),
                held=(b.running("h", of=b.shape(), count=4, share="x", is_fixed=True),),
            ),
            [],
            id="nothing that cannot be preempted",
        ),
    ],
)
def test_reclaim(snapshot: Snapshot, want: list[tuple[str, int, str]]) -> None:
    assert preempted(snapshot) == want


def test_what_others_lend_is_taken_back_after_a_while() -> None:
    """What ends by itself meanwhile is not lost."""
    queue = b.queue(b.candidate("y", share="y"), quota_shares=LENDING, preempts_after=2.0)
    state = State.of(b.snapshot(queue, held=(BORROWED,)))
    for now in (10.0, 11.9):
        made = plan(state, now)
        assert (made.preempts, made.again_at) == ((), 12.0)
    made = plan(state, 12.0)
    assert [(each.uid, each.count) for each in made.preempts] == [("h", 1)]
    assert made.again_at is None
    state.put_waiting("y", "normal", None)
    assert plan(state, 13.0).again_at is None
    state.put_waiting("y", "normal", b.candidate("y", share="y"))
    assert plan(state, 14.0).again_at == 16.0, "its time starts anew"


SMALL, LARGE = b.shape(cpu=500), b.shape(cpu=2000)


@pytest.mark.parametrize(
    ("shares", "waiting", "held", "want"),
    [
        pytest.param(
            (quota_share("x", 2000),),
            (b.candidate("large", share="x", shape=LARGE), b.candidate("small", after=1, share="x", shape=SMALL)),
            (b.running("h", of=SMALL, share="x"),),
            [],
            id="behind a large one of its share nothing small goes on for ever",
        ),
        pytest.param(
            LENDING,
            (
                b.candidate("huge", share="x", shape=b.shape(cpu=3000)),
                b.candidate("a", after=1, share="x", shape=SMALL),
            ),
            (b.running("h", of=SMALL, share="x"), b.running("i", of=b.shape(), count=2, share="y", is_fixed=True)),
            ["a"],
            id="one that asks more than its share has keeps nobody back",
        ),
        pytest.param(
            LENDING,
            (b.candidate("mine", share="x", shape=LARGE), b.candidate("theirs", after=1, share="y", shape=SMALL)),
            (b.running("h", of=b.shape(), count=3, share="y", is_fixed=True),),
            [],
            id="what others give back of its quota is kept for it",
        ),
    ],
)
def test_who_waits_first_in_a_share_has_a_claim(
    shares: tuple[QuotaShare, ...], waiting: tuple[Candidate, ...], held: tuple[Held, ...], want: list[str]
) -> None:
    queue = b.queue(*waiting, quota_shares=shares)
    assert [start.uid for start in plan(b.snapshot(queue, nodes=(b.node("n1", cpu=64000),), held=held)).starts] == want


def test_a_preemption_says_for_whom() -> None:
    held, snapshot = BORROWED, b.snapshot(b.queue(b.candidate("y", share="y"), quota_shares=LENDING), held=(BORROWED,))
    why = "Preempted: quota share y of JobQueue normal takes back what it had lent"
    assert plan(snapshot).preempts == (Preempt(held.uid, 1, "y", why),)


@pytest.mark.parametrize(
    ("snapshot", "want"),
    [
        pytest.param(
            b.snapshot(
                b.queue(b.candidate("a", count=3), max_running=2),
            ),
            "0 of at most 2 run (maxConcurrency)",
            id="maxConcurrency",
        ),
        pytest.param(
            b.snapshot(b.queue(b.candidate("a", consumables=(("licence", 2),))), consumables={"licence": 1}),
            "ConsumableResource licence has 1 of 1 left, 2 asked",
            id="consumable",
        ),
        pytest.param(
            b.snapshot(b.queue(b.candidate("a", consumables=LICENCE))),
            "ConsumableResource licence does not exist",
            id="no such consumable",
        ),
        pytest.param(
            b.snapshot(b.queue(b.candidate("a", share="z"), quota_shares=LENDING)),
            "JobQueue normal has no quota share z; it has x, y",
            id="no such quota share",
        ),
        pytest.param(
            b.snapshot(
                b.queue(b.candidate("a", share="x", shape=b.shape(cpu=3000)), quota_shares=(quota_share("x", 2000),))
            ),
            "quota share x: limit 2 vCPU, asked 3 vCPU, short by 1 vCPU",
            id="quota",
        ),
    ],
)
def test_a_wait_names_the_limit_with_its_numbers(snapshot: Snapshot, want: str) -> None:
    assert plan(snapshot).waits["a"].detail == want
