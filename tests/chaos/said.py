"""Every error was said once: in an event on the object it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from chaos.ground import Ground
from chaos.logrecords import Told, errors_to_be_said

PATIENCE_SECONDS = 30
# Events cut what is longer than their limit; this much of an error's words stands in them in any case.
WORDS = 200


def unsaid(told: Iterable[Told], events: Iterable[Mapping[str, Any]]) -> list[str]:
    """The errors that no event on what they are about tells of."""
    messages: dict[str, list[str]] = {}
    for event in events:
        messages.setdefault(event["involvedObject"]["name"], []).append(event.get("message", ""))
    return [
        f"logged, and said in no event: {each.what}, {', '.join(each.names)}: {each.error}"
        for each in told
        if not any(each.error[:WORDS] in message for name in each.names for message in messages.get(name, []))
    ]


def repeated(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """What was said more than once of the same object."""
    said = Counter(
        (event["involvedObject"].get("uid", ""), event["involvedObject"]["name"], event["reason"], event["message"])
        for event in events
    )
    return [
        f"said {count} times of {name}: {reason}: {message}"
        for (_, name, reason, message), count in said.items()
        if count > 1
    ]


def not_said_once(ground: Ground, log: str) -> list[str]:
    """What is wrong with the events of a round whose operator logged this."""
    told = errors_to_be_said(log)

    def ours() -> list[dict[str, Any]]:
        listed = ground.api.list("Event", ground.namespace) + ground.api.list("Event", "default")
        return [event for event in listed if event.get("reportingComponent") == "batchwright"]

    ground.until(lambda: not unsaid(told, ours()), PATIENCE_SECONDS)
    return unsaid(told, ours()) + repeated(ours())
