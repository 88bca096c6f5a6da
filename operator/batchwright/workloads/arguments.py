"""`Ref::name` in commands: job parameters by their values, an element's own parameters by reference.

A Job's pods share one command, so an element's parameter becomes `$(name)`, which the kubelet replaces by the variable
of that name. Only this reference may be live: a `$` just before it must not make it the escape `$$(name)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from batchwright.domain.placeholders import MARK, substitute

# `$$` is Kubernetes' escape of `$`, and is needed where `$(` or `$$` would be read (core/v1 Container, args).
_DOLLAR = re.compile(r"\$(?=[$(])")
_LAST_DOLLARS: Final = re.compile(r"\$*\Z")


def literal(text: str) -> str:
    """The text for a command or a variable's value such that the kubelet gives it to the container as it is."""
    return _DOLLAR.sub("$$", text) if "$" in text else text


def as_written(text: str) -> str:
    """The text of a podTemplate, in which `$(NAME)` has Kubernetes' meaning."""
    return text


def render_arguments(
    arguments: Iterable[str], parameters: Mapping[str, str], items: Collection[str], text: Callable[[str], str]
) -> list[str]:
    """The arguments with every known `Ref::name` replaced; of several names that fit the longest wins.

    `items` are the names of the element's own parameters, which win over job parameters. `text` is what becomes of the
    rest: `literal` or `as_written`.
    """
    if not items:
        return [text(argument) for argument in substitute(tuple(arguments), parameters)]
    listed = sorted({*parameters, *items}, key=lambda name: (-len(name), name))
    known = re.compile(MARK + "(" + "|".join(re.escape(name) for name in listed) + ")")
    return [_render(known.split(argument), parameters, items, text) for argument in arguments]


def _render(
    pieces: list[str], parameters: Mapping[str, str], items: Collection[str], text: Callable[[str], str]
) -> str:
    """`pieces` alternate between text and a name that was referred to."""
    rendered: list[str] = []
    pending = pieces[0]
    for name, following in zip(pieces[1::2], pieces[2::2], strict=True):
        if name in items:
            rendered += [_before_reference(text(pending)), f"$({name})"]
            pending = following
        else:
            pending += parameters[name] + following
    return "".join([*rendered, text(pending)])


def _before_reference(text: str) -> str:
    """An odd `$` at the end would take the reference's own for its escape."""
    found = _LAST_DOLLARS.search(text)
    assert found is not None, "it matches the empty text"  # nosec B101
    return text + "$" if len(found[0]) % 2 else text
