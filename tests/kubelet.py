"""What the kubelet makes of `$(NAME)` (k8s.io/kubernetes, third_party/forked/golang/expansion), and of variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_OPERATOR = re.compile(r"\$(\$|\(([^)]*)\))")

_FIELD = re.compile(r"metadata\.(annotations|labels)\['(.*)'\]")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` of a known name becomes its value, of an unknown one stays, and `$$` becomes `$`; no second pass."""

    def replaced(found: re.Match[str]) -> str:
        if found[1] == "$":
            return "$"
        return variables.get(found[2], found[0])

    return _OPERATOR.sub(replaced, text)


def environment(container: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, str]:
    """The container's variables as its process sees them, in a pod of that metadata; a later one may refer to an
    earlier one."""
    seen: dict[str, str] = {}
    for variable in container.get("env", ()):
        if "valueFrom" in variable:
            found = _FIELD.fullmatch(variable["valueFrom"]["fieldRef"]["fieldPath"])
            assert found is not None, variable
            seen[variable["name"]] = metadata[found[1]][found[2]]
        else:
            seen[variable["name"]] = expand(variable.get("value", ""), seen)
    return seen


def command_line(container: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[str]:
    """Command and arguments as the process gets them."""
    seen = environment(container, metadata)
    return [expand(text, seen) for field in ("command", "args") for text in container.get(field, ())]
