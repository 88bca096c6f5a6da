"""Bounding text that comes from outside to what the schema allows, and times to what the API server prints."""

from __future__ import annotations

from datetime import UTC, datetime

LIMIT = 1024


def bounded(text: str, limit: int = LIMIT) -> str:
    """`text`, cut to `limit` characters with an ellipsis: a message of the container runtime may be any length."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """The inverse of `timestamp`, for every RFC 3339 time of the API server."""
    return datetime.fromisoformat(text)
