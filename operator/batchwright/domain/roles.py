"""Which IAM roles a queue lets its jobs have: the counterpart of `iam:PassRole`, which Kubernetes has none of."""

from __future__ import annotations

from collections.abc import Iterable


def is_allowed(role: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns is the role; `*` in a pattern stands for any characters, also none, also `/`."""
    return any(_matches(role, pattern) for pattern in patterns)


def _matches(text: str, pattern: str) -> bool:
    # By hand: a regular expression of many stars can take for ever.
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    *middle, last = others
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    rest, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, rest, end)
        if found < 0:
            return False
        rest = found + len(part)
    return True
