"""A connection from a kubeconfig, and how much of the library that reads it is imported for that."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from batchwright.cluster.connection import load_connection
from batchwright.errors import ConnectionSetupError

# What the `kubernetes` package imports by itself, and nobody here calls.
UNNEEDED = ("kubernetes.client", "kubernetes.dynamic", "kubernetes.aio.dynamic", "requests_oauthlib", "websocket")
WATCHED = f"print('FOUND', [name for name in {UNNEEDED!r} if name in sys.modules])"
CREDENTIAL = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "of-exec"}}
USERS = {
    "token": {"token": "of-file"},
    "exec": {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": ["-c", f"print({json.dumps(CREDENTIAL)!r})"],
            "interactiveMode": "Never",
        }
    },
}


def kubeconfig(directory: Path, user: str) -> Path:
    """A kubeconfig whose user has a credential of that sort."""
    path = directory / "config"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "team"}}],
        "clusters": [{"name": "here", "cluster": {"server": "https://192.0.2.1:6443/"}}],
        "users": [{"name": "me", "user": USERS[user]}],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def python(code: str) -> str:
    """The last line that a fresh interpreter prints: what this one has imported does not count."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(("user", "token"), [("token", "of-file"), ("exec", "of-exec")], ids=["token", "exec"])
def test_a_kubeconfig_is_read(tmp_path: Path, user: str, token: str) -> None:
    async def read() -> tuple[str, str, str | None]:
        connection = await load_connection(kubeconfig=str(kubeconfig(tmp_path, user)))
        return connection.server, connection.namespace, await connection.authorization()

    assert asyncio.run(read()) == ("https://192.0.2.1:6443", "team", f"Bearer {token}")


async def test_without_a_kubeconfig_it_says_where_it_looked(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    with pytest.raises(ConnectionSetupError, match=f"looked at {missing}"):
        await load_connection(kubeconfig=missing)


@pytest.mark.parametrize("user", USERS)
def test_a_connection_imports_no_more_than_the_reader(tmp_path: Path, user: str) -> None:
    code = (
        "import asyncio, sys\nfrom batchwright.cluster.connection import load_connection\n"
        f"asyncio.run(load_connection(kubeconfig={str(kubeconfig(tmp_path, user))!r}))\n{WATCHED}"
    )
    assert python(code) == "FOUND []"


def test_a_service_account_is_read_with_no_more_than_the_reader(tmp_path: Path) -> None:
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("of-pod", encoding="utf-8")
    authority.write_text("not looked into here", encoding="utf-8")
    code = (
        "import sys\nfrom batchwright.cluster.kubeconfig import kubeconfig_reader\n"
        "new, config = kubeconfig_reader()\nsettings = new()\n"
        "from kubernetes.aio.config.incluster_config import InClusterConfigLoader\n"
        f"InClusterConfigLoader(token_filename={str(token)!r}, cert_filename={str(authority)!r},\n"
        "    environ={'KUBERNETES_SERVICE_HOST': '192.0.2.1', 'KUBERNETES_SERVICE_PORT': '443'}\n"
        f").load_and_set(settings)\nassert settings.host == 'https://192.0.2.1:443'\n{WATCHED}"
    )
    assert python(code) == "FOUND []"


def test_the_operator_begins_without_the_rest_of_the_library(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom batchwright.cli.main import main\n"
        f"sys.argv = ['batchwright', 'operator', 'run', '--kubeconfig', {os.fspath(tmp_path / 'none')!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code\n"
        # kopf itself looks at `kubernetes.client`, and pykube, which tests have, brings requests_oauthlib.
        "assert 'kopf' in sys.modules\n"
        "print('FOUND', [name for name in sys.modules if name in ('kubernetes.dynamic', 'kubernetes.config')])"
    )
    assert python(code) == "FOUND []"
