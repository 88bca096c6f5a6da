"""What makes a Job an array: completions by position, and what each element's containers are told.

The operator speaks of indexes, the Kubernetes Job of positions (completion indexes): position k is the k-th index that
runs, so that for a whole array they are the same, and the downward API gives the index. Where they differ, and where
elements have parameters, the template carries what a MutatingAdmissionPolicy (`workloads.elementpolicy`) makes of it:
- the annotation names.ANNOTATION_ITEMS: the columns of the table, each as a head (name, stride, number of values) and
  chunks of CHUNK values;
- the annotation names.ANNOTATION_INDEXES: the runs of indexes, each as "first position:last position:first index", in
  chunks of CHUNK runs, each with its first and last position before them;
- a variable with an empty value for each thing the policy fills in, at its place: after AWS Batch's own, before the
  user's, so that those may refer to it. AWS_BATCH_JOB_ID refers to the index, hence needs no policy;
- the gate names.GATE_ELEMENTS and the label names.LABEL_ELEMENTS.
Chunks, because the policy works through the text for every pod: a look at each of 3,000 runs took the API server 40 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from batchwright import names
from batchwright.domain.indexes import Runs, count
from batchwright.domain.items import Column, ItemTable
from batchwright.errors import WorkloadError
from batchwright.workloads.arguments import literal
from batchwright.workloads.podtemplate import ROOT
from batchwright.workloads.shapes import Wire, child_list, child_object

ARRAY_INDEX: Final = "AWS_BATCH_JOB_ARRAY_INDEX"
ARRAY_SIZE: Final = "AWS_BATCH_JOB_ARRAY_SIZE"

# ASCII's group, record and unit separators, which no value may have (domain.items).
COLUMN_SEPARATOR: Final = "\x1d"
CHUNK_SEPARATOR: Final = "\x1e"
VALUE_SEPARATOR: Final = "\x1f"
RUNS_SEPARATOR: Final = ";"
HEAD_SEPARATOR: Final = "/"
RUN_SEPARATOR: Final = ","
PLACE_SEPARATOR: Final = ":"
CHUNK: Final = 64
# Kubernetes' limit for the annotations of an object together, names and values (apimachinery, ValidateAnnotations).
MAX_ANNOTATION_BYTES: Final = 256 * 1024

_OURS: Final = (names.ANNOTATION_ITEMS, names.ANNOTATION_INDEXES)


_Part = TypeVar("_Part")


@dataclass(frozen=True)
class ArrayWork:
    """An array as one Indexed Job.

    `size` is that of the whole array, `indexes` the runs of those that run, `parallelism` that of the Job at its
    creation. With `gated` every pod comes with the gate names.GATE_ADMISSION. `table` has the elements' parameters.
    """

    size: int
    indexes: Runs
    parallelism: int
    gated: bool
    table: ItemTable | None = None

    @property
    def completions(self) -> int:
        """How many elements run."""
        return count(self.indexes)

    @property
    def is_whole(self) -> bool:
        """Whether all elements run, so that a position is an index."""
        return self.indexes == ((0, self.size - 1),)

    @property
    def item_names(self) -> tuple[str, ...]:
        """Names of the elements' parameters."""
        return () if self.table is None else self.table.names

    @property
    def needs_policy(self) -> bool:
        """Whether a pod gets its index or parameters from the admission policy."""
        return self.table is not None or not self.is_whole


def check_policy(work: ArrayWork, *, acts: bool) -> None:
    """Raises WorkloadError when the array needs the admission policy of elements, and it does not act."""
    if work.needs_policy and not acts:
        field = "arrayProperties.items" if work.table is not None else "arrayProperties.indexes"
        raise WorkloadError(
            f"{field} needs the MutatingAdmissionPolicy {names.ELEMENT_POLICY}, which does not act on this cluster "
            "(Kubernetes has the kind from 1.36 on; the operator's log says what was wrong at its start): run the "
            f"whole array, and let each element find its parameters by {ARRAY_INDEX}"
        )


def array_variables(work: ArrayWork) -> list[Wire]:
    """The variables with index and size, in their order, for every container."""
    return [_index_variable(work), {"name": ARRAY_SIZE, "value": str(work.size)}]


def item_variables(work: ArrayWork) -> list[Wire]:
    """A place for each parameter, which the policy fills in."""
    return [{"name": name, "value": ""} for name in work.item_names]


def _index_variable(work: ArrayWork) -> Wire:
    if work.needs_policy:
        return {"name": ARRAY_INDEX, "value": ""}
    field = {"fieldPath": f"metadata.annotations['{names.POD_INDEX}']"}
    return {"name": ARRAY_INDEX, "valueFrom": {"fieldRef": field}}


def mark_elements(template: Wire, work: ArrayWork | None) -> None:
    """Labels, annotations and gate of the template, in place of any of that name. Raises WorkloadError."""
    metadata = child_object(template, "metadata", ROOT)
    labels = child_object(metadata, "labels", f"{ROOT}.metadata")
    annotations = child_object(metadata, "annotations", f"{ROOT}.metadata")
    for label in (names.LABEL_ARRAY, names.LABEL_ELEMENTS):
        labels.pop(label, None)
    for annotation in _OURS:
        annotations.pop(annotation, None)
    if work is None:
        return
    labels[names.LABEL_ARRAY] = "true"
    if not work.needs_policy:
        return
    labels[names.LABEL_ELEMENTS] = "true"
    if work.table is not None:
        annotations[names.ANNOTATION_ITEMS] = encode_items(work.table)
    if not work.is_whole:
        annotations[names.ANNOTATION_INDEXES] = encode_runs(work.indexes)
    _check_room(annotations)
    child_list(template["spec"], "schedulingGates", f"{ROOT}.spec").append({"name": names.GATE_ELEMENTS})


def encode_items(table: ItemTable) -> str:
    """The table as text, values as the kubelet must read them."""
    return COLUMN_SEPARATOR.join(map(_encode_column, table.columns))


def _encode_column(column: Column) -> str:
    head = (column.name, str(column.stride), str(len(column.values)))
    chunks = [tuple(map(literal, chunk)) for chunk in _chunks(column.values)]
    return CHUNK_SEPARATOR.join(VALUE_SEPARATOR.join(part) for part in (head, *chunks))


def encode_runs(indexes: Runs) -> str:
    """Where each run is, as its first and last position and its first index: "0:3/0:0:3,1:3:7" for 3,7-9."""
    places: list[tuple[int, int, int]] = []
    position = 0
    for first, last in indexes:
        places.append((position, position + last - first, first))
        position += last - first + 1
    return RUNS_SEPARATOR.join(
        f"{chunk[0][0]}{PLACE_SEPARATOR}{chunk[-1][1]}{HEAD_SEPARATOR}"
        + RUN_SEPARATOR.join(PLACE_SEPARATOR.join(map(str, place)) for place in chunk)
        for chunk in _chunks(places)
    )


def _chunks(parts: Sequence[_Part]) -> list[Sequence[_Part]]:
    return [parts[start : start + CHUNK] for start in range(0, len(parts), CHUNK)]


def _check_room(annotations: dict[str, Any]) -> None:
    sizes = {name: len(f"{name}{value}".encode(errors="surrogatepass")) for name, value in annotations.items()}
    total = sum(sizes.values())
    if total > MAX_ANNOTATION_BYTES:
        ours = sum(sizes.get(name, 0) for name in _OURS)
        raise WorkloadError(
            f"arrayProperties.items and indexes take {ours} bytes of annotations, and the pod template's other "
            f"annotations {total - ours}; Kubernetes takes {MAX_ANNOTATION_BYTES} together: use shorter values, or "
            f"fewer annotations, or keep the table in a file and let each element read its row by {ARRAY_INDEX}"
        )
