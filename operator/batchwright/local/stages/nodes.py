"""Stages of simulated nodes: ready at once, then a heartbeat (kwok renews their leases itself)."""

from __future__ import annotations

from typing import Any, Final

from batchwright.local.stages.build import none_of, one_of, patch_status, stage

_READY: Final = '.status.conditions.[] | select( .type == "Ready" ) | .status'

_CONDITIONS: Final = """
{{ $now := Now }}
{{ $since := or .metadata.creationTimestamp $now }}
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $since | Quote }}
{{ end }}
addresses:
{{ with .status.addresses }}
{{ YAML . 1 }}
{{ else }}
{{ with NodeIP }}
- type: InternalIP
  address: {{ . | Quote }}
{{ end }}
- type: Hostname
  address: {{ NodeName | Quote }}
{{ end }}
{{ with NodePort }}
daemonEndpoints:
  kubeletEndpoint:
    Port: {{ . }}
{{ end }}
"""

_INFO: Final = """
{{ $info := or .status.nodeInfo dict }}
{{ $version := printf "kwok-%s" Version }}
nodeInfo:
  architecture: {{ or $info.architecture "amd64" | Quote }}
  operatingSystem: {{ or $info.operatingSystem "linux" | Quote }}
  bootID: {{ or $info.bootID "" | Quote }}
  machineID: {{ or $info.machineID "" | Quote }}
  systemUUID: {{ or $info.systemUUID "" | Quote }}
  osImage: {{ or $info.osImage "" | Quote }}
  containerRuntimeVersion: {{ or $info.containerRuntimeVersion $version | Quote }}
  kernelVersion: {{ or $info.kernelVersion $version | Quote }}
  kubeletVersion: {{ or $info.kubeletVersion $version | Quote }}
  kubeProxyVersion: {{ or $info.kubeProxyVersion $version | Quote }}
"""


def node_stages() -> list[dict[str, Any]]:
    """The Stages of nodes. Capacity and allocatable are the node's own: kwok invents none here."""
    return [
        stage("node-initialize", "Node", [none_of(_READY, "True")], [patch_status(_CONDITIONS + _INFO)]),
        stage(
            "node-heartbeat-with-lease",
            "Node",
            [one_of(_READY, "True")],
            [patch_status(_CONDITIONS)],
            # As kwok's own: leases tell that the node lives, so the status needs refreshing only now and then.
            delay={"durationMilliseconds": 600_000, "jitterDurationMilliseconds": 610_000},
        ),
    ]
