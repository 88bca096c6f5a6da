"""The embedded AWS endpoint: a moto server, with a joiner for its instances, as a detached process of the cluster.

Hazard: moto keeps everything in memory; after a restart its accounts are empty.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from batchwright.errors import LocalError
from batchwright.local import processes
from batchwright.local.waiting import wait_until

COMPONENT: Final = "aws"
REGION: Final = "us-east-1"
# moto looks at no key.
ANY_KEY: Final = "batchwright-local"
# Where the endpoint puts EC2's warnings.
INTERRUPTION_QUEUE: Final = "batchwright-interruptions"
# Of an operator that buys there: where the warnings come, and a pace at which one can watch it.
OPERATOR_SETTINGS: Final = {
    "BATCHWRIGHT_INTERRUPTION_QUEUE": INTERRUPTION_QUEUE,
    "BATCHWRIGHT_CAPACITY_INTERVAL_SECONDS": "1",
    "BATCHWRIGHT_CAPACITY_IDLE_SECONDS": "8",
}
_READY_SECONDS: Final = 60.0


def endpoint(address: str, port: int) -> str:
    """The URL of the endpoint, for AWS_ENDPOINT_URL."""
    return f"http://{address}:{port}"


def environment(url: str) -> dict[str, str]:
    """What an AWS SDK or the `aws` command needs to use the embedded endpoint; the keys are dummies."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ANY_KEY,
        "AWS_SECRET_ACCESS_KEY": ANY_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }


def ask(url: str, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What of the endpoint goes wrong (`switches`), or is to (`interruptions`): read, or changed by a body. Raises
    LocalError."""
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(f"{url}/batchwright/{what}", data)  # nosec B310
        with urllib.request.urlopen(request, timeout=30) as found:  # nosec B310
            answer: dict[str, Any] = json.load(found)
    except urllib.error.HTTPError as error:
        raise LocalError(json.load(error).get("error", str(error))) from error
    except OSError as error:
        raise LocalError(f"the AWS endpoint {url} does not answer: {error}") from error
    return answer


def check_installed() -> None:
    """LocalError when moto's server is not installed."""
    if find_spec("moto") is None or find_spec("flask") is None:
        raise LocalError("--aws needs moto's server: `pip install 'batchwright[local]'`")


def start(directory: Path, address: str, port: int, kubeconfig: Path | None = None) -> None:
    """Start the endpoint unless it runs, and wait until it answers. Its EC2 instances join the cluster of the
    kubeconfig as simulated nodes."""
    if not processes.find(directory, COMPONENT):
        argv = [sys.executable, "-m", "batchwright.local.ec2", "--address", address, "--port", str(port)]
        if kubeconfig is not None:
            argv += ["--kubeconfig", str(kubeconfig)]
        processes.spawn(COMPONENT, argv, directory, {})
    log = directory / "logs" / f"{COMPONENT}.log"
    wait_until(
        lambda: is_answering(address, port) or not processes.find(directory, COMPONENT),
        _READY_SECONDS,
        lambda: f"the AWS endpoint did not answer within {_READY_SECONDS:.0f} s; its log is {log}",
    )
    if not processes.find(directory, COMPONENT):
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        raise LocalError(f"the AWS endpoint ended at once; the end of {log}:\n{tail}")


def is_answering(address: str, port: int) -> bool:
    """Whether the endpoint answers now."""
    try:
        with urllib.request.urlopen(f"{endpoint(address, port)}/moto-api/", timeout=2) as answer:  # nosec B310
            return bool(answer.status == 200)
    except OSError:
        return False
