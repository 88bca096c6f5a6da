"""Argo CD's sync and comparison, as far as objects of ours meet them (gitops-engine: sync, diff).

A sync applies hooks and resources by phase and wave, and goes on when our health scripts call all of a wave Healthy.
Two comparisons are there: the three-way merge of what was last applied, what is wanted and what is there (of custom
resources a JSON merge patch), and the server-side dry run of what is wanted. Neither may find a difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import yaml

from apiserver import RESOURCES, ApiServer, Manifest
from argolua import health_of
from kubecluster import Cluster

HOOK: Final = "argocd.argoproj.io/hook"
WAVE: Final = "argocd.argoproj.io/sync-wave"
TRACKING: Final = "argocd.argoproj.io/tracking-id"
OPTIONS: Final = "argocd.argoproj.io/sync-options"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
MANAGER: Final = "argocd-controller"
PHASES: Final = ("PreSync", "Sync", "PostSync")
# What the server keeps of every object, and a dry run changes.
_SERVERS_OWN: Final = ("managedFields", "resourceVersion", "generation")


@dataclass(frozen=True)
class Done:
    """One object of a sync: when it was made, and what became of it."""

    phase: str
    wave: int
    kind: str
    name: str
    health: dict[str, str]


class SyncFailed(Exception):
    """A hook or a resource is Degraded."""


def read_application(directory: Path, application: str, namespace: str) -> list[Manifest]:
    """The manifests of a directory as Argo CD would apply them: in the namespace, and marked as the Application's."""
    found = [each for path in sorted(directory.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())]
    return [prepared(each, application, namespace) for each in found]


def prepared(manifest: Manifest, application: str, namespace: str) -> Manifest:
    """The manifest with what Argo CD adds to it."""
    _, _, namespaced = RESOURCES[manifest["kind"]]
    metadata = dict(manifest["metadata"])
    if namespaced:
        metadata["namespace"] = namespace
    group = manifest["apiVersion"].partition("/")[0]
    mark = f"{application}:{group}/{manifest['kind']}:{metadata.get('namespace', '')}/{metadata['name']}"
    metadata["annotations"] = {**metadata.get("annotations", {}), TRACKING: mark}
    return {**manifest, "metadata": metadata}


def sync(cluster: Cluster, manifests: Iterable[Manifest], seconds: int = 60) -> list[Done]:
    """Applies phase by phase and wave by wave, each when the one before it is Healthy; what was done, in order.

    Raises SyncFailed with Argo CD's message for what is Degraded, TimeoutError for what stays neither.
    """
    api = ApiServer(cluster.kubeconfig)
    done = []
    for (phase, wave), group in groupby(sorted(manifests, key=_turn), key=_turn):
        listed = list(group)
        for each in listed:
            _apply(cluster, api, each)
        for each in listed:
            kind, metadata = each["kind"], each["metadata"]
            live = api.wait_for(kind, metadata["name"], metadata.get("namespace"), _is_decided, seconds)
            health = health_of(live)
            if health["status"] != "Healthy":
                raise SyncFailed(f"{kind} {metadata['name']}: {health['message']}")
            done.append(Done(PHASES[phase], wave, kind, metadata["name"], health))
    return done


def _turn(manifest: Manifest) -> tuple[int, int]:
    annotations = manifest["metadata"]["annotations"]
    return PHASES.index(annotations.get(HOOK, "Sync")), int(annotations.get(WAVE, "0"))


def _apply(cluster: Cluster, api: ApiServer, manifest: Manifest) -> None:
    metadata = manifest["metadata"]
    if HOOK in metadata["annotations"]:
        where = ["-n", metadata["namespace"]] if "namespace" in metadata else []
        # BeforeHookCreation, the policy where none is given.
        cluster.kubectl("delete", manifest["kind"], metadata["name"], *where, "--ignore-not-found", "--wait")
        api.create(manifest)
        return
    if "Replace=true" in metadata["annotations"].get(OPTIONS, ""):
        _replace(cluster, api, manifest)
        return
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def _replace(cluster: Cluster, api: ApiServer, manifest: Manifest) -> None:
    """With the option ApplyOutOfSyncOnly: what is Synced is left alone. Without it, each sync would replace it."""
    metadata = manifest["metadata"]
    live = api.find(manifest["kind"], metadata["name"], metadata.get("namespace"))
    if live is None:
        api.create(manifest)
    elif merged_differences(live, manifest):
        force = ["--force"] if "Force=true" in metadata["annotations"][OPTIONS] else []
        cluster.kubectl("replace", *force, "-f", "-", stdin=json.dumps(manifest))


def _is_decided(live: Manifest) -> bool:
    return health_of(live)["status"] in ("Healthy", "Degraded")


def differences(api: ApiServer, wanted: Manifest) -> list[str]:
    """What Argo CD would show as a difference of the object, by either comparison; [] where it is Synced."""
    metadata = wanted["metadata"]
    live = api.find(wanted["kind"], metadata["name"], metadata.get("namespace"))
    if live is None:
        return ["the object is missing"]
    dry = _server_side(api, wanted)
    return merged_differences(live, wanted) + [
        f"dry run: {path}" for path in changed(_comparable(live), _comparable(dry))
    ]


def merged_differences(live: Manifest, wanted: Manifest) -> list[str]:
    """The first of the comparisons, which asks nobody."""
    applied = json.loads(live["metadata"].get("annotations", {}).get(LAST_APPLIED, "null")) or wanted
    return [f"merged: {path}" for path in changed(live, three_way(applied, wanted, live))]


def three_way(applied: Any, wanted: Any, live: Any) -> Any:
    """`live` with what is wanted, and without what was applied and is wanted no more (jsonmergepatch, three-way)."""
    if not (isinstance(wanted, dict) and isinstance(live, dict)):
        return wanted
    before = applied if isinstance(applied, dict) else {}
    kept = {key: value for key, value in live.items() if key in wanted or key not in before}
    return kept | {
        key: three_way(before.get(key), value, live[key]) if key in live else value for key, value in wanted.items()
    }


def changed(before: Any, after: Any, path: str = "") -> list[str]:
    """The paths at which two objects differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return [each for key in keys for each in changed(before.get(key), after.get(key), f"{path}.{key}")]
    return [] if before == after else [f"{path}: {before!r} is there, {after!r} is wanted"]


def _server_side(api: ApiServer, wanted: Manifest) -> Manifest:
    metadata = wanted["metadata"]
    group, plural, namespaced = RESOURCES[wanted["kind"]]
    where = f"/namespaces/{metadata['namespace']}" if namespaced else ""
    query = {"dryRun": "All", "fieldManager": MANAGER, "force": "true"}
    path = f"{group}{where}/{plural}/{metadata['name']}"
    answer: Manifest = api.request("PATCH", path, wanted, query, content_type="application/apply-patch+yaml")
    return answer


def _comparable(manifest: Manifest) -> Manifest:
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _SERVERS_OWN}
    return {**manifest, "metadata": metadata}
