"""Whether there are credentials for AWS, and for which region: wherever they come from, and if nobody answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from batchwright.capacity.ec2.client import Aws, is_set_up, present_region
from batchwright.controllers.providers import Providers, in_time

KEYS = "aws_access_key_id = a\naws_secret_access_key = b\n"


class Metadata(BaseHTTPRequestHandler):
    """A machine's metadata service, with an instance profile."""

    def do_PUT(self) -> None:
        self._answer("token")

    def do_GET(self) -> None:
        if not self.path.endswith("/role"):
            return self._answer("role")
        until = (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
        known = {"Code": "Success", "AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": until}
        return self._answer(json.dumps(known))

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def metadata() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process of which AWS knows nothing, on a machine without metadata."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_there_are_none() -> None:
    assert (present_region(), is_set_up()) == (None, False)


def test_a_region_alone_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert (present_region(), is_set_up()) == ("eu-west-3", False)


def test_keys_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert not is_set_up()
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert is_set_up()


def test_a_shared_configuration_with_its_region(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n")
    (tmp_path / "credentials").write_text(f"[default]\n{KEYS}")
    assert (present_region(), is_set_up()) == ("eu-north-1", True)


def test_a_profile_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert not is_set_up()


def test_an_instance_profile(monkeypatch: pytest.MonkeyPatch, metadata: str) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata)
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert is_set_up()


def test_calls_go_to_the_region_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert Aws()._make().meta.region_name == "eu-west-3"
    assert Aws("ec2", "us-west-1")._make().meta.region_name == "us-west-1"


async def test_nobody_waits_for_an_answer_that_does_not_come() -> None:
    answered = threading.Event()
    try:
        assert not await in_time(answered.wait, 0.1)
    finally:
        answered.set()
    assert await in_time(lambda: True)


@pytest.mark.parametrize("has_credentials", [True, False])
async def test_what_may_be_left_over_is_looked_for_with_credentials_only(has_credentials: bool) -> None:
    async def cluster() -> str:
        return "cluster"

    async def may_ask() -> bool:
        return has_credentials

    made: list[str] = []
    makers = {"EC2_FLEET": made.append}
    providers = Providers(makers, cluster, ("EC2_FLEET",), may_ask)  # type: ignore[arg-type]
    await providers.start()
    assert (made, providers.must_look) == ((["cluster"], True) if has_credentials else ([], False))
