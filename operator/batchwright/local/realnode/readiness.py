"""Waiting until a node is of use: Ready to the API server, its Service network and its names working.

Every wait has one deadline, given by the caller; its failure says which program does not run and where its log is.
"""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any, Final

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from batchwright.errors import ApiError, LocalError, LocalTimeoutError
from batchwright.local.api import Api
from batchwright.local.realnode.configuration import DNS_READY_PORT, PROXY_HEALTH_PORT, Node
from batchwright.local.realnode.namespace import enter, program_states

_CONNECT: Final = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()"
_PAUSE_SECONDS: Final = 0.1


class _NotReady(Exception):
    """A condition does not hold yet; the text says which."""


def await_node(node: Node, init_pid: int, seconds: float) -> None:
    """Return when pods can run on the node; LocalTimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    address = node.network.node_address
    checks: tuple[Callable[[], None], ...] = (
        lambda: _check_answers(f"http://{address}:{DNS_READY_PORT}/ready"),
        lambda: _check_answers(f"http://{address}:{PROXY_HEALTH_PORT}/healthz"),
        lambda: _check_node_object(node),
        lambda: _check_service(node, init_pid),
    )
    for check in checks:
        patient = retry(
            retry=retry_if_exception_type(_NotReady),
            stop=stop_after_delay(max(_PAUSE_SECONDS, deadline - time.monotonic())),
            wait=wait_fixed(_PAUSE_SECONDS),
            reraise=True,
        )
        try:
            patient(check)()
        except _NotReady as error:
            message = f"the real node was not ready within {seconds:.0f} s: {error}{_explain(node)}"
            raise LocalTimeoutError(message) from error


def is_ready_since(node: dict[str, Any], started_at: float) -> bool:
    """Whether the Node object says Ready, in a heartbeat of a kubelet started at `started_at` (Unix seconds).

    Without the second, the object of a node that was killed a moment ago would pass.
    """
    for condition in node.get("status", {}).get("conditions", ()):
        if condition["type"] == "Ready" and condition["status"] == "True":
            heartbeat = datetime.strptime(condition["lastHeartbeatTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            return heartbeat.timestamp() >= int(started_at)  # heartbeats have whole seconds
    return False


def _check_answers(url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(url, timeout=2).close()
    except (urllib.error.URLError, OSError) as error:
        raise _NotReady(f"{url} says {error}") from error


def _check_node_object(node: Node) -> None:
    kubelet = program_states(node.state).get("kubelet")
    found = _read(node, f"/api/v1/nodes/{node.name}")
    if kubelet is None or not kubelet["running"] or not is_ready_since(found, kubelet["startedAt"]):
        raise _NotReady(f"the node {node.name} is not Ready")


def _check_service(node: Node, init_pid: int) -> None:
    """The API server answers at its Service's address from inside the node: kube-proxy has written its rules."""
    service = _read(node, "/api/v1/namespaces/default/services/kubernetes")["spec"]
    address, port = str(service["clusterIP"]), str(service["ports"][0]["port"])
    try:
        enter(init_pid, [sys.executable, "-I", "-c", _CONNECT, address, port], what="reaching a Service")
    except LocalError as error:
        raise _NotReady(str(error)) from error


def _read(node: Node, path: str) -> Any:
    try:
        with Api(node.kubeconfig) as api:
            return api.request("GET", path)
    except (OSError, HTTPException, ApiError) as error:
        raise _NotReady(f"the API server says to {path}: {error}") from error


def _explain(node: Node) -> str:
    lines = []
    for name, state in program_states(node.state).items():
        if not state["running"] or state["starts"] > 1:
            lines.append(f"\n  {name}: {state['lastExit']}, started {state['starts']} times")
            log = node.state / "logs" / f"{name}.log"
            if log.exists():
                lines += [f"\n    {line}" for line in log.read_text(errors="replace").splitlines()[-5:]]
    return "".join([*lines, f"\n  logs: {node.state / 'logs'}"])
