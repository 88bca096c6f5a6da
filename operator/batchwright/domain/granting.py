"""How many elements of an array may start, and how many pods its Kubernetes Job is to have.

Without gates, the Job's parallelism is what the scheduler has granted: whoever ends is followed by the next element.
With gates, pods are made ahead, and one by one let run; the Job makes its lowest missing elements first, so its
parallelism reaches as far as the highest element granted. It is not lowered below what runs: that would end it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from batchwright.domain.elements import RUNNING, STARTING, Elements

STUCK_SECONDS = 30.0
LEAST_AHEAD = 8
MOST_AHEAD = 256


def wanted(elements: Elements, limit: int | None, *, is_sent: bool) -> int:
    """How many more elements could start now, were there room; `limit` is maxConcurrency."""
    most = elements.total if limit is None else limit
    if is_sent and not elements.gated:
        return max(0, min(elements.unfinished, most) - elements.parallelism)
    return max(0, min(elements.ready, most - elements.active))


def held(elements: Elements) -> int:
    """How many elements hold room that no node's ledger shows yet."""
    if elements.gated:
        return len(elements.granted) + elements.unbound
    return max(0, min(elements.parallelism, elements.unfinished) - elements.bound)


def grant(elements: Elements, number: int) -> None:
    """Lets `number` more elements start, the lowest first."""
    if not elements.gated:
        elements.parallelism = min(elements.total, elements.parallelism + number)
        return
    chosen = elements.grant(number)
    if not chosen:
        return
    ahead = max(LEAST_AHEAD, min(MOST_AHEAD, elements.active))
    needed = min(elements.total, elements.results.rank(chosen[-1]) + 1 + ahead)
    if needed > elements.parallelism:
        # In steps: each costs a write.
        elements.parallelism = min(elements.total, max(needed, elements.parallelism * 5 // 4))


def shrink(elements: Elements, now: datetime) -> None:
    """Gives back the room that is not there after all: pods of an array without gates that found no node for a while.

    The Job controller ends pods without a node before all others (controller.ActivePodsWithRanks), so what runs goes
    on. Their elements wait for room again, with the arithmetic of why.
    """
    if elements.gated:
        return
    stuck = {
        pod.uid
        for pod in elements.live.values()
        if not pod.node and pod.unschedulable and now >= pod.created_at + timedelta(seconds=STUCK_SECONDS)
    }
    # Each once: it takes the Job controller a while to end them.
    fresh = len(stuck - elements.given_back)
    elements.given_back |= stuck
    elements.parallelism -= max(0, min(fresh, elements.parallelism - elements.bound))


def close(elements: Elements) -> None:
    """Nothing starts any more and what runs goes on: the Job must not make a next pod for each that ends. Pods that
    wait with their gate end first, for they have no node; one that the Job makes all the same, before it hears of
    this, is ended by its mark."""
    started = elements.counts[STARTING] + elements.counts[RUNNING] + len(elements.releasing)
    elements.parallelism = min(elements.parallelism, started)


def revoke(elements: Elements) -> None:
    """Nothing was sent after all: the Kubernetes Job could not be made."""
    elements.withdraw()
    elements.parallelism = 0
