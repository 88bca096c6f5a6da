"""`Ref::name` in commands, replaced by job parameters (AWS Batch User Guide, job definition parameters)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

MARK = "Ref::"


def substitute(arguments: Sequence[str], parameters: Mapping[str, str]) -> tuple[str, ...]:
    """`arguments` with every `Ref::name` of a known parameter replaced by its value, anywhere in an argument.

    Of several known names that fit, the longest wins; a `Ref::` of an unknown name stays as it is, as in AWS. Values
    are inserted as they are: a `Ref::` inside a value is not looked at again.
    """
    if not parameters or not any(MARK in argument for argument in arguments):
        return tuple(arguments)
    # Alternatives are tried in order, so the longest comes first.
    names = sorted(parameters, key=len, reverse=True)
    known = re.compile(MARK + "(" + "|".join(re.escape(name) for name in names) + ")")
    return tuple(known.sub(lambda found: parameters[found[1]], argument) for argument in arguments)
