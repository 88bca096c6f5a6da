"""Rules of the API as the API server's CEL and as pydantic's checks.

`Rule`, `rules()` and `list_map()` become `x-kubernetes-*` extensions of the CRD. `Matching`, `Between` and `AtLeast`
are checked twice, by pydantic here and by a CEL rule in the API server, because a JSON schema's own `pattern`,
`minimum` or `minItems` would answer with the bare bound instead of a sentence that says the way out. (And a `minimum`
or `maximum` that is not whole is cut to a whole number by the API server where the value is whole: seen in 1.37.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sized
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, JsonValue
from pydantic_core import CoreSchema, core_schema

VALIDATIONS = "x-kubernetes-validations"
PRESERVE: dict[str, JsonValue] = {"x-kubernetes-preserve-unknown-fields": True}

# FieldValueDuplicate is left out: the API server then drops the rule's message.
RefusalReason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"]


@dataclass(frozen=True)
class Rule:
    """A CEL rule of one schema node: in `rules()` for a model, or itself an annotation of a field's type.

    `field_path` (such as ".value", relative to the node) is the field the refusal names, when it is not the node.
    """

    cel: str
    message: str
    field_path: str | None = None
    reason: RefusalReason | None = None

    def to_extension(self) -> dict[str, JsonValue]:
        """The rule as an entry of `x-kubernetes-validations`."""
        entry: dict[str, JsonValue] = {"rule": self.cel, "message": self.message}
        if self.field_path is not None:
            entry["fieldPath"] = self.field_path
        if self.reason is not None:
            entry["reason"] = self.reason
        return entry

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        node = dict(handler(schema))
        node[VALIDATIONS] = [*node.get(VALIDATIONS, []), self.to_extension()]
        return node


@dataclass(frozen=True)
class Matching:
    """Annotates a string that must match `pattern` as a whole; `message` is what both refusals say.

    The pattern is anchored and keeps to what Python and RE2 read alike (no look-around, no single quotes).
    """

    pattern: str
    message: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        compiled = re.compile(self.pattern, re.ASCII)

        def check(value: str) -> str:
            if compiled.fullmatch(value) is None:
                raise ValueError(self.message)
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return Rule(f"self.matches(r'{self.pattern}')", self.message).__get_pydantic_json_schema__(schema, handler)


@dataclass(frozen=True)
class Between:
    """Annotates a number from `low` to `high`; `message` is what both refusals say.

    Both bounds are of the field's type: CEL compares no whole number with one that is not.
    """

    low: float
    high: float
    message: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def check(value: float) -> float:
            if not self.low <= value <= self.high:
                raise ValueError(self.message)
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        rule = Rule(f"self >= {self.low} && self <= {self.high}", self.message)
        return rule.__get_pydantic_json_schema__(schema, handler)


@dataclass(frozen=True)
class AtLeast:
    """Annotates a list of `low` entries or more; `message` is what both refusals say."""

    low: int
    message: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def check(value: Sized) -> Sized:
            if len(value) < self.low:
                raise ValueError(self.message)
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return Rule(f"self.size() >= {self.low}", self.message).__get_pydantic_json_schema__(schema, handler)


def rules(*listed: Rule) -> dict[str, JsonValue]:
    """CEL rules of a model's own schema node, for its `json_schema_extra`."""
    return {VALIDATIONS: [rule.to_extension() for rule in listed]}


def list_map(*keys: str) -> dict[str, JsonValue]:
    """Makes a list a map by `keys`: duplicates are refused, and server-side apply merges by key."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def exactly_one(fields: Iterable[str]) -> Rule:
    """A rule that exactly one of `fields` is given."""
    names = list(fields)
    present = ", ".join(f"has(self.{name})" for name in names)
    listed = " and ".join([", ".join(names[:-1]), names[-1]])
    return Rule(f"[{present}].filter(given, given).size() == 1", f"give exactly one of {listed}")
