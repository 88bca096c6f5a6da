"""A measured replay as plain data, for programs (`-o json`) and for the tables of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from batchwright.simulation.metrics import Measures, Waits, compute_waits, natural
from batchwright.simulation.workload import Machines, Workload

JSON = dict[str, Any]
POINTS: Final = 120
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class Report:
    """What was replayed, on what, in which order, and how it went."""

    source: str
    scheduler: str
    machines: Machines
    workload: Workload
    measures: Measures

    def json(self) -> JSON:
        """Everything, in seconds, CPU-seconds and parts of 1; over time as means of `POINTS` equal intervals."""
        found = self.measures
        fairness = found.fairness
        return {
            "trace": self.source,
            "scheduler": self.scheduler,
            "nodes": self.machines.nodes,
            "cpusPerNode": self.machines.cpus_per_node,
            "jobs": {
                "replayed": len(self.workload.jobs),
                "finished": found.all.jobs,
                "cancelled": found.cancelled,
                "neverStarted": found.unfinished,
                "leftOut": self.workload.left_out,
            },
            "beginSeconds": found.begin,
            "endSeconds": found.end,
            "utilisation": _rounded(found.utilisation),
            "cpuSecondsLost": _rounded(found.lost),
            "all": waits_json(found.all),
            "fairness": {
                "contendedSeconds": _rounded(fairness.contended),
                "jainByWeight": _rounded(fairness.by_weight),
                "jainByEntitlement": _rounded(fairness.by_entitlement),
            },
            "shares": [{"share": name} | self._share_json(name) for name in shares(found)],
            "queues": [{"queue": name} | waits_json(waits) for name, waits in found.by_queue.items()],
            "overTime": {
                "intervalSeconds": _rounded((found.end - found.begin) / POINTS),
                "utilisation": [
                    _rounded(mean / self.machines.cpus) for mean in found.in_use.means(found.begin, found.end, POINTS)
                ],
                "queued": [_rounded(mean) for mean in found.queued.means(found.begin, found.end, POINTS)],
            },
        }

    def _share_json(self, name: str) -> JSON:
        waits = self.measures.by_share.get(name) or compute_waits(())
        service = self.measures.fairness.shares.get(name)
        said = waits_json(waits) | {
            "partOfCpuSeconds": _rounded(part_of(waits.cpu_seconds, self.measures.all.cpu_seconds))
        }
        if service is not None:
            said["contended"] = {
                "weight": _rounded(service.weight),
                "servedCpuSeconds": _rounded(service.served),
                "satisfaction": _rounded(service.satisfaction),
            }
        return said


def shares(found: Measures) -> list[str]:
    """Every share that finished a job or asked for service, user2 before user10."""
    return sorted(found.by_share.keys() | found.fairness.shares.keys(), key=natural)


def waits_json(waits: Waits) -> JSON:
    """The waits of some jobs."""
    return {
        "jobs": waits.jobs,
        "cpuSeconds": _rounded(waits.cpu_seconds),
        "waitSeconds": {
            "mean": _rounded(waits.mean),
            "median": _rounded(waits.median),
            "p95": _rounded(waits.p95),
            "max": _rounded(waits.longest),
        },
        "boundedSlowdown": {"mean": _rounded(waits.slowdown_mean), "p95": _rounded(waits.slowdown_p95)},
    }


def part_of(part: float, whole: float) -> float:
    """A part of a whole; 0 of nothing."""
    return part / whole if whole else 0.0


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
