"""Quota shares: no use beyond limits and pool, room as large as that allows, reclaim that suffices and spares."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from batchwright.scheduling.quota import Held, QuotaBook, QuotaShare, Request, Victims, in_share, reclaim

RESOURCES = ("cpu", "gpu", "memory")
NAMES = ("a", "b", "c", "d")
Use = dict[str, Counter[str]]
Case = tuple[tuple[QuotaShare, ...], QuotaBook, list[Held]]


@st.composite
def shares(draw: st.DrawFn) -> tuple[QuotaShare, ...]:
    return tuple(
        QuotaShare(
            name,
            limits=tuple((resource, draw(st.integers(0, 12))) for resource in RESOURCES if draw(st.integers(0, 3))),
            strategy=draw(st.sampled_from(["RESERVE", "LEND", "LEND_AND_BORROW", "LEND_AND_BORROW"])),
            borrow_percent=draw(st.sampled_from([-1, -1, 0, 50, 200])),
            lend_percent=draw(st.sampled_from([100, 100, 0, 30, 75])),
            preempts_in_share=draw(st.booleans()),
        )
        for name in NAMES[: draw(st.integers(1, 4))]
    )


REQUESTS = st.lists(st.integers(0, 4), min_size=3, max_size=3).map(
    lambda amounts: tuple(zip(RESOURCES, amounts, strict=True))
)


@st.composite
def runs(draw: st.DrawFn, names: tuple[str, ...], fewest: int = 0, most_pods: int = 6) -> list[Held]:
    """What wants to run, in the order it came."""
    return [
        Held(
            f"j{number}",
            draw(st.sampled_from(names)),
            draw(REQUESTS),
            draw(st.integers(1, most_pods)),
            draw(st.integers(0, 2)),
            float(draw(st.integers(0, 3))),
        )
        for number in range(draw(st.integers(fewest, 8)))
    ]


def started(made: tuple[QuotaShare, ...], wanted: list[Held]) -> Case:
    """Shares, their book, and what runs: as much of each run as there was room for."""
    book, held = QuotaBook(made), []
    for run in wanted:
        count = book.room(run.share, run.request, run.count)
        if count:
            book.add(run.share, run.request, count)
            held.append(replace(run, count=count))
    return made, book, held


@st.composite
def busy(draw: st.DrawFn) -> Case:
    """Shares of any kind, and runs of any."""
    made = draw(shares())
    return started(made, draw(runs(tuple(share.name for share in made))))


@st.composite
def lent(draw: st.DrawFn, requests: st.SearchStrategy[Request] | None = None) -> Case:
    """The first share runs nothing; others, with little of their own, use much of what it lends."""
    lender = QuotaShare(
        "a",
        limits=tuple((resource, draw(st.integers(4, 12))) for resource in RESOURCES),
        strategy=draw(st.sampled_from(["LEND", "LEND_AND_BORROW"])),
        lend_percent=draw(st.sampled_from([100, 100, 75])),
    )
    borrowers = tuple(
        QuotaShare(
            name,
            limits=tuple((resource, draw(st.integers(0, 4))) for resource in RESOURCES if draw(st.integers(0, 4))),
            strategy="LEND_AND_BORROW",
            borrow_percent=draw(st.sampled_from([-1, -1, -1, 300])),
            lend_percent=draw(st.sampled_from([100, 30])),
        )
        for name in NAMES[1 : draw(st.integers(2, 4))]
    )
    wanted = draw(runs(tuple(share.name for share in borrowers), fewest=3, most_pods=12))
    if requests is not None:
        wanted = [replace(run, request=draw(requests)) for run in wanted]
    return started((lender, *borrowers), wanted)


@st.composite
def wanted_back(draw: st.DrawFn, book: QuotaBook) -> tuple[Request, int]:
    """Pods that the first share may have by its own limits, and has no room for."""
    free = book.share("a").limits
    asked = tuple((resource, draw(st.integers(0, min(4, maximum)))) for resource, maximum in free)
    most = min((maximum // dict(asked)[resource] for resource, maximum in free if dict(asked)[resource]), default=0)
    assume(most and book.room("a", asked, most) < most)
    return asked, draw(st.integers(book.room("a", asked, most) + 1, most))


def use_of(held: list[Held]) -> Use:
    use: Use = {name: Counter() for name in NAMES}
    for run in held:
        for resource, amount in run.request:
            use[run.share][resource] += amount * run.count
    return use


def broken(made: tuple[QuotaShare, ...], use: Use) -> list[str]:
    """What is wrong with this use, from the definitions alone."""
    found = []
    for resource in RESOURCES:
        pool = pooled = 0
        for share in made:
            limits = dict(share.limits)
            if resource not in limits:
                continue
            maximum, used = limits[resource], use[share.name][resource]
            lendable = 0 if share.strategy == "RESERVE" else maximum * share.lend_percent // 100
            pool += lendable
            pooled += max(0, used - (maximum - lendable))
            if share.strategy != "LEND_AND_BORROW" and used > maximum:
                found.append(f"{share.name} borrows {resource} and may not")
            if share.borrow_percent >= 0 and used > maximum + maximum * share.borrow_percent // 100:
                found.append(f"{share.name} is beyond its borrowLimit of {resource}")
        if pooled > pool:
            found.append(f"{pooled} of a pool of {pool} {resource}")
    return found


def grown(use: Use, share: str, request: Request, count: int) -> Use:
    more = {name: Counter(held) for name, held in use.items()}
    for resource, amount in request:
        more[share][resource] += amount * count
    return more


@given(busy())
def test_use_stays_within_the_limits_and_the_pool(
    case: Case,
) -> None:
    made, book, held = case
    use = use_of(held)
    assert broken(made, use) == []
    for share in made:
        limits = dict(share.limits)
        assert book.used(share.name) == {resource: use[share.name][resource] for resource in limits}
        over = {resource: use[share.name][resource] - maximum for resource, maximum in limits.items()}
        assert book.borrowed(share.name) == {resource: amount for resource, amount in over.items() if amount > 0}


@given(busy(), st.data())
def test_room_is_the_most_that_keeps_the_limits_and_the_pool(case: Case, data: st.DataObject) -> None:
    made, book, held = case
    use = use_of(held)
    share = data.draw(st.sampled_from(made)).name
    request, count = data.draw(REQUESTS), data.draw(st.integers(0, 15))
    most = max(n for n in range(count + 1) if not broken(made, grown(use, share, request, n)))
    assert book.room(share, request, count) == most
    assert bool(book.shortage(share, request, count)) is (most < count)
    why = book.why(share, request, count)
    assert (why is not None) is (most < count)
    if why:
        assert why.short == why.asked - (why.limit + why.borrowable - why.lent - why.used) > 0


@given(busy(), st.data())
def test_the_order_of_what_happened_leaves_no_trace(case: Case, data: st.DataObject) -> None:
    made, book, held = case
    again = QuotaBook(made[::-1])
    for run in data.draw(st.permutations(held)):
        again.add(run.share, run.request, run.count + 2)
    for run in held:
        again.remove(run.share, run.request, 2)
    for share in made:
        assert again.used(share.name) == book.used(share.name)
        for asked in ((("cpu", 1),), (("gpu", 2), ("memory", 1))):
            assert again.room(share.name, asked, 99) == book.room(share.name, asked, 99)


def without(book: QuotaBook, held: list[Held], victims: Victims) -> QuotaBook:
    trial = book.copy()
    known = {run.uid: run for run in held}
    for uid, pods in victims:
        assert 0 < pods <= known[uid].count
        trial.remove(known[uid].share, known[uid].request, pods)
    return trial


def check_sparing(
    book: QuotaBook, held: list[Held], victims: Victims, share: str, request: Request, count: int
) -> None:
    """The victims suffice, and without any one of their pods they would not."""
    known = {run.uid: run for run in held}
    assert len({uid for uid, _ in victims}) == len(victims)
    after = without(book, held, victims)
    assert after.room(share, request, count) == count
    for uid, _ in victims:
        spared = after.copy()
        spared.add(known[uid].share, known[uid].request)
        assert spared.room(share, request, count) < count


@given(lent(), st.data())
def test_reclaim_gets_a_share_its_own_and_spares_whom_it_can(case: Case, data: st.DataObject) -> None:
    _, book, held = case
    request, count = data.draw(wanted_back(book))
    victims = reclaim(book, "a", request, count, held)
    assert victims == reclaim(book, "a", request, count, data.draw(st.permutations(held)))
    # Within its own maxCapacity a share always gets what it asks for: somebody must be borrowing it.
    assert victims
    check_sparing(book, held, victims, "a", request, count)
    after = without(book, held, victims)
    known = {run.uid: run for run in held}
    for share in {known[uid].share for uid, _ in victims}:
        assert book.borrowed(share)
        one_more = {uid: after.copy() for uid, _ in victims if known[uid].share == share}
        for uid, trial in one_more.items():
            trial.add(share, known[uid].request)
        assert any(trial.borrowed(share) for trial in one_more.values()), "a share lost more than what it borrowed"


@given(busy(), st.data())
def test_reclaim_takes_nothing_without_need_or_right(case: Case, data: st.DataObject) -> None:
    made, book, held = case
    share = data.draw(st.sampled_from(made)).name
    request, count = data.draw(REQUESTS), data.draw(st.integers(1, 6))
    assume(not book.is_nominal(share, request, count) or book.room(share, request, count) == count)
    assert reclaim(book, share, request, count, held) == ()


@given(lent(st.just((("cpu", 1),))), st.data())
def test_of_pods_that_are_alike_those_due_first_go_and_the_most_over_are_brought_down(
    case: Case, data: st.DataObject
) -> None:
    made, book, held = case
    lendable = dict(made[0].limits)["cpu"]
    count = data.draw(st.integers(1, lendable))
    assume(book.room("a", (("cpu", 1),), count) < count)
    victims = dict(reclaim(book, "a", (("cpu", 1),), count, held))
    for share in made:
        due = sorted((run for run in held if run.share == share.name), key=lambda run: run.turn)
        gone = [victims.get(run.uid, 0) == run.count for run in due]
        later = due[gone.index(False) + 1 :] if False in gone else []
        assert not any(victims.get(run.uid) for run in later), "a run went before one due sooner"
    after = without(book, held, tuple(victims.items()))
    robbed = {run.share for run in held if run.uid in victims}
    for name in robbed:
        one_more = after.copy()
        one_more.add(name, (("cpu", 1),))
        others = [after.overuse(share.name, "cpu") for share in made if share.name != name]
        assert one_more.overuse(name, "cpu") >= max(others), "another share was further over its limit"


@st.composite
def crowded(draw: st.DrawFn) -> Case:
    """A share that preempts within itself, full of its own runs, beside any other."""
    mine = QuotaShare(
        "a",
        limits=tuple((resource, draw(st.integers(2, 12))) for resource in RESOURCES),
        strategy=draw(st.sampled_from(["RESERVE", "LEND", "LEND_AND_BORROW"])),
        preempts_in_share=True,
    )
    others = tuple(share for share in draw(shares()) if share.name != "a")
    made = (mine, *others)
    return started(made, draw(runs(("a", "a", *(share.name for share in made)), fewest=3, most_pods=12)))


@given(crowded(), st.data())
def test_in_share_preemption_takes_lower_priorities_of_the_share_and_as_few_as_it_can(
    case: Case, data: st.DataObject
) -> None:
    made, book, held = case
    request, count, priority = data.draw(REQUESTS), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    assume(book.room("a", request, count) < count)
    victims = in_share(book, "a", request, count, priority, held)
    assert victims == in_share(book, "a", request, count, priority, data.draw(st.permutations(held)))
    lower = tuple((run.uid, run.count) for run in held if run.share == "a" and run.priority < priority)
    assert bool(victims) is (without(book, held, lower).room("a", request, count) == count)
    if victims:
        assert {uid for uid, _ in victims} <= {uid for uid, _ in lower}
        check_sparing(book, held, victims, "a", request, count)
    tame = QuotaBook(replace(share, preempts_in_share=False) for share in made)
    for run in held:
        tame.add(run.share, run.request, run.count)
    assert in_share(tame, "a", request, count, priority, held) == ()


@given(busy(), st.data())
def test_limits_that_are_lowered_take_nothing_from_what_is_guaranteed(case: Case, data: st.DataObject) -> None:
    _, _, held = case
    lowered = data.draw(shares())
    assume({run.share for run in held} <= {share.name for share in lowered})
    book = QuotaBook(lowered)
    for run in held:
        book.add(run.share, run.request, run.count)
    for share in lowered:
        for resource, maximum in share.limits:
            guaranteed = maximum - (0 if share.strategy == "RESERVE" else maximum * share.lend_percent // 100)
            left = max(0, guaranteed - book.used(share.name)[resource])
            assert book.room(share.name, ((resource, 1),), 99) >= left
            # Who is above its limits, or beside somebody who took the whole pool, starts nothing beyond that.
            if book.used(share.name)[resource] >= maximum and share.strategy != "LEND_AND_BORROW":
                assert book.room(share.name, ((resource, 1),), 99) == 0
