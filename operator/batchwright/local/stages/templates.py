"""The Go templates of a simulated pod's status, one per stage, composed from shared parts.

`_OUTCOME` sets what every stage asks: `$bad` (what is wrong with the annotations, or ""), `$fails` (this element, on
this attempt, is to fail), `$reason`, `$code` (the deciding container's exit code) and `$decider` (its name).
Templates are sprig's and kwok's; YAML comes out.

An element's index is what its containers are told, where that stands in the pod: of an array that runs only some of its
elements, as a retry does, the completion index is but the position among those.
"""

from __future__ import annotations

from typing import Final

from batchwright import names
from batchwright.workloads.array import ARRAY_INDEX

_WAITING_REASONS: Final = (
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
)

_OUTCOME: Final = f"""
{{{{- $notes := or .metadata.annotations dict }}}}
{{{{- $seconds := get $notes "{names.SIMULATE_SECONDS}" }}}}
{{{{- $exit := get $notes "{names.SIMULATE_EXIT_CODE}" }}}}
{{{{- $indexes := get $notes "{names.SIMULATE_FAIL_INDEXES}" | nospace }}}}
{{{{- $attempts := get $notes "{names.SIMULATE_FAIL_ATTEMPTS}" }}}}
{{{{- $reason := get $notes "{names.SIMULATE_REASON}" }}}}
{{{{- $bad := "" }}}}
{{{{- if and $seconds (not (regexMatch "^[0-9]+([.][0-9]+)?$" $seconds)) }}}}
{{{{- $bad = printf "{names.SIMULATE_SECONDS}: %q is not a decimal number of seconds" $seconds }}}}
{{{{- else if and $exit (not (regexMatch "^[0-9]{{1,3}}$" $exit)) }}}}
{{{{- $bad = printf "{names.SIMULATE_EXIT_CODE}: %q is not an exit code, 0 to 255" $exit }}}}
{{{{- else if and $indexes (not (regexMatch "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$" $indexes)) }}}}
{{{{- $bad = printf "{names.SIMULATE_FAIL_INDEXES}: %q is not a list of indexes such as 0-9,12" $indexes }}}}
{{{{- else if and $attempts (not (regexMatch "^[0-9]+$" $attempts)) }}}}
{{{{- $bad = printf "{names.SIMULATE_FAIL_ATTEMPTS}: %q is not a number of attempts" $attempts }}}}
{{{{- end }}}}
{{{{- $code := 0 }}}}
{{{{- if $exit }}}}{{{{ $code = int $exit }}}}
{{{{- else if or (eq $reason "OOMKilled") (eq $reason "Evicted") }}}}{{{{ $code = 137 }}}}
{{{{- else if or (eq $reason "StartError") (eq $reason "ContainerCannotRun") }}}}{{{{ $code = 128 }}}}
{{{{- else if or $reason $indexes $attempts }}}}{{{{ $code = 1 }}}}
{{{{- end }}}}
{{{{- $fails := or (ne $code 0) (eq $reason "Evicted") }}}}
{{{{- if and $fails $indexes (not $bad) }}}}
{{{{- $node := get (or .metadata.labels dict) "{names.LABEL_NODE_INDEX}" }}}}
{{{{- $index := int (or $node (get $notes "{names.POD_INDEX}")) }}}}
{{{{- range (or (index .spec.containers 0).env list) }}}}
{{{{- if and (eq .name "{ARRAY_INDEX}") (regexMatch "^[0-9]+$" (or .value "")) }}}}
{{{{- $index = int .value }}}}
{{{{- end }}}}
{{{{- end }}}}
{{{{- $fails = false }}}}
{{{{- range splitList "," $indexes }}}}
{{{{- $ends := splitList "-" . }}}}
{{{{- if and (le (int (first $ends)) $index) (ge (int (last $ends)) $index) }}}}{{{{ $fails = true }}}}{{{{ end }}}}
{{{{- end }}}}
{{{{- end }}}}
{{{{- if and $fails $attempts }}}}
{{{{- $failed := int (get $notes "{names.POD_FAILURE_COUNT}") }}}}
{{{{- $ignored := int (get $notes "{names.POD_IGNORED_FAILURE_COUNT}") }}}}
{{{{- $fails = lt (int (add $failed $ignored)) (int $attempts) }}}}
{{{{- end }}}}
{{{{- if not $fails }}}}{{{{ $code = 0 }}}}{{{{ $reason = "" }}}}{{{{ end }}}}
{{{{- $decider := (index .spec.containers 0).name }}}}
{{{{- with get $notes "{names.DEFAULT_CONTAINER}" }}}}{{{{ $decider = . }}}}{{{{ end }}}}
{{{{- $now := Now }}}}
"""

_ADDRESSES: Final = """
{{ $hostIPs := NodeIPsWith .spec.nodeName }}
{{ with $hostIPs }}
hostIP: {{ index . 0 | Quote }}
hostIPs:
{{ range . }}
- ip: {{ . | Quote }}
{{ end }}
{{ end }}
{{ $hostNetwork := or .spec.hostNetwork false }}
{{ $podIPs := PodIPsWith .spec.nodeName $hostNetwork .metadata.uid .metadata.name .metadata.namespace }}
{{ with $podIPs }}
podIP: {{ index . 0 | Quote }}
podIPs:
{{ range . }}
- ip: {{ . | Quote }}
{{ end }}
{{ end }}
startTime: {{ $now | Quote }}
"""


def _conditions(initialized: str, ready: str, reason: str = "") -> str:
    """The kubelet's four conditions; `reason` explains those that are not True."""
    wanted = (
        ("PodReadyToStartContainers", ready if ready == "True" else "False", ""),
        ("Initialized", initialized, reason if reason == "PodCompleted" else ""),
        ("Ready", ready, reason),
        ("ContainersReady", ready, reason),
    )
    lines = ["conditions:"]
    for kind, status, why in wanted:
        lines += [f"- type: {kind}", f'  status: "{status}"', "  lastTransitionTime: {{ $now | Quote }}"]
        lines += [f"  reason: {why}"] if why else []
    return "\n".join(lines) + "\n"


_GATES: Final = """
{{ range .spec.readinessGates }}
- type: {{ .conditionType | Quote }}
  status: "True"
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
"""

_RUNNING_CONTAINERS: Final = """
{{ $id := printf "simulated://%s@%d" .metadata.uid (now).UnixMilli }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  containerID: {{ $id | Quote }}
  ready: true
  started: true
  restartCount: 0
  state:
    running:
      startedAt: {{ $now | Quote }}
{{ end }}
{{ with .spec.initContainers }}
initContainerStatuses:
{{ range . }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  containerID: {{ $id | Quote }}
  ready: true
  restartCount: 0
  {{ if eq (or .restartPolicy "") "Always" }}
  started: true
  state:
    running:
      startedAt: {{ $now | Quote }}
  {{ else }}
  started: false
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
  {{ end }}
{{ end }}
{{ end }}
"""

_WAITING_CONTAINERS: Final = """
{{ $waits := $reason }}
{{ $why := printf "simulated by the annotation %s" "REASON_ANNOTATION" }}
{{ if $bad }}{{ $waits = "CreateContainerConfigError" }}{{ $why = printf "annotation %s" $bad }}{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: false
  started: false
  restartCount: 0
  state:
    waiting:
      {{ if eq .name $decider }}
      reason: {{ $waits | Quote }}
      message: {{ $why | Quote }}
      {{ else }}
      reason: ContainerCreating
      {{ end }}
{{ end }}
""".replace("REASON_ANNOTATION", names.SIMULATE_REASON)

START: Final = (
    _OUTCOME
    + "{{ if or $bad (has $reason (list "
    + " ".join(f'"{reason}"' for reason in _WAITING_REASONS)
    + ")) }}\nphase: Pending\n"
    + _conditions("True", "False", "ContainersNotReady")
    + _WAITING_CONTAINERS
    + "{{ else }}\nphase: Running\n"
    + _conditions("True", "True")
    + _GATES
    + _RUNNING_CONTAINERS
    + "{{ end }}\n"
    + _ADDRESSES
)

# What `$old` is: the container's status so far, whose start and identity are kept.
_OLD: Final = """
{{ $old := dict }}
{{ range (or $status.containerStatuses list) }}{{ if eq .name $name }}{{ $old = . }}{{ end }}{{ end }}
{{ $started := dig "state" "running" "startedAt" $now $old }}
"""

_SIDECARS: Final = """
{{ with .spec.initContainers }}
initContainerStatuses:
{{ range . }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ or $status.startTime $now | Quote }}
      finishedAt: {{ $now | Quote }}
{{ end }}
{{ end }}
"""

END: Final = (
    _OUTCOME
    + """
{{ $status := .status }}
{{ if $fails }}
phase: Failed
{{ if eq $reason "Evicted" }}
reason: Evicted
message: 'The node was low on resource: memory. Simulated by the annotation REASON_ANNOTATION.'
{{ end }}
""".replace("REASON_ANNOTATION", names.SIMULATE_REASON)
    + _conditions("True", "False", "PodFailed")
    + """
{{ if eq $reason "Evicted" }}
- type: DISRUPTED
  status: "True"
  reason: TerminationByKubelet
  message: 'The node was low on resource: memory.'
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
{{ else }}
phase: Succeeded
""".replace("DISRUPTED", names.POD_CONDITION_DISRUPTED)
    + _conditions("True", "False", "PodCompleted")
    + """
{{ end }}
containerStatuses:
{{ range .spec.containers }}
{{ $name := .name }}
"""
    + _OLD
    + """
{{ $exitCode := 0 }}
{{ $why := "Completed" }}
{{ if and $fails (eq $name $decider) }}
{{ $exitCode = $code }}
{{ $why = "Error" }}
{{ if and $reason (ne $reason "Evicted") }}{{ $why = $reason }}{{ end }}
{{ end }}
- name: {{ $name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  containerID: {{ or $old.containerID "" | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      exitCode: {{ $exitCode }}
      reason: {{ $why | Quote }}
      containerID: {{ or $old.containerID "" | Quote }}
      startedAt: {{ $started | Quote }}
      finishedAt: {{ $now | Quote }}
{{ end }}
"""
    + _SIDECARS
)

# Like a kubelet: what ran is sent SIGTERM and obeys (143); what never started is reported lost (137).
TERMINATE: Final = (
    """
{{ $now := Now }}
{{ $status := .status }}
phase: Failed
"""
    + _conditions("True", "False", "PodFailed")
    + """
containerStatuses:
{{ range .spec.containers }}
{{ $name := .name }}
"""
    + _OLD
    + """
{{ $ran := dig "state" "running" "startedAt" "" $old }}
- name: {{ $name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  containerID: {{ or $old.containerID "" | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      {{ if $ran }}
      exitCode: 143
      reason: Error
      containerID: {{ or $old.containerID "" | Quote }}
      startedAt: {{ $started | Quote }}
      finishedAt: {{ $now | Quote }}
      {{ else }}
      exitCode: 137
      reason: ContainerStatusUnknown
      message: The container could not be located when the pod was terminated
      {{ end }}
{{ end }}
"""
    + _SIDECARS
)
