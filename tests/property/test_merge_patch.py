"""merge_patch against RFC 7386: what is patched becomes what was wanted."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batchwright.cluster.writes import merge_patch

KEYS = st.sampled_from("abcd")
# Statuses hold no nulls: absent fields are left out.
LEAVES = st.one_of(st.integers(0, 3), st.text("xy", max_size=2), st.booleans(), st.lists(st.integers(0, 2), max_size=2))
OBJECTS = st.recursive(
    st.dictionaries(KEYS, LEAVES, max_size=3),
    lambda inner: st.dictionaries(KEYS, st.one_of(LEAVES, inner), max_size=3),
    max_leaves=12,
)


def apply(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, as it stands there."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply(result.get(name), value)
    return result


@given(OBJECTS, OBJECTS)
def test_the_patch_leads_from_held_to_wanted(wanted: dict[str, Any], held: dict[str, Any]) -> None:
    assert apply(held, merge_patch(wanted, held)) == wanted


@given(OBJECTS, OBJECTS)
def test_a_patch_is_empty_only_when_nothing_is_new(wanted: dict[str, Any], held: dict[str, Any]) -> None:
    assert (merge_patch(wanted, held) == {}) == (wanted == held)
