"""The providers of nodes, made when they are first needed: EC2 asks for credentials, and most clusters have none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog

from batchwright.api.v1alpha1 import ComputeEnvironmentSpec
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.client import Clients, is_set_up
from batchwright.capacity.ec2.fleet import Ec2Fleet
from batchwright.capacity.ec2.images import Images
from batchwright.capacity.ec2.pricelist import PriceList
from batchwright.capacity.ec2.warnings import Warnings
from batchwright.capacity.groups.autoscaling import auto_scaling_groups
from batchwright.capacity.groups.eks import eks_node_groups
from batchwright.capacity.port import Provider
from batchwright.capacity.simulated import Simulated
from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import NAMESPACES
from batchwright.controllers.declared import Declared
from batchwright.errors import ApiError, Misconfigured, ProviderUnavailable
from batchwright.settings import Settings

logger = structlog.get_logger(__name__)
Maker = Callable[[str], Provider]
# How long is waited for the answer to whether there are credentials.
CREDENTIALS_SECONDS = 20.0


def provider_of(known: Declared[ComputeEnvironmentSpec]) -> str:
    """The provider of a MANAGED environment."""
    return known.spec.provider or "EC2_FLEET"


def make_providers(api: ApiClient, settings: Settings) -> Providers:
    """The providers of this operator."""
    clients = Clients(may_write=lambda: api.may_write())
    catalogue = Catalogue(clients.of("ec2"))
    queue = settings.interruption_queue
    warnings = Warnings(queue, clients.of("sqs")) if queue else None

    # One list for all of them: it is long, and takes its time.
    prices = PriceList()
    images = Images(clients.of("ssm"), lambda: kubernetes_version(api))

    def ec2_fleet(cluster: str) -> Provider:
        return Ec2Fleet(cluster, clients.of("ec2"), warnings, catalogue, prices, images)

    def scaling(cluster: str) -> Provider:
        return auto_scaling_groups(cluster, clients, catalogue, warnings, images, prices)

    async def cluster_id() -> str:
        # What others know a cluster by, for want of an id of its own: kube-system is never deleted.
        found = await api.list_all(NAMESPACES, fields="metadata.name=kube-system")
        return str(found[0]["metadata"]["uid"])

    def eks(cluster: str) -> Provider:
        return eks_node_groups(cluster, clients, catalogue, warnings, prices)

    makers: dict[str, Maker] = {
        "SIMULATED": lambda _: Simulated(api),
        "EC2_FLEET": ec2_fleet,
        "AUTO_SCALING_GROUPS": scaling,
        "EKS_NODE_GROUPS": eks,
    }
    return Providers(
        makers, cluster_id, tuple(name for name in makers if name != "SIMULATED"), lambda: in_time(is_set_up)
    )


async def kubernetes_version(api: ApiClient) -> str:
    """The API server's version, such as v1.33.4-eks-1234567. Raises ProviderUnavailable: for a launch it is one more
    that did not answer."""
    try:
        return str((await api.request("GET", "/version"))["gitVersion"])
    except (ApiError, KeyError) as error:
        raise ProviderUnavailable(f"The API server does not say its version: {error}", "KubernetesVersion") from error


async def in_time(ask: Callable[[], bool], seconds: float = CREDENTIALS_SECONDS) -> bool:
    """What is answered in a thread; no, if that takes too long."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(ask), seconds)
    except TimeoutError:
        logger.warning("nobody says whether there are credentials for AWS: instances left over are not looked for")
        return False


async def _always() -> bool:
    return True


class Providers:
    """`cluster_id` is what all that belongs to this cluster is known by; `at_start` names those of which instances may
    be left from before, if they `may_ask` at all."""

    def __init__(
        self,
        makers: Mapping[str, Maker],
        cluster_id: Callable[[], Awaitable[str]],
        at_start: Iterable[str] = (),
        may_ask: Callable[[], Awaitable[bool]] = _always,
    ) -> None:
        self._makers = makers
        self._cluster_id = cluster_id
        self._at_start, self._may_ask = tuple(at_start), may_ask
        self._made: dict[str, Provider] = {}
        self._cluster = ""
        # Those that have to be looked at, though no environment names them.
        self._unfinished: set[str] = set()

    @property
    def must_look(self) -> bool:
        """Whether instances are left of which the environment is gone, or may be."""
        return bool(self._unfinished)

    def note(self, name: str, is_unfinished: bool) -> None:
        """Whether instances are left of which the environment is gone."""
        (self._unfinished.add if is_unfinished else self._unfinished.discard)(name)

    def drop(self, name: str) -> None:
        """Nobody needs it, and it cannot be looked at."""
        self._made.pop(name, None)
        self._unfinished.discard(name)

    async def start(self) -> None:
        """Makes those of which instances may be left: environments may have been deleted while no operator ran."""
        self._cluster = await self._cluster_id()
        for name in self._at_start if self._at_start and await self._may_ask() else ():
            self.get(name)
            self.note(name, is_unfinished=True)

    def get(self, name: str) -> Provider:
        """The provider of that name. Raises CapacityError when it cannot be had."""
        found = self._made.get(name)
        if found is None:
            if name not in self._makers:
                raise Misconfigured(f"this operator has no provider {name}")
            found = self._made[name] = self._makers[name](self._cluster)
        return found

    def in_use(self, managed: Iterable[Declared[ComputeEnvironmentSpec]]) -> list[str]:
        """Those that environments name, and those that were used since the operator began."""
        named = {provider_of(known) for known in managed}
        return sorted(named | self._made.keys())
