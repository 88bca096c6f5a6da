"""A small synchronous client of the API server for tests: plain dicts in and out, refusals as `Refused`.

Only tests use it: it talks to the server as a user would, through none of the operator's own code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config
from urllib3 import HTTPResponse

Manifest = dict[str, Any]

# The largest objects take the API server 10 s to validate, and more on a busy machine.
REQUEST_SECONDS = 60

# kind -> (path of the API group and version, plural, namespaced)
RESOURCES: Mapping[str, tuple[str, str, bool]] = {
    "BatchJob": ("/apis/batchwright.io/v1alpha1", "batchjobs", True),
    "JobDefinition": ("/apis/batchwright.io/v1alpha1", "jobdefinitions", True),
    "JobQueue": ("/apis/batchwright.io/v1alpha1", "jobqueues", False),
    "ComputeEnvironment": ("/apis/batchwright.io/v1alpha1", "computeenvironments", False),
    "SchedulingPolicy": ("/apis/batchwright.io/v1alpha1", "schedulingpolicies", False),
    "ConsumableResource": ("/apis/batchwright.io/v1alpha1", "consumableresources", False),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", False),
    "Namespace": ("/api/v1", "namespaces", False),
    "Node": ("/api/v1", "nodes", False),
    "Pod": ("/api/v1", "pods", True),
    "Event": ("/api/v1", "events", True),
    "Secret": ("/api/v1", "secrets", True),
    "ConfigMap": ("/api/v1", "configmaps", True),
    "Service": ("/api/v1", "services", True),
    "Endpoints": ("/api/v1", "endpoints", True),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices", True),
    "ResourceQuota": ("/api/v1", "resourcequotas", True),
    "ServiceAccount": ("/api/v1", "serviceaccounts", True),
    "Job": ("/apis/batch/v1", "jobs", True),
    "ControllerRevision": ("/apis/apps/v1", "controllerrevisions", True),
    "PriorityClass": ("/apis/scheduling.k8s.io/v1", "priorityclasses", False),
    "PodGroup": ("/apis/scheduling.k8s.io/v1beta1", "podgroups", True),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases", True),
}


@dataclass
class Refused(Exception):
    """The API server answered with an error: HTTP status, its message, and (field, message) of each cause."""

    status: int
    message: str
    causes: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.message}"


class ApiServer:
    """Requests to one API server with the rights of one kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        self._client: ApiClient = new_client_from_config(config_file=str(kubeconfig))

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, object] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """Send one request and return the decoded answer; `Refused` on every status from 400."""
        parameters = self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        # rest_client does not raise: call_api would hide the causes in an exception's text.
        response = self._client.rest_client.request(
            parameters[0], parameters[1], headers=parameters[2], body=parameters[3], _request_timeout=REQUEST_SECONDS
        )
        answer = json.loads(response.read())
        if response.status >= 400:
            causes = answer.get("details", {}).get("causes", [])
            raise Refused(
                status=response.status,
                message=answer.get("message", ""),
                causes=[(cause.get("field", ""), cause.get("message", "")) for cause in causes],
            )
        return answer

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create the object; unknown fields are refused."""
        path = _path(manifest["kind"], manifest["metadata"].get("namespace"))
        return self._sent("POST", path, manifest, {"dryRun": "All"} if dry_run else {})

    def replace(self, manifest: Manifest) -> Manifest:
        """Replace the object (its metadata.resourceVersion, if given, must be the present one)."""
        return self._sent("PUT", _path_of(manifest), manifest, {})

    def write_status(self, manifest: Manifest) -> Manifest:
        """Replace the object's status."""
        return self._sent("PUT", f"{_path_of(manifest)}/status", manifest, {})

    def post_once(self, path: str, body: bytes) -> int:
        """The HTTP status of a creation, sent as it is: it may be nothing that Python can encode, or be meant to be
        refused, with a 500 too."""
        response = self._client.rest_client.pool_manager.request(
            "POST",
            f"{self._client.configuration.host}{path}",
            body=body,
            headers={**self._authorization(), "Content-Type": "application/json"},
            timeout=REQUEST_SECONDS,
        )
        return int(response.status)

    def patch(self, kind: str, name: str, namespace: str | None, change: Mapping[str, object]) -> Manifest:
        """Merge `change` into the object."""
        path = f"{_path(kind, namespace)}/{quote(name)}"
        answer: Manifest = self.request("PATCH", path, change, content_type="application/merge-patch+json")
        return answer

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete the object in the background; nothing happens when it is not there."""
        try:
            self.request("DELETE", f"{_path(kind, namespace)}/{quote(name)}", {"propagationPolicy": "Background"})
        except Refused as refused:
            if refused.status != 404:
                raise

    def find(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """The object, or None when there is none."""
        try:
            found: Manifest = self.request("GET", f"{_path(kind, namespace)}/{quote(name)}")
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        return found

    def list(self, kind: str, namespace: str | None = None, **selectors: str) -> list[Manifest]:
        """The objects of a kind; `fieldSelector` and `labelSelector` as the API has them."""
        items: list[Manifest] = self.request("GET", _path(kind, namespace), query=selectors)["items"]
        return items

    def wait_for(
        self, kind: str, name: str, namespace: str | None, condition: Callable[[Manifest], bool], seconds: int = 30
    ) -> Manifest:
        """Watch the object until `condition` holds of it; TimeoutError, with its last state, after `seconds`."""
        response = self.watch(kind, namespace, seconds, fieldSelector=f"metadata.name={name}")
        last: Manifest = {}
        try:
            for line in response:
                event = json.loads(line)
                if event["type"] in ("ADDED", "MODIFIED"):
                    last = event["object"]
                    if condition(last):
                        return last
        finally:
            response.close()
        raise TimeoutError(f"{kind} {name} did not come to the wanted state within {seconds} s; last seen: {last}")

    def watch(
        self, kind: str, namespace: str | None, seconds: int, *, accept: str = "application/json", **query: str
    ) -> HTTPResponse:
        """A watch of a kind, one event a line; the API server ends it after `seconds`, and the caller closes it."""
        response: HTTPResponse = self._client.rest_client.pool_manager.request(
            "GET",
            f"{self._client.configuration.host}{_path(kind, namespace)}",
            fields={"watch": "true", "timeoutSeconds": seconds, **query},
            headers={**self._authorization(), "Accept": accept},
            preload_content=False,
            timeout=seconds + REQUEST_SECONDS,
        )
        return response

    def _authorization(self) -> dict[str, str]:
        return {setting["key"]: setting["value"] for setting in self._client.configuration.auth_settings().values()}

    def _sent(self, method: str, path: str, manifest: Manifest, query: Mapping[str, object]) -> Manifest:
        answer: Manifest = self.request(method, path, manifest, {"fieldValidation": "Strict", **query})
        return answer


def _path(kind: str, namespace: str | None) -> str:
    group, plural, namespaced = RESOURCES[kind]
    return f"{group}/namespaces/{namespace}/{plural}" if namespaced and namespace else f"{group}/{plural}"


def _path_of(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{_path(manifest['kind'], metadata.get('namespace'))}/{quote(metadata['name'])}"
