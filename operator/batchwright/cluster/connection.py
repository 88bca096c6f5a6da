"""How to reach the API server: kubeconfig (exec plugins and OIDC included) or the pod's service account.

The `kubernetes` package does the reading; it is imported when a connection is made, and no more of it than that takes.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchwright.cluster.kubeconfig import kubeconfig_reader
from batchwright.errors import ConnectionSetupError

SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Connection:
    """Address and credentials. `configuration` is the library's own, which refreshes tokens."""

    server: str
    ssl_context: ssl.SSLContext
    namespace: str
    configuration: Any

    async def authorization(self) -> str | None:
        """The Authorization header of the next request; None with a client certificate."""
        token: str | None = await self.configuration.get_api_key_with_prefix("BearerToken")
        return token


async def load_connection(context: str | None = None, kubeconfig: str | None = None) -> Connection:
    """Finds the cluster as kubectl does: --kubeconfig, $KUBECONFIG, ~/.kube/config, then the pod's service account.

    Raises ConnectionSetupError when there is none, or it cannot be read.
    """
    new_settings, config = kubeconfig_reader()
    settings = new_settings()
    namespace = "default"
    inside = "KUBERNETES_SERVICE_HOST" in os.environ
    path = kubeconfig or os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    try:
        if kubeconfig is None and context is None and inside and "KUBECONFIG" not in os.environ:
            config.load_incluster_config(client_configuration=settings)
            namespace = SERVICE_ACCOUNT_NAMESPACE.read_text(encoding="utf-8").strip()
        else:
            loader = await config.load_kube_config(
                config_file=path, context=context, client_configuration=settings, persist_config=False
            )
            namespace = loader.current_context["context"].get("namespace") or "default"
    except (config.ConfigException, OSError, KeyError) as error:
        raise ConnectionSetupError(
            f"no Kubernetes cluster: {error} (looked at {path}); set KUBECONFIG or --context, "
            "or start one with `batchwright local up`"
        ) from error
    tls = ssl.create_default_context(cafile=settings.ssl_ca_cert, cadata=settings.ca_cert_data)
    if settings.cert_file:
        tls.load_cert_chain(settings.cert_file, keyfile=settings.key_file)
    if not settings.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return Connection(settings.host.rstrip("/"), tls, namespace, settings)
