"""Where instances are bought: the embedded AWS endpoint, by way of a link that can be cut, and what is left over there.

The joiner goes around the link, as machines do: instances become nodes while the operator cannot ask for them.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from batchwright.local import aws
from cloud import DELAYS, Cloud, make_network

CHUNK = 1 << 16
LEFT_SECONDS = 60


class Link:
    """A TCP port that leads to another one, until it is cut; `refused` counts who came meanwhile."""

    def __init__(self, to: tuple[str, int]) -> None:
        self._to = to
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._is_cut = False
        self._lock = threading.Lock()
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @contextmanager
    def cut(self) -> Iterator[None]:
        """All connections end, and new ones as soon as they are made."""
        with self._lock:
            self._is_cut = True
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        try:
            yield
        finally:
            self._is_cut = False

    def stop(self) -> None:
        """Listens no more."""
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return  # stopped
            if self._is_cut:
                self.refused += 1
                client.close()
                continue
            try:
                server = socket.create_connection(self._to, 5)
            except OSError:
                client.close()
                continue
            # The timeout is that of connecting. An answer may take as long as it does: all types of a region take the
            # endpoint 6 s and more on a busy machine, and cut off each time they would never be known.
            server.settimeout(None)
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with self._lock:
            self._open.add(one)
        try:
            while data := one.recv(CHUNK):
                other.sendall(data)
        except OSError:
            pass  # cut, or either side has gone: the other is told below
        finally:
            with self._lock:
                self._open.discard(one)
            for each in (one, other):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


class Market:
    """The endpoint of a run."""

    def __init__(self, url: str) -> None:
        self.cloud: Cloud = make_network(url)
        parts = urlsplit(url)
        self.link = Link((parts.hostname or "127.0.0.1", parts.port or 80))

    def environment(self) -> dict[str, str]:
        """What the operator needs to buy there, by way of the link, at a pace that suits a test."""
        # An instance may be slow to become a node here: that is no fault of these rounds.
        delays = {**DELAYS, "capacity_start_seconds": "90"}
        settings = {f"BATCHWRIGHT_{name.upper()}": value for name, value in delays.items()}
        return {**aws.environment(self.link.url), **settings}

    def left_over(self, environments: list[str]) -> list[str]:
        """After a while, the instances that are not ended although nothing needs them, and groups that want some."""
        deadline = time.monotonic() + LEFT_SECONDS
        while left := self._live(environments):
            if time.monotonic() > deadline:
                return left
            time.sleep(0.5)
        return []

    def _live(self, environments: list[str]) -> list[str]:
        groups = [
            f"group {each['AutoScalingGroupName']} is to have {each['DesiredCapacity']} instances"
            for each in self.cloud.groups(*environments)
            if each["DesiredCapacity"]
        ]
        return groups + [
            f"instance {each['InstanceId']} of {name} is left over, {each['State']['Name']}"
            for name in environments
            for each in self.cloud.instances(name, "pending", "running")
        ]
