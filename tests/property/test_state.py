"""A State that is kept up change by change gives the plan of one that is made from scratch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import builders as b
from batchwright.domain.observations import Node
from batchwright.domain.quantities import Resources
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.snapshot import Candidate, Environment, Held, Plan, Queue, Shape, Snapshot
from batchwright.scheduling.state import State
from property import schedules

SHAPES = [
    b.shape(cpu=500),
    b.shape(cpu=1500, node_selector=(("zone", "a"),)),
    Shape((("cpu", 500), ("nvidia.com/gpu", 1), ("pods", 1))),
]
NODES = [f"n{number}" for number in range(4)]
UIDS = st.sampled_from([f"j{number}" for number in range(8)])


class Changes(RuleBasedStateMachine):
    """The same changes told to a State and written down as a snapshot. No time passes: usage of the past, which a
    snapshot does not have, would tell the two apart."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.nodes: dict[str, Node] = {}
        self.occupied: dict[str, Resources] = {}
        self.environments: dict[str, Environment] = {}
        self.queues: dict[str, Queue] = {}
        self.waiting: dict[str, tuple[str, Candidate]] = {}
        self.held: dict[str, Held] = {}
        self.licences = 0
        self.last: Plan | None = None

    @rule(name=st.sampled_from(NODES), data=st.data())
    def node_seen(self, name: str, data: st.DataObject) -> None:
        self.nodes[name] = data.draw(schedules.nodes(name))
        self.state.put_node(name, self.nodes[name])

    @rule(name=st.sampled_from(NODES))
    def node_gone(self, name: str) -> None:
        self.nodes.pop(name, None)
        self.state.put_node(name, None)

    @rule(name=st.sampled_from(NODES), cpu=st.integers(0, 4), gpus=st.integers(0, 1))
    def occupied_anew(self, name: str, cpu: int, gpus: int) -> None:
        self.occupied[name] = b.resources(cpu * 500, **{"nvidia.com/gpu": gpus})
        self.state.occupy(name, self.occupied[name])

    @rule(name=st.sampled_from(schedules.NAMES), data=st.data(), licences=st.integers(0, 4))
    def environment_told(self, name: str, data: st.DataObject, licences: int) -> None:
        self.environments[name] = data.draw(schedules.environments(name))
        self.licences = licences
        self.state.tell(self.environments, {"licence": licences})

    @rule(name=st.sampled_from(schedules.QUEUES), data=st.data())
    def queue_seen(self, name: str, data: st.DataObject) -> None:
        self.queues[name] = data.draw(schedules.queues(name, reservation=False))
        self.state.put_queue(name, self.queues[name], schedules.NOW)

    @rule(name=st.sampled_from(schedules.QUEUES))
    def queue_gone(self, name: str) -> None:
        self.queues.pop(name, None)
        self.state.put_queue(name, None, schedules.NOW)

    @rule(uid=UIDS, queue=st.sampled_from(schedules.QUEUES), data=st.data())
    def waits(self, uid: str, queue: str, data: st.DataObject) -> None:
        candidate = data.draw(schedules.candidates(uid, SHAPES, arrays=True, policies=True))
        self.waiting[uid] = queue, candidate
        self.state.put_waiting(uid, queue, candidate)

    @rule(uid=UIDS)
    def waits_no_more(self, uid: str) -> None:
        queue, _ = self.waiting.pop(uid, ("q0", None))
        self.state.put_waiting(uid, queue, None)

    @rule(uid=UIDS, data=st.data())
    def holds(self, uid: str, data: st.DataObject) -> None:
        self.held[uid] = data.draw(schedules.held(uid, SHAPES, NODES))
        self.state.put_held(uid, self.held[uid], schedules.NOW)

    @rule(uid=UIDS)
    def holds_no_more(self, uid: str) -> None:
        self.held.pop(uid, None)
        self.state.put_held(uid, None, schedules.NOW)

    @invariant()
    def earlier_answers_can_still_be_asked(self) -> None:
        """Between two passes somebody asks why a job waits, when what the pass looked at has changed."""
        if self.last is not None:
            assert all(uid in self.waiting for uid in dict(self.last.waits))

    @invariant()
    def the_plan_is_that_of_a_state_from_scratch(self) -> None:
        fresh = State.of(self.snapshot())
        # What was promised to the first that waits is the one thing that a pass remembers.
        fresh.reservations = dict(self.state.reservations)
        want = plan(fresh, schedules.NOW)
        self.last = plan(self.state, schedules.NOW)
        assert self.last == want
        assert self.state.reservations == fresh.reservations

    def snapshot(self) -> Snapshot:
        return Snapshot(
            tuple(self.nodes.values()),
            self.occupied,
            self.environments,
            tuple(replace(queue, waiting=self._waiting_in(name)) for name, queue in self.queues.items()),
            tuple(self.held.values()),
            {"licence": self.licences} if self.environments else {},
            schedules.NOW,
        )

    def _waiting_in(self, name: str) -> tuple[Candidate, ...]:
        return tuple(candidate for queue, candidate in self.waiting.values() if queue == name)


TestChanges: Any = Changes.TestCase
