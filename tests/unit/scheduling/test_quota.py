"""Quota shares, by the sections of the AWS Batch User Guide and the API model that say how they work."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from batchwright.scheduling.quota import Held, QuotaBook, QuotaShare, QuotaShortfall, Request, in_share, reclaim

RESERVE = QuotaShare("r", limits=(("cpu", 100),))
LEND = QuotaShare("l", limits=(("cpu", 100),), strategy="LEND")
BORROW = QuotaShare("b", limits=(("cpu", 100),), strategy="LEND_AND_BORROW")
OTHER = replace(BORROW, name="c")
TEN: Request = (("cpu", 10), ("pods", 1))


def book(*shares: QuotaShare, **used: int) -> QuotaBook:
    """A book of these shares, in which each holds so much CPU."""
    made = QuotaBook(shares)
    for name, cpu in used.items():
        made.add(name, (("cpu", cpu),))
    return made


def run(uid: str, share: str, count: int, *, priority: int = 0, started: float = 0, request: Request = TEN) -> Held:
    return Held(uid, share, request, count, priority, started)


@pytest.mark.parametrize(
    ("made", "share", "want"),
    [
        pytest.param(book(RESERVE, LEND), "r", 10, id="Quota shares: RESERVE has its own"),
        pytest.param(book(RESERVE, LEND, r=95), "r", 0, id="QuotaShareCapacityLimit: no part of a pod beyond it"),
        pytest.param(book(RESERVE, BORROW, b=100), "b", 0, id="Quota shares: RESERVE lends nothing"),
        pytest.param(book(LEND, BORROW, l=40), "b", 16, id="Quota shares: LEND lends what is idle"),
        pytest.param(book(LEND, BORROW, b=200), "l", 0, id="Quota shares: what is lent is not there for the lender"),
        pytest.param(book(LEND, BORROW, b=150), "l", 5, id="Quota shares: the rest is"),
        pytest.param(book(LEND, BORROW, l=100), "l", 0, id="Quota shares: LEND does not borrow"),
        pytest.param(book(OTHER, BORROW, b=130), "b", 7, id="borrowLimit: -1 is unlimited"),
        pytest.param(
            book(OTHER, replace(BORROW, borrow_percent=89)), "b", 18, id="borrowLimit: percent of maxCapacity"
        ),
        pytest.param(book(OTHER, replace(BORROW, borrow_percent=0)), "b", 10, id="borrowLimit: 0 borrows nothing"),
        pytest.param(book(OTHER, replace(BORROW, borrow_percent=200)), "b", 20, id="borrowLimit: not beyond the pool"),
        pytest.param(book(replace(LEND, lend_percent=30), BORROW), "b", 13, id="lendLimit: so much of it is lent"),
        pytest.param(
            book(replace(LEND, lend_percent=30), BORROW, b=130), "l", 7, id="lendLimit: the rest stays guaranteed"
        ),
        pytest.param(book(replace(LEND, lend_percent=0), BORROW), "b", 10, id="lendLimit: 0 is RESERVE"),
        pytest.param(book(replace(RESERVE, lend_percent=100), BORROW), "b", 10, id="lendLimit: not read for RESERVE"),
        pytest.param(book(replace(LEND, borrow_percent=100), BORROW), "l", 10, id="borrowLimit: not read for LEND"),
        pytest.param(
            book(replace(BORROW, is_open=False), OTHER), "b", 20, id="QuotaShareState: DISABLED finishes what it has"
        ),
        pytest.param(book(RESERVE, r=150), "r", 0, id="a limit that was lowered lets nothing start"),
        pytest.param(book(LEND, BORROW, OTHER, l=250, b=95), "b", 0, id="a lowered limit takes from the pool"),
        pytest.param(
            book(replace(LEND, lend_percent=30), BORROW, b=250), "l", 7, id="but not from what others are guaranteed"
        ),
    ],
)
def test_room(made: QuotaBook, share: str, want: int) -> None:
    assert made.room(share, TEN, 100) == want
    assert made.room(share, TEN, 1) == min(1, want)
    assert made.room(share, TEN, 0) == 0


def test_a_resource_that_a_share_does_not_list_is_not_limited_for_it_nor_lent_by_it() -> None:
    gpus = QuotaShare("g", limits=(("cpu", 100), ("gpu", 4)), strategy="LEND_AND_BORROW")
    made = book(gpus, OTHER)
    made.add("c", (("gpu", 50), ("memory", 1)))
    assert made.room("c", (("gpu", 3),), 1000) == 1000
    assert made.room("g", (("gpu", 1),), 1000) == 4
    assert made.used("c") == {"cpu": 0}


def test_the_scarcest_resource_decides() -> None:
    share = QuotaShare("a", limits=(("cpu", 100), ("gpu", 3)))
    assert book(share).room("a", (("cpu", 10), ("gpu", 1), ("memory", 9)), 50) == 3
    assert book(share).room("a", (("cpu", 10), ("gpu", 0)), 50) == 10


def test_what_is_given_back_is_there_again() -> None:
    made = book(LEND, BORROW)
    made.add("b", TEN, 20)
    assert (made.room("b", TEN), made.room("l", TEN), made.borrowed("b")) == (0, 0, {"cpu": 100})
    assert made.is_borrowing("b", "cpu")
    made.remove("b", TEN, 10)
    assert (made.room("b", TEN, 99), made.room("l", TEN, 99), made.borrowed("b")) == (10, 10, {})
    assert not made.is_borrowing("b", "cpu")
    assert not made.is_borrowing("b", "gpu")


def test_what_is_not_held_cannot_be_given_back() -> None:
    made = book(LEND, l=15)
    with pytest.raises(ValueError, match="quota share l gives back 5 of cpu more than it holds"):
        made.remove("l", TEN, 2)
    assert made.used("l") == {"cpu": 15}


def test_a_share_the_queue_does_not_have() -> None:
    made = book(LEND)
    assert "l" in made
    assert "x" not in made
    with pytest.raises(KeyError):
        made.room("x", TEN)


def test_overuse_is_relative_to_the_limit() -> None:
    none = replace(BORROW, name="n", limits=(("cpu", 0),))
    made = book(LEND, BORROW, none, b=150, n=10)
    assert (made.overuse("b", "cpu"), made.overuse("n", "cpu"), made.overuse("l", "cpu")) == (0.5, inf, 0)


@pytest.mark.parametrize(
    ("made", "share", "request_", "count", "want"),
    [
        pytest.param(book(LEND), "l", TEN, 10, None, id="it fits"),
        pytest.param(
            book(RESERVE, r=95), "r", TEN, 1, QuotaShortfall("r", "cpu", 100, 95, 0, 0, 10, 5), id="its own limit"
        ),
        pytest.param(
            book(LEND, BORROW, l=70, b=125),
            "b",
            TEN,
            1,
            QuotaShortfall("b", "cpu", 100, 125, 30, 0, 10, 5),
            id="the pool is used up",
        ),
        pytest.param(
            book(LEND, BORROW, b=195),
            "l",
            TEN,
            1,
            QuotaShortfall("l", "cpu", 100, 0, 0, 95, 10, 5),
            id="its own is lent",
        ),
        pytest.param(
            book(RESERVE, r=130), "r", TEN, 1, QuotaShortfall("r", "cpu", 100, 130, 0, 0, 10, 40), id="a lowered limit"
        ),
        pytest.param(
            book(replace(RESERVE, limits=(("cpu", 40), ("gpu", 1)))),
            "r",
            (("cpu", 10), ("gpu", 1)),
            8,
            QuotaShortfall("r", "gpu", 1, 0, 0, 0, 8, 7),
            id="a gang: the resource that lacks most of what is asked",
        ),
    ],
)
def test_why(made: QuotaBook, share: str, request_: Request, count: int, want: QuotaShortfall | None) -> None:
    found = made.why(share, request_, count)
    assert found == want
    if found:
        assert found.short == found.asked - (found.limit + found.borrowable - found.lent - found.used)


@pytest.mark.parametrize(
    ("made", "count", "held", "want"),
    [
        pytest.param(book(LEND, BORROW, b=150), 5, (run("j", "b", 15),), (), id="it fits without"),
        pytest.param(
            book(LEND, BORROW, b=150), 7, (run("j", "b", 15),), (("j", 2),), id="Preemption: part of an array"
        ),
        pytest.param(book(LEND, BORROW, b=200), 11, (run("j", "b", 20),), (), id="not beyond its own maxCapacity"),
        pytest.param(book(LEND, BORROW, l=1, b=199), 10, (run("j", "b", 19),), (), id="not in part beyond it"),
        pytest.param(book(LEND, BORROW, b=200), 10, (run("j", "b", 20),), (("j", 10),), id="all that is lent"),
        pytest.param(book(LEND, BORROW, b=200), 10, (run("j", "b", 9),), (), id="all or nothing"),
        pytest.param(book(LEND, BORROW, b=200), 3, (run("j", "x", 9), run("k", "b", 0)), (), id="nobody to take from"),
        pytest.param(
            book(LEND, BORROW, OTHER, b=180, c=120),
            2,
            (run("j", "b", 18), run("k", "c", 12)),
            (("j", 2),),
            id="from the share that is most over",
        ),
        pytest.param(
            book(LEND, replace(BORROW, limits=(("cpu", 20),)), OTHER, b=60, c=160),
            3,
            (run("j", "b", 6), run("k", "c", 16)),
            (("j", 3),),
            id="over relative to its limit",
        ),
        pytest.param(
            book(LEND, BORROW, OTHER, b=150, c=150),
            6,
            (run("j", "b", 15), run("k", "c", 15)),
            (("j", 3), ("k", 3)),
            id="in turns from equals",
        ),
        pytest.param(
            book(LEND, BORROW, OTHER, b=190, c=110),
            10,
            (run("j", "b", 19), run("k", "c", 11)),
            (("j", 9), ("k", 1)),
            id="from a share that borrows no more nothing is taken",
        ),
        pytest.param(
            book(LEND, BORROW, b=200),
            3,
            (run("high", "b", 10, priority=5), run("low", "b", 2), run("mid", "b", 8, priority=1)),
            (("low", 2), ("mid", 1)),
            id="the lowest priority first",
        ),
        pytest.param(
            book(LEND, BORROW, b=200),
            3,
            (run("old", "b", 10, started=1), run("new", "b", 2, started=9), run("mid", "b", 8, started=5)),
            (("new", 2), ("mid", 1)),
            id="Preemption, selection: the least work lost",
        ),
        pytest.param(
            book(LEND, BORROW, b=200),
            3,
            (run("z", "b", 10), run("a", "b", 10)),
            (("a", 3),),
            id="the last tie: the uid",
        ),
        pytest.param(
            book(LEND, BORROW, b=200),
            3,
            (run("big", "b", 1, request=(("cpu", 100),)), run("j", "b", 10, priority=1)),
            (("big", 1),),
            id="a big run reaches below the limit of its share with its last pod",
        ),
        pytest.param(
            book(LEND, BORROW, b=200),
            5,
            (
                run("small", "b", 4),
                run("big", "b", 1, priority=1, request=(("cpu", 50),)),
                run("j", "b", 11, priority=2),
            ),
            (("big", 1),),
            id="what a later victim makes needless is given back",
        ),
        pytest.param(
            book(LEND, BORROW, b=200),
            3,
            (run("idle", "b", 9, request=(("memory", 7),)), run("j", "b", 20, priority=1)),
            (("j", 3),),
            id="who holds nothing of what is short is left alone",
        ),
        pytest.param(
            book(LEND, replace(RESERVE, name="b"), b=150), 3, (run("j", "b", 15),), (), id="reserved: nothing is lent"
        ),
        pytest.param(
            book(LEND, BORROW, replace(RESERVE, limits=(("cpu", 10),)), r=110, b=100),
            4,
            (run("j", "r", 11), run("k", "b", 10)),
            (("j", 4),),
            id="Preemption: a share whose limit was lowered is over it, whatever its strategy",
        ),
    ],
)
def test_reclaim(made: QuotaBook, count: int, held: tuple[Held, ...], want: tuple[tuple[str, int], ...]) -> None:
    before = {name: made.used(name) for name in ("l", "b") if name in made}
    assert reclaim(made, "l", TEN, count, held) == want
    assert reclaim(made, "l", TEN, count, held[::-1]) == want
    assert {name: made.used(name) for name in before} == before


def test_nobody_is_preempted_so_that_somebody_else_may_borrow() -> None:
    made, held = book(LEND, BORROW, OTHER, c=300), (run("j", "c", 30),)
    assert reclaim(made, "b", TEN, 10, held) == (("j", 10),)
    assert reclaim(made, "b", TEN, 11, held) == ()


def test_reclaim_of_one_resource_spares_who_borrows_another() -> None:
    lender = QuotaShare("a", limits=(("cpu", 100), ("gpu", 8)), strategy="LEND")
    borrowers = [
        replace(lender, name=name, strategy="LEND_AND_BORROW", limits=(("cpu", 100), ("gpu", 2))) for name in "bc"
    ]
    made = QuotaBook([lender, *borrowers])
    held = (
        run("cpus", "b", 20),
        run("gpus", "c", 10, priority=9, request=(("cpu", 1), ("gpu", 1))),
        run("no-gpus", "c", 2, request=TEN),
    )
    for one in held:
        made.add(one.share, one.request, one.count)
    assert reclaim(made, "a", (("gpu", 1),), 4, held) == (("gpus", 2),)
    assert reclaim(made, "a", (("cpu", 10), ("gpu", 1)), 8, held) == (("gpus", 6), ("cpus", 1))


@pytest.mark.parametrize(
    ("preempts", "priority", "count", "want"),
    [
        pytest.param(False, 9, 1, (), id="inSharePreemption: DISABLED"),
        pytest.param(True, 0, 1, (), id="not its equals"),
        pytest.param(True, 1, 2, (("low-new", 2),), id="Preemption, in-share: lower priority, the latest start first"),
        pytest.param(True, 1, 5, (("low-new", 3), ("low-old", 2)), id="as many as it takes"),
        pytest.param(True, 1, 7, (), id="all or nothing"),
        pytest.param(True, 2, 7, (("low-new", 3), ("low-old", 3), ("mid", 1)), id="the lowest priority first"),
        pytest.param(True, 9, 11, (), id="not beyond the limit, whoever goes"),
    ],
)
def test_in_share(preempts: bool, priority: int, count: int, want: tuple[tuple[str, int], ...]) -> None:
    made = book(replace(RESERVE, preempts_in_share=preempts), BORROW, r=100, b=50)
    held = (
        run("mid", "r", 2, priority=1),
        run("low-old", "r", 3, started=1),
        run("high", "r", 2, priority=8),
        run("low-new", "r", 3, started=2),
        run("other", "b", 5),
    )
    assert in_share(made, "r", TEN, count, priority, held) == want
    assert in_share(made, "r", TEN, count, priority, held[::-1]) == want
    assert made.used("r") == {"cpu": 100}


def test_in_share_takes_only_what_does_not_fit() -> None:
    made = book(replace(RESERVE, preempts_in_share=True), r=70)
    held = (run("j", "r", 7),)
    assert in_share(made, "r", TEN, 3, 1, held) == ()
    assert in_share(made, "r", TEN, 4, 1, held) == (("j", 1),)
