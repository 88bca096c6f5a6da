"""Dependency cycles by name: jobs that wait for each other wait for ever. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def find_cycle(graph: Mapping[str, Sequence[str]], starts: Iterable[str]) -> list[str] | None:
    """A cycle that can be reached from `starts`, as the names along it with the first repeated at the end; or None.

    `graph` maps a job's name to the names it depends on; a name that is no key depends on nothing. Works without
    recursion: chains may be thousands of jobs long.
    """
    settled: set[str] = set()
    for start in starts:
        if start in settled:
            continue
        path, on_path = [start], {start}
        ahead = [iter(graph.get(start, ()))]
        while path:
            following = next(ahead[-1], None)
            if following is None:
                ahead.pop()
                done = path.pop()
                on_path.discard(done)
                settled.add(done)
            elif following in on_path:
                return [*path[path.index(following) :], following]
            elif following not in settled:
                path.append(following)
                on_path.add(following)
                ahead.append(iter(graph.get(following, ())))
    return None


def say_cycle(cycle: Sequence[str]) -> str:
    """`a → b → a`, each waiting for the next."""
    return " → ".join(cycle)
