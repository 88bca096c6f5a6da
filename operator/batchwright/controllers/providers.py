"""The providers of nodes, made when they are first needed: EC2 asks for credentials, and most clusters have none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from batchwright.api.v1alpha1 import ComputeEnvironmentSpec
from batchwright.capacity.port import Provider
from batchwright.capacity.simulated import Simulated
from batchwright.cluster.client import ApiClient
from batchwright.controllers.declared import Declared
from batchwright.errors import Misconfigured

Maker = Callable[[], Provider]


def make_providers(api: ApiClient) -> Providers:
    """The providers of this operator."""
    return Providers({"SIMULATED": lambda: Simulated(api)})


class Providers:
    """`must_look` says that instances are left of which the environment is gone."""

    def __init__(self, makers: Mapping[str, Maker], at_start: Callable[[], Iterable[str]] = tuple) -> None:
        self._makers = makers
        self._at_start = at_start
        self._made: dict[str, Provider] = {}
        self.must_look = True

    async def start(self) -> None:
        """Makes those of which instances may be left from before: their environments may have been deleted while no
        operator ran."""
        for name in self._at_start():
            self.get(name)

    def get(self, name: str) -> Provider:
        """The provider of that name. Raises CapacityError when it cannot be had."""
        found = self._made.get(name)
        if found is None:
            if name not in self._makers:
                raise Misconfigured(f"this operator has no provider {name}")
            found = self._made[name] = self._makers[name]()
        return found

    def in_use(self, managed: Iterable[Declared[ComputeEnvironmentSpec]]) -> list[str]:
        """Those that environments name, and those that were used since the operator began."""
        named = {known.spec.provider or "EC2_FLEET" for known in managed}
        return sorted(named | self._made.keys())
