"""A cluster for one run, and the operator on it: made, observed, gone afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from batchwright.bench.figures import percentile
from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import JOB_DEFINITIONS, JOB_QUEUES, Resource
from batchwright.errors import BenchmarkError
from batchwright.local import cluster as local_cluster
from batchwright.local import install, operator_process, ports, processes

JSON = dict[str, Any]

BENCH_AGENT: Final = "batchwright-bench"
COMPONENTS: Final = ("kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler", "kwok-controller")
# What a kind's status says once a job can use the object.
_SETTLED: Final = {JOB_DEFINITIONS.kind: "ACTIVE", JOB_QUEUES.kind: "VALID"}
_STOP_SECONDS: Final = 30.0
_SETTLE_SECONDS: Final = 60


@contextmanager
def fresh_cluster(name: str, **options: Any) -> Iterator[local_cluster.Cluster]:
    """A cluster with our kinds and (unless told otherwise) an audit log; options are those of local.cluster.Options.

    Raises LocalError.
    """
    try:
        made = local_cluster.up(local_cluster.Options(name=name, runtime="binary", **{"audit": True, **options}))
        install.apply_crds(made.kubeconfig)
        yield made
    finally:
        local_cluster.down(name)


class Operator:
    """An operator on a cluster, whose passes are noted; its log is kept in `logs`."""

    def __init__(self, cluster: local_cluster.Cluster, logs: Path, *, ready_seconds: float = 60.0) -> None:
        self._cluster = cluster
        self._logs = logs
        self._passes = cluster.directory / "passes.json"
        self._passes.unlink(missing_ok=True)
        module = ("batchwright.bench.observed", "--passes", str(self._passes))
        directory, port = cluster.directory, ports.free_ports(1)[0]
        environment = {"BATCHWRIGHT_LEADER_ELECTION": "false"}
        operator_process.start(
            directory, cluster.kubeconfig, port, environment, alone=False, module=module, seconds=ready_seconds
        )
        self.pid = processes.find(directory, operator_process.COMPONENT)[0].pid

    def check(self) -> None:
        """Raises BenchmarkError when it has ended."""
        if not processes.find(self._cluster.directory, operator_process.COMPONENT):
            raise BenchmarkError(f"the operator ended; {self._end_of_log()}")

    def stop(self) -> dict[str, float]:
        """Ends it; what its passes took, as figures. Raises BenchmarkError when it did not end in good order."""
        processes.end(self._cluster.directory, [operator_process.COMPONENT], _STOP_SECONDS)
        self.keep_log()
        if not self._passes.exists():
            raise BenchmarkError(
                f"the operator was ended by force; the end of its log:\n{self._log().read_text()[-3000:]}"
            )
        noted = orjson.loads(self._passes.read_bytes())
        first, *rest = noted["seconds"]
        rest = rest or [first]
        return {
            "startUpSeconds": noted["started"],
            "firstPassMs": first * 1000,
            "passP50Ms": percentile(rest, 50) * 1000,
            "passP99Ms": percentile(rest, 99) * 1000,
            "passWorstMs": max(rest) * 1000,
        }

    def keep_log(self) -> None:
        """Copies the log to where logs are kept."""
        shutil.copy(self._log(), self._logs / self._log().name)

    def _end_of_log(self) -> str:
        return f"the end of its log:\n{self._log().read_text(errors='replace')[-3000:]}"

    def _log(self) -> Path:
        return self._cluster.directory / "logs" / f"{operator_process.COMPONENT}.log"


async def declare(api: ApiClient, declarations: Iterable[tuple[Resource, JSON]]) -> None:
    """Creates what people declare, and returns once jobs can use it. Raises BenchmarkError."""
    for resource, body in declarations:
        namespace, name = body["metadata"].get("namespace"), body["metadata"]["name"]
        made = await api.create(resource, namespace, body)
        settled = _SETTLED.get(resource.kind)
        if settled is None:
            continue
        version = made["metadata"]["resourceVersion"]
        async for event in api.watch(resource, version, namespace=namespace, seconds=_SETTLE_SECONDS):
            item = event["object"]
            if item["metadata"].get("name") == name and item.get("status", {}).get("status") == settled:
                break
        else:
            raise BenchmarkError(f"{resource.kind} {name} did not become {settled} within {_SETTLE_SECONDS} s")
