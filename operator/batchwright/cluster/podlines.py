"""What can be told of a pod's watch event from its line, before it is decoded."""

from __future__ import annotations

from typing import Final

from batchwright import names

_PENDING: Final = b'"phase":"Pending"'
_ELEMENT: Final = f'"{names.LABEL_ARRAY}":"true"'.encode()
# A quote within a string is escaped, and names in managedFields begin with f: or k:, so none of these is found there.
_TELLING: Final = (
    b'"containerStatuses":',
    b'"initContainerStatuses":',
    b'"schedulingGates":',
    b'"deletionTimestamp":',
    b'"reason":"Unschedulable"',
    b'"type":"DisruptionTarget"',
    f'"type":"{names.GROUP}/'.encode(),
)


def is_on_its_way(line: bytes) -> bool:
    """Whether a MODIFIED event says no more of an array's element than that it has lost its gate, which we took off, or
    was bound to a node, on which nothing has begun: the kubelet's first word has the node too, and follows at once.
    They are two of the six events of such a pod."""
    return _PENDING in line and _ELEMENT in line and not any(each in line for each in _TELLING)
