"""Each element's parameters, and its index where only some run, by a MutatingAdmissionPolicy: still one Indexed Job.

The pod template carries the whole table in annotations, and a place for each variable (`workloads.array`); the policy
fills in the element's own row, and takes the annotations and the gate off the pod again.
- The gate names.GATE_ELEMENTS holds a pod which the policy never saw (it was deleted meanwhile, say): the pod waits,
  for all to see, and does not run with empty parameters.
- reinvocationPolicy Never: the first pass takes away what a second one would read.
- failurePolicy Fail: the Job controller tries again, and no pod is made without its row.
- Two mutations: server-side apply merges variables by name, at their places; to remove takes a JSON patch.
- A policy made a moment ago does not act yet, and its absence raises no error: create `probe_element` as a dry run, and
  go on when `shows_element` holds of the answer.
- Cost: CEL counts 0.2 for each character that is split, twice for the table, and little else, of 1,000,000 in
  all (k8s.io/apiserver, PerCallLimit).
"""

from __future__ import annotations

from typing import Any, Final

from batchwright import names
from batchwright.domain.items import Column, ItemTable
from batchwright.workloads.array import (
    ARRAY_INDEX,
    CHUNK,
    CHUNK_SEPARATOR,
    COLUMN_SEPARATOR,
    HEAD_SEPARATOR,
    PLACE_SEPARATOR,
    RUN_SEPARATOR,
    RUNS_SEPARATOR,
    VALUE_SEPARATOR,
    encode_items,
    encode_runs,
)
from batchwright.workloads.probe import build_probe, variables_of
from batchwright.workloads.shapes import Wire

_API = "admissionregistration.k8s.io/v1"
_NOTES = "object.metadata.annotations"

_CARRIERS: Final = (names.ANNOTATION_ITEMS, names.ANNOTATION_INDEXES)

_PROBED_POSITION: Final = 2
_PROBED_RUNS: Final = ((0, 1), (5, 5))
_PROBED_TABLE: Final = ItemTable((Column("PROBE", 3, ("wrong", "right")),), 6)
_PROBED_VARIABLES: Final = {ARRAY_INDEX: "5", "PROBE": "right"}


def build_element_policy() -> Wire:
    """The policy, cluster-wide, to be applied with `build_element_binding`."""
    return {
        "apiVersion": _API,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": names.ELEMENT_POLICY, "labels": {names.MANAGED_BY: names.FIELD_MANAGER}},
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {
                "objectSelector": {"matchLabels": {names.LABEL_ELEMENTS: "true"}},
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
                ],
            },
            "matchConditions": [
                {
                    "name": "pod-of-an-indexed-job",
                    "expression": f"has({_NOTES}) && '{names.POD_INDEX}' in {_NOTES}",
                }
            ],
            "variables": [{"name": name, "expression": cel} for name, cel in _VARIABLES.items()],
            "mutations": [
                {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": _fill_in()}},
                {"patchType": "JSONPatch", "jsonPatch": {"expression": _take_off()}},
            ],
        },
    }


def build_element_binding() -> Wire:
    """The binding that puts the policy into force everywhere."""
    return {
        "apiVersion": _API,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": names.ELEMENT_POLICY, "labels": {names.MANAGED_BY: names.FIELD_MANAGER}},
        "spec": {"policyName": names.ELEMENT_POLICY},
    }


def probe_element() -> Wire:
    """A pod for a dry-run create in any namespace."""
    annotations = {
        names.POD_INDEX: str(_PROBED_POSITION),
        names.ANNOTATION_INDEXES: encode_runs(_PROBED_RUNS),
        names.ANNOTATION_ITEMS: encode_items(_PROBED_TABLE),
    }
    return build_probe({names.LABEL_ELEMENTS: "true"}, annotations, (names.GATE_ELEMENTS,))


def shows_element(pod: Any) -> bool:
    """Whether the API server's answer to `probe_element` has index and parameter, and no gate: the policy acts."""
    filled = all(_PROBED_VARIABLES.items() <= variables.items() for variables in variables_of(pod))
    return filled and not pod["spec"].get("schedulingGates")


def _split(text: str, separator: str) -> str:
    return f"{text}.split('{separator.encode('unicode_escape').decode()}')"


def _has_position(place: str) -> str:
    """Whether the position is from the first number of the place to the second."""
    numbers = _split(place, PLACE_SEPARATOR)
    return f"int({numbers}[0]) <= variables.position && variables.position <= int({numbers}[1])"


def _chunk_of_runs() -> str:
    chunks = _split(f"{_NOTES}['{names.ANNOTATION_INDEXES}']", RUNS_SEPARATOR)
    head = _split("chunk", HEAD_SEPARATOR) + "[0]"
    return _split(f"{chunks}.filter(chunk, {_has_position(head)})[0]", HEAD_SEPARATOR) + "[1]"


def _run() -> str:
    runs = _split("variables.runs", RUN_SEPARATOR)
    return _split(f"{runs}.filter(run, {_has_position('run')})[0]", PLACE_SEPARATOR) + ".map(number, int(number))"


def _cells() -> str:
    """Of each column, the name and the element's value. A step for each thing that is used twice."""
    columns = f"('{names.ANNOTATION_ITEMS}' in {_NOTES} ? "
    columns += _split(f"{_NOTES}['{names.ANNOTATION_ITEMS}']", COLUMN_SEPARATOR) + " : [])"
    values = _split(f"part[0][1 + int(part[2][0]) / {CHUNK}]", VALUE_SEPARATOR)
    return (
        f"{columns}.map(column, {_split('column', CHUNK_SEPARATOR)})"
        f".map(chunks, [chunks, {_split('chunks[0]', VALUE_SEPARATOR)}])"
        ".map(part, [part[0], part[1], [string(variables.index / int(part[1][1]) % int(part[1][2]))]])"
        f".map(part, [part[1][0], {values}[int(part[2][0]) % {CHUNK}]])"
    )


# Each is computed when it is asked for, and once. To look at every run or value is what costs: CEL takes microseconds
# for each, and its lists grow by copying.
_VARIABLES: Final = {
    "position": f"int({_NOTES}['{names.POD_INDEX}'])",
    "runs": _chunk_of_runs(),
    "run": _run(),
    "index": f"'{names.ANNOTATION_INDEXES}' in {_NOTES} ? "
    "variables.run[2] + variables.position - variables.run[0] : variables.position",
    "row": f"[['{ARRAY_INDEX}', string(variables.index)]] + {_cells()}",
}


def _fill_in() -> str:
    # The second mutation writes the whole pod as JSON and reads it again: it gets the annotations without their text.
    emptied = ", ".join(f"'{name}': ''" for name in _CARRIERS)
    return (
        f"Object{{metadata: Object.metadata{{annotations: {{{emptied}}}}}, spec: Object.spec{{"
        f"containers: {_with_row('object.spec.containers', 'containers')}, "
        f"initContainers: {_with_row('object.spec.?initContainers.orValue([])', 'initContainers')}"
        "}}"
    )


def _with_row(listed: str, field: str) -> str:
    kind = f"Object.spec.{field}"
    variables = f"variables.row.map(cell, {kind}.env{{name: cell[0], value: cell[1]}})"
    return f"{listed}.map(each, {kind}{{name: each.name, env: {variables}}})"


def _take_off() -> str:
    # CEL's own objects have no form in JSON: each gate, which is a name, is made anew.
    gates = (
        f"object.spec.?schedulingGates.orValue([]).filter(gate, gate.name != '{names.GATE_ELEMENTS}')"
        ".map(gate, {'name': gate.name})"
    )
    annotations = [
        f"JSONPatch{{op: 'remove', path: '/metadata/annotations/' + jsonpatch.escapeKey('{name}')}}"
        for name in _CARRIERS
    ]
    return f"[{', '.join(annotations)}, JSONPatch{{op: 'add', path: '/spec/schedulingGates', value: {gates}}}]"
