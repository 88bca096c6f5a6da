"""The embedded AWS endpoint as a process: `python -m batchwright.local.ec2 --port 5000 --kubeconfig FILE`."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer

from batchwright.local.ec2.interruptions import Interruptions
from batchwright.local.ec2.joiner import Joiner
from batchwright.local.ec2.server import serve
from batchwright.local.ec2.switches import Switches


def main(
    port: Annotated[int, typer.Option(help="The port to answer on.")],
    address: Annotated[str, typer.Option(help="The address to answer on.")] = "127.0.0.1",
    region: Annotated[str, typer.Option(help="The region whose instances join.")] = "us-east-1",
    kubeconfig: Annotated[Path | None, typer.Option(help="The cluster that instances join; none without.")] = None,
) -> None:
    """Serves until ended."""
    switches = Switches()
    url = f"http://{address}:{port}"
    interruptions = Interruptions(url, region)
    server = serve(address, port, switches, interruptions.interrupt)
    threading.Thread(target=interruptions.prepare, daemon=True).start()
    if kubeconfig is not None:
        joiner = Joiner(url, region, kubeconfig, switches)
        threading.Thread(target=joiner.run, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    typer.run(main)
