"""Outside observers: what the API server tells anybody who watches, kept apart from what our statuses say.

Invariants: events are numbered in the order of one watch, which is the order in which the API server stored the
changes, so that "started after" holds of two pods whatever the clocks said. A watch that breaks off is resumed where it
ended; when the API server no longer remembers that place, `gaps` counts it, and a test must not believe what it sees.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from urllib3.exceptions import HTTPError

from apiserver import ApiServer, Manifest
from batchwright.names import LABEL_JOB_ID, LABEL_NODE_INDEX, POD_FAILURE_COUNT, POD_INDEX

FINAL = ("SUCCEEDED", "FAILED")
METADATA_ONLY = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
WATCH_SECONDS = 300
AWAY_SECONDS = 0.2
# A pod that has been on a node, whatever became of it: one that was refused at its gate has no node.
RAN = "spec.nodeName!=,status.phase!=Pending"


def until(holds: Callable[[], bool], otherwise: str, seconds: float = 30.0) -> None:
    """Returns once the condition holds; AssertionError `otherwise` after the deadline."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


class Watch:
    """Hands each event (type, object) of a kind in a namespace to `see`, from a thread of its own."""

    def __init__(
        self,
        api: ApiServer,
        kind: str,
        namespace: str,
        see: Callable[[str, Manifest], None],
        *,
        fields: str = "",
        accept: str = "application/json",
    ) -> None:
        self.gaps = 0
        self._api, self._kind, self._namespace = api, kind, namespace
        self._see, self._accept = see, accept
        self._query = {"allowWatchBookmarks": "true", **({"fieldSelector": fields} if fields else {})}
        self._version = "0"
        self._stop = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """Ends the watch with its next event."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                response = self._api.watch(
                    self._kind,
                    self._namespace,
                    WATCH_SECONDS,
                    accept=self._accept,
                    resourceVersion=self._version,
                    **self._query,
                )
            except HTTPError:
                self._stop.wait(AWAY_SECONDS)  # The API server is away.
                continue
            if response.status != 200:
                self._lose_place(response.status)
                response.close()
                continue
            try:
                for line in response:
                    if self._stop.is_set():
                        break
                    self._take(orjson.loads(line))
            except HTTPError:
                pass  # Broken off: resumed from the last version.
            finally:
                response.close()

    def _lose_place(self, status: int) -> None:
        # 410: the place is forgotten. Anything else, a server that is just starting: asked again.
        if status == 410:
            self.gaps += 1
            self._version = "0"
        else:
            self._stop.wait(AWAY_SECONDS)

    def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "ERROR":
            self._lose_place(event["object"].get("code", 0))
            return
        self._version = event["object"]["metadata"]["resourceVersion"]
        if event["type"] != "BOOKMARK":
            self._see(event["type"], event["object"])


@dataclass
class SeenPod:
    """One pod's life as numbers of events, None for what has not been seen."""

    uid: str
    job_id: str
    position: int
    failures: int
    version: int
    phase: str = "Pending"
    was_gated: bool = False
    is_killed: bool = False
    bound: int | None = None
    started: int | None = None
    ended: int | None = None

    @property
    def runs(self) -> bool:
        """Whether it has room on a node now."""
        return self.bound is not None and self.ended is None


def place_of(metadata: Manifest) -> int:
    """The number of the node of a multi-node job, or else the completion index."""
    return int(metadata.get("labels", {}).get(LABEL_NODE_INDEX) or metadata["annotations"][POD_INDEX])


class PodObserver:
    """Every pod of a namespace from its beginning to its end, and how many of each job there were at one time."""

    def __init__(self, api: ApiServer, namespace: str) -> None:
        self.pods: dict[str, SeenPod] = {}
        self.most: Counter[str] = Counter()
        self._running: Counter[str] = Counter()
        self._number = 0
        self._api, self._namespace = api, namespace
        self._watch = Watch(api, "Pod", namespace, self._see)

    def _see(self, kind: str, pod: Manifest) -> None:
        self._number += 1
        metadata, status = pod["metadata"], pod.get("status") or {}
        job_id = metadata.get("labels", {}).get(LABEL_JOB_ID)
        if job_id is None:
            return
        notes = metadata["annotations"]
        seen = self.pods.setdefault(
            metadata["uid"],
            SeenPod(metadata["uid"], job_id, place_of(metadata), int(notes.get(POD_FAILURE_COUNT, "0")), 0),
        )
        ran = seen.runs
        seen.version = int(metadata["resourceVersion"])
        seen.was_gated |= bool(pod["spec"].get("schedulingGates"))
        seen.phase = status.get("phase", seen.phase)
        if pod["spec"].get("nodeName") and seen.bound is None:
            seen.bound = self._number
        if seen.phase == "Running" and seen.started is None:
            seen.started = self._number
        if seen.ended is None:
            seen.is_killed |= bool(metadata.get("deletionTimestamp"))
            if kind == "DELETED" or seen.phase in ("Succeeded", "Failed"):
                seen.ended = self._number
        self._running[job_id] += seen.runs - ran
        self.most[job_id] = max(self.most[job_id], self._running[job_id])

    @property
    def gaps(self) -> int:
        """How often the watch lost its place; anything but 0 makes the record useless."""
        return self._watch.gaps

    def of(self, job_id: str) -> list[SeenPod]:
        """The pods of a job, by position and attempt, with all that the API server holds at the time of the call."""
        for pod in self._api.list("Pod", self._namespace, labelSelector=f"{LABEL_JOB_ID}={job_id}"):
            self._await(pod["metadata"])
        found = [pod for pod in list(self.pods.values()) if pod.job_id == job_id]
        return sorted(found, key=lambda pod: (pod.position, pod.failures))

    def _await(self, metadata: Manifest) -> None:
        def is_seen() -> bool:
            seen = self.pods.get(metadata["uid"])
            return seen is not None and seen.version >= int(metadata["resourceVersion"])

        until(is_seen, f"the watch did not show {metadata['name']} as it is")

    def ran(self, job_id: str) -> Counter[int]:
        """How many pods of each position ran on a node."""
        return Counter(pod.position for pod in self.of(job_id) if pod.bound is not None)

    def starts(self, job_id: str) -> dict[int, int]:
        """When each position was first given a node."""
        found: dict[int, int] = {}
        for pod in self.of(job_id):
            if pod.bound is not None:
                found.setdefault(pod.position, pod.bound)
        return found

    def ends(self, job_id: str) -> dict[int, int]:
        """When the last pod of each position ended, of those that ran."""
        return {pod.position: pod.ended for pod in self.of(job_id) if pod.bound is not None and pod.ended is not None}

    def stop(self) -> None:
        """Ends the watch with its next event."""
        self._watch.stop()


class RunCounter:
    """Counts the pods of each element that ever ran, cheaply: metadata alone, of pods that have been on a node."""

    def __init__(self, api: ApiServer, namespace: str) -> None:
        self._ran: defaultdict[str, defaultdict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._watch = Watch(api, "Pod", namespace, self._see, fields=RAN, accept=METADATA_ONLY)

    def _see(self, kind: str, pod: Manifest) -> None:
        metadata = pod["metadata"]
        if kind == "ADDED":
            self._ran[metadata["labels"][LABEL_JOB_ID]][int(metadata["annotations"][POD_INDEX])].add(metadata["uid"])

    @property
    def gaps(self) -> int:
        """How often the watch lost its place."""
        return self._watch.gaps

    def of(self, job_id: str) -> Counter[int]:
        """Pods that ran, by position."""
        return Counter({position: len(pods) for position, pods in self._ran[job_id].items()})

    def stop(self) -> None:
        """Ends the watch with its next event."""
        self._watch.stop()


class StatusObserver:
    """Every status of the namespace's BatchJobs that was ever written, by name, in order."""

    def __init__(self, api: ApiServer, namespace: str) -> None:
        self.statuses: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._watch = Watch(api, "BatchJob", namespace, self._see)

    def _see(self, kind: str, job: Manifest) -> None:
        status = job.get("status") or {}
        known = self.statuses[job["metadata"]["name"]]
        if kind != "DELETED" and status and (not known or known[-1] != status):
            known.append(status)

    def states(self, name: str) -> list[str]:
        """The states a job that has ended has had, each change once."""
        self._await_end(name)
        found: list[str] = []
        for status in self.statuses[name]:
            if not found or found[-1] != status["state"]:
                found.append(status["state"])
        return found

    def summaries(self, name: str) -> list[dict[str, int]]:
        """The counts of the elements by state, as they were written, of an array that has ended."""
        self._await_end(name)
        return [
            status["arrayProperties"]["statusSummary"] for status in self.statuses[name] if "arrayProperties" in status
        ]

    def stop(self) -> None:
        """Ends the watch with its next event."""
        self._watch.stop()

    def _await_end(self, name: str) -> None:
        def has_ended() -> bool:
            known = self.statuses[name]
            return bool(known) and known[-1]["state"] in FINAL

        until(has_ended, f"the watch did not show the end of {name}")
