"""Why nothing of a job can start in any of its environments."""

from __future__ import annotations

from dataclasses import replace

from batchwright.scheduling.asking import Asking
from batchwright.scheduling.growing import Growing
from batchwright.scheduling.room import Room, cpu_of
from batchwright.scheduling.snapshot import Candidate, Gang, WaitKind
from batchwright.scheduling.state import State

# What one node of a gang may lack, whatever becomes free.
_HOPELESS = (
    WaitKind.NO_NODES,
    WaitKind.NODES_AWAY,
    WaitKind.NEVER_FITS,
    WaitKind.UNSUITABLE,
    WaitKind.INSUFFICIENT,
)


class Judging:
    """With what the pass knows of rooms and of environments that grow."""

    def __init__(self, state: State, room: Room, growing: Growing, asking: Asking) -> None:
        self._state, self._room, self._growing, self._asking = state, room, growing, asking

    def why_not(self, environments: list[str], candidate: Candidate, ends: float) -> WaitKind:
        """What comes first in its way, if it ends by `ends`."""
        if candidate.gang is not None:
            return self._why_not_gang(environments, candidate, candidate.gang, ends)
        state, shape = self._state, candidate.shape
        known = [state.environments[name] for name in environments]
        if any(map(self._growing.has, environments)) and not any(
            len(state.nodes.possible(environment, shape)) for environment in known
        ):
            return self._asking.why_not(environments, shape)
        if not any(len(state.nodes.members(environment)) for environment in known):
            return WaitKind.NO_NODES
        possible = [environment for environment in known if len(state.nodes.possible(environment, shape))]
        if not possible:
            # A node that is rebooting is no misconfiguration: clients end a job on that word (Nextflow issue 7479).
            if any(state.nodes.absent_could(environment, shape) for environment in known):
                return WaitKind.NODES_AWAY
            suits = any(len(state.nodes.eligible(environment, shape)) for environment in known)
            return WaitKind.NEVER_FITS if suits else WaitKind.UNSUITABLE
        cpu = cpu_of(shape)
        if all(each.max_vcpus is not None and cpu > each.max_vcpus for each in possible):
            return WaitKind.OVER_MAXIMUM
        if all(self._room.is_at_maximum(each.name, cpu, ends) for each in possible):
            return WaitKind.AT_MAXIMUM
        if all(self._room.is_claimed(state.nodes.possible(each, shape), ends) for each in possible):
            return WaitKind.BEHIND
        return WaitKind.NO_ROOM

    def _why_not_gang(self, environments: list[str], candidate: Candidate, gang: Gang, ends: float) -> WaitKind:
        """The same for a gang: an environment would do if its nodes, were they empty, took all of it."""
        able = [name for name in environments if self._room.could_take(name, gang)]
        if not able:
            growing = [name for name in environments if self._growing.has(name)]
            if growing:
                return self._asking.why_no_gang(growing, gang)
            # What one of its nodes lacks, or else that there are not as many machines.
            single = (replace(candidate, shape=shape, gang=None) for shape in gang.counts)
            kinds = {self.why_not(environments, each, ends) for each in single}
            return next((kind for kind in _HOPELESS if kind in kinds), WaitKind.TOO_FEW)
        cpu = cpu_of(candidate.shape)
        if all(self._room.is_at_maximum(name, cpu, ends) for name in able):
            most = [self._state.environments[name].max_vcpus for name in able]
            is_over = all(each is not None and cpu > each for each in most)
            return WaitKind.OVER_MAXIMUM if is_over else WaitKind.AT_MAXIMUM
        is_claimed = self._room.is_claimed(self._state.possible(able, candidate), ends)
        return WaitKind.BEHIND if is_claimed else WaitKind.NO_ROOM
