"""Who used what, and what it cost: told of every pod, read when a status is written anyway.

Each attempt is told to two accounts: its job's (of an array: that of its range of elements), and its share's of its
queue, which goes on when the job is deleted. An operator that starts goes on from what statuses say (domain.metering),
and needs the pods of all that has happened since; nothing is reckoned before nodes are listed (`begin`).

Hazards: a pod is told of again and again (`_closed` has those that are done); its node may be told of later than it,
and what the node costs later still. What is gone before anybody saw its end has ended when that was noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from batchwright import metrics
from batchwright.api.v1alpha1.usage import JobUsage, QueueUsage
from batchwright.domain.indexes import parse_indexes
from batchwright.domain.jobusage import JobMeter, seconds_of, text_of
from batchwright.domain.metering import (
    LAG_SECONDS,
    PER_DOLLAR,
    THOUSAND,
    ZERO,
    Account,
    Amounts,
    Price,
    price_of,
    rate_of,
)
from batchwright.domain.observations import Node, Pod
from batchwright.domain.quantities import Resources
from batchwright.domain.texts import moment
from batchwright.domain.usagetext import amounts_of, usage_fields

if TYPE_CHECKING:
    from batchwright.controllers.entries import Entry
    from batchwright.controllers.store import Store

# As many as a status has room for; as many nodes as are remembered after they are gone.
MOST_SHARES: Final = 500
MOST_NODES: Final = 50_000


@dataclass(slots=True)
class _Charge:
    """An attempt under way, and whom it is put down to."""

    rate: Amounts
    is_priced: bool
    began: int
    accounts: tuple[Account, ...]
    node: str
    request: Resources
    environment: str


class Meters:
    """The accounts of all jobs and shares. `clock` tells the cluster's time."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.clock = clock
        self._early: list[tuple[str, Pod | None]] | None = []
        self._charges: dict[str, _Charge] = {}
        self._closed: set[str] = set()
        self._jobs: dict[str, JobMeter] = {}
        self._shares: dict[str, dict[str, Account]] = {}
        self._counted: dict[tuple[str, str], Amounts] = {}
        self._nodes: dict[str, Node] = {}
        self._on_node: dict[str, set[str]] = {}
        # What an hour of an instance costs of which the node does not say so yet.
        self._prices: dict[str, Price] = {}

    # What is seen.

    def begin(self, store: Store) -> None:
        """Everything is listed: what was told before is taken in, and from now on at once."""
        early, self._early = self._early or [], None
        for uid, record in early:
            self.put(uid, record, store)

    def put(self, uid: str, record: Pod | None, store: Store) -> None:
        """A pod of a job was seen, changed, or is gone."""
        if record is None:
            self._put_gone(uid)
            return
        charge = self._charges.get(uid)
        if charge is None:
            took = record.accepted_at or record.started_at
            if took is None or uid in self._closed or record.gated or not record.node:
                return
            payers = self._payers(record, store)
            if payers is None:
                # Its Kubernetes Job is not known yet: its next change tells of it again.
                return
            accounts, environment = payers
            if self._early is not None:
                if not _is_counted(record, accounts):
                    self._early.append((uid, record))
                return
            charge = self._open(uid, record, seconds_of(took), accounts, environment, store)
            if record.is_finished and record.stopped_at is None:
                # When it ended nobody knows; what is known of it stands in statuses already.
                self._close(uid, charge, charge.began, lost=True)
                return
        if record.is_finished:
            ended = self._now() if record.stopped_at is None else seconds_of(record.stopped_at)
            self._close(uid, charge, ended, lost=record.phase == "Failed")

    def _put_gone(self, uid: str) -> None:
        self._closed.discard(uid)
        charge = self._charges.get(uid)
        if self._early is not None:
            self._early.append((uid, None))
        elif charge is not None:
            self._close(uid, charge, self._now(), lost=True)
            self._closed.discard(uid)

    def put_node(self, node: Node, store: Store) -> None:
        """A node was seen: what runs there and had no price may have one now. It stays known when it is gone, for its
        pods are told of later."""
        known = self._nodes.pop(node.name, None)
        self._nodes[node.name] = node
        if len(self._nodes) > MOST_NODES:
            del self._nodes[next(iter(self._nodes))]
        if known is None or known.price != node.price:
            self._reckon(node.name, store)

    def tell_price(self, instance: str, node: str, price: Price, store: Store) -> None:
        """What an instance costs, before its node says so."""
        if self._prices.get(instance) != price:
            self._prices[instance] = price
            if len(self._prices) > MOST_NODES:
                del self._prices[next(iter(self._prices))]
            self._reckon(node, store)

    def forget(self, job: str) -> None:
        """The job has ended and its last status is written, or it is gone."""
        self._jobs.pop(job, None)

    def forget_queue(self, queue: str) -> None:
        """The queue is gone: one of its name that is made later begins anew."""
        self._shares.pop(queue, None)
        self._counted = {key: amounts for key, amounts in self._counted.items() if key[0] != queue}

    # What is told.

    def job_usage(self, job: str, *, is_final: bool = False) -> JobUsage | None:
        """What the job's attempts used; None for nothing. The last word counts up to now."""
        meter = self._jobs.get(job)
        if meter is None:
            return None
        return meter.read(self._now() - (0 if is_final else LAG_SECONDS), is_final=is_final)

    def queue_usage(self, queue: str, store: Store) -> tuple[QueueUsage, ...]:
        """What the jobs of each share of the queue used: of too many shares those that used most."""
        until = self._now() - LAG_SECONDS
        read = [(share, *account.read(until)) for share, account in self._shares_of(queue, store).items()]
        kept = sorted(read, key=lambda each: (-each[1].vcpu, each[0]))[:MOST_SHARES]
        return tuple(
            QueueUsage(share=share, updated_at=text_of(at), **usage_fields(amounts))
            for share, amounts, at in sorted(kept)
            if not amounts.is_zero
        )

    def begin_shares(self, queue: str, store: Store) -> None:
        """Has the metrics of all known shares of the queue begin at zero, some time before they are counted up: an
        increase from nothing is none to Prometheus."""
        for share in self._shares_of(queue, store):
            metrics.begin_share(queue, share)

    def count(self, queue: str, store: Store) -> None:
        """Brings the metrics of the queue's shares up to now: a counter takes no correction downward, so what turns out
        to have been less waits until it is more again."""
        for share, account in self._shares_of(queue, store).items():
            amounts, _ = account.read(self._now() - LAG_SECONDS)
            before = self._counted.get((queue, share), ZERO)
            self._counted[queue, share] = Amounts(*map(max, amounts, before))
            more = self._counted[queue, share].plus(before, -1)
            labels = queue, metrics.share_label(queue, share)
            metrics.VCPU_SECONDS.labels(*labels).inc(more.vcpu / THOUSAND)
            metrics.MEMORY_SECONDS.labels(*labels).inc(more.memory / THOUSAND)
            metrics.GPU_SECONDS.labels(*labels).inc(more.gpu / THOUSAND)
            metrics.COST.labels(*labels).inc(more.cost / PER_DOLLAR)
            metrics.LOST_COST.labels(*labels).inc(more.lost_cost / PER_DOLLAR)

    # Within.

    def _now(self) -> int:
        return seconds_of(self.clock())

    def _open(
        self, uid: str, pod: Pod, began: int, accounts: tuple[Account, ...], environment: str, store: Store
    ) -> _Charge:
        rate, is_priced = self._rate(pod.request, pod.node, environment, store)
        charge = _Charge(rate, is_priced, began, accounts, pod.node, pod.request, environment)
        self._charges[uid] = charge
        self._on_node.setdefault(pod.node, set()).add(uid)
        for account in accounts:
            account.begin(rate, began)
        return charge

    def _close(self, uid: str, charge: _Charge, ended: int, *, lost: bool) -> None:
        del self._charges[uid]
        there = self._on_node[charge.node]
        there.discard(uid)
        if not there:
            del self._on_node[charge.node]
        self._closed.add(uid)
        for account in charge.accounts:
            account.end(charge.rate, charge.began, max(charge.began, ended), lost=lost)

    def _rate(self, request: Resources, node: str, environment: str, store: Store) -> tuple[Amounts, bool]:
        """What a pod uses each second, and whether its node has a price."""
        known = self._nodes.get(node)
        if known is None:
            return rate_of(request, None, None), False
        price = known.price or self._prices.get(known.instance)
        if price is None:
            declared = store.environments.get(("", environment))
            price = price_of(declared.spec.hourly_price) if declared is not None else None
        return rate_of(request, known.allocatable, price), price is not None

    def _reckon(self, node: str, store: Store) -> None:
        """Those that run there without a price have had this one from their begin."""
        for uid in self._on_node.get(node, ()):
            charge = self._charges[uid]
            if charge.is_priced:
                continue
            rate, charge.is_priced = self._rate(charge.request, node, charge.environment, store)
            for account in charge.accounts:
                account.change(charge.rate, rate, charge.began)
            charge.rate = rate

    def _payers(self, pod: Pod, store: Store) -> tuple[tuple[Account, ...], str] | None:
        """The accounts that the pod is told to, and its environment; None for one that no job of ours made."""
        work = store.works.get(pod.owner)
        if work is None or work.job_id != pod.job_id or work.namespace != pod.namespace:
            return None
        entry, done = store.entries.get(pod.job_id), store.finished.get(pod.job_id)
        if entry is not None:
            spec = entry.job.spec
            share = self._share(spec.job_queue, spec.share_identifier or spec.quota_share_name or "", store)
            if pod.job_id not in self._jobs:
                self._jobs[pod.job_id] = _meter_of(entry)
            return (self._jobs[pod.job_id].account(pod.index), share), work.environment
        if done is not None:
            return (self._share(done.queue, done.share, store),), work.environment
        return None

    def _share(self, queue: str, share: str, store: Store) -> Account:
        known = self._shares_of(queue, store)
        if share not in known:
            # It is not among those that were noted: then it had used nothing.
            known[share] = Account(ZERO, max((account.since for account in known.values()), default=0))
            if ("", queue) in store.queues:
                metrics.begin_share(queue, share)
        return known[share]

    def _shares_of(self, queue: str, store: Store) -> dict[str, Account]:
        known = self._shares.get(queue)
        if known is None:
            declared = store.queues.get(("", queue))
            noted = (
                [QueueUsage.model_validate(each) for each in (declared.status.get("usage") or ())] if declared else []
            )
            known = {each.share: Account(amounts_of(each), seconds_of(moment(each.updated_at))) for each in noted}
            self._shares[queue] = known
            # What an operator before this one has counted.
            self._counted.update({(queue, share): account.read(0)[0] for share, account in known.items()})
        return known


def _is_counted(pod: Pod, accounts: tuple[Account, ...]) -> bool:
    """Whether all accounts have had the whole of it since before this operator."""
    if not pod.is_finished or pod.stopped_at is None:
        return False
    return seconds_of(pod.stopped_at) <= min(account.since for account in accounts)


def _meter_of(entry: Entry) -> JobMeter:
    properties, detail = entry.job.spec.array_properties, entry.status.array_properties
    if properties is None:
        return JobMeter(noted=entry.status.usage)
    size = entry.array.elements.size if entry.array is not None else detail.size if detail else properties.size or 0
    runs = parse_indexes(properties.indexes) if properties.indexes else ()
    return JobMeter(size, runs, entry.status.usage)
