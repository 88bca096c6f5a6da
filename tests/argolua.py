"""Argo CD's Lua scripts as Argo CD runs them (util/lua/lua.go), in Lua 5.1: what it lets scripts use, and how it reads
what they return.

Argo CD's interpreter is gopher-lua, of which the language is that of Lua 5.1. Configured scripts get the base and table
libraries, and time and date of os; no string library, not even as methods of strings. A table without keys becomes a
JSON list, and so does one whose first key is a number, unless a number is missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import yaml
from lupa import lua51

from documentation import ROOT

JSON = dict[str, Any]
CUSTOMIZATIONS: Final = ROOT / "helm/argocd/resource_customizations"
HEALTH: Final = ("Unknown", "Progressing", "Suspended", "Healthy", "Degraded", "Missing")
_BASE: Final = """
    _G _VERSION assert collectgarbage error getfenv getmetatable ipairs next pairs pcall print rawequal rawget rawset
    select setfenv setmetatable tonumber tostring type unpack xpcall
"""
_OPEN: Final = frozenset([*_BASE.split(), "table", "os", "require"])


@dataclass(frozen=True)
class HealthCase:
    """One entry of a health_test.yaml."""

    resource: JSON
    want: JSON


@dataclass(frozen=True)
class DiscoveryCase:
    """One entry of an action_test.yaml's discoveryTests."""

    resource: JSON
    want: dict[str, JSON]


@dataclass(frozen=True)
class ActionCase:
    """One entry of an action_test.yaml's actionTests; what is wanted are (operation, object)."""

    resource: JSON
    action: str
    want: list[tuple[str, JSON]]


@dataclass(frozen=True)
class Impact:
    """What an action has Argo CD do: `create` a resource, or `patch` the one it was called on."""

    operation: str
    resource: JSON


def kinds() -> list[str]:
    """The kinds that have scripts, as `group/Kind`."""
    return sorted(path.parent.relative_to(CUSTOMIZATIONS).as_posix() for path in CUSTOMIZATIONS.glob("*/*/health.lua"))


def health_cases() -> dict[str, HealthCase]:
    """The cases of every health_test.yaml, by kind and file."""
    return {
        f"{kind}/{each['inputPath']}": HealthCase(_read(kind, each["inputPath"]), each["healthStatus"])
        for kind in kinds()
        for each in _read(kind, "health_test.yaml")["tests"]
    }


def discovery_cases() -> dict[str, DiscoveryCase]:
    """The discoveryTests of every action_test.yaml, by kind and file."""
    return {
        f"{kind}/{each['inputPath']}": DiscoveryCase(
            _read(kind, f"actions/{each['inputPath']}"),
            {found["name"]: {key: value for key, value in found.items() if key != "name"} for found in each["result"]},
        )
        for kind in kinds()
        for each in _action_tests(kind).get("discoveryTests", ())
    }


def action_cases() -> dict[str, ActionCase]:
    """The actionTests of every action_test.yaml, by kind, action and file."""
    return {
        f"{kind}/{each['action']} {each['inputPath']}": ActionCase(
            _read(kind, f"actions/{each['inputPath']}"),
            each["action"],
            _expected(_read(kind, f"actions/{each['expectedOutputPath']}")),
        )
        for kind in kinds()
        for each in _action_tests(kind).get("actionTests", ())
    }


def _read(kind: str, path: str) -> Any:
    return yaml.safe_load((CUSTOMIZATIONS / kind / path).read_text("utf-8"))


def _action_tests(kind: str) -> JSON:
    has_any = (CUSTOMIZATIONS / kind / "actions").is_dir()
    return dict(_read(kind, "actions/action_test.yaml")) if has_any else {}


def _expected(output: Any) -> list[tuple[str, JSON]]:
    if isinstance(output, list):
        return [(each["k8sOperation"], each["unstructuredObj"]) for each in output]
    return [("patch", output)]


def script(resource: JSON, path: str) -> str:
    """A script of the resource's kind, such as `health.lua`; FileNotFoundError where there is none."""
    group = resource["apiVersion"].partition("/")[0]
    return (CUSTOMIZATIONS / group / resource["kind"] / path).read_text("utf-8")


def health_of(resource: JSON) -> dict[str, str]:
    """The health that Argo CD would show of the resource."""
    found = evaluate(script(resource, "health.lua"), resource)
    assert isinstance(found, dict), f"a health script returns a table with status and message, not {found!r}"
    assert found.get("status") in HEALTH, f"{found.get('status')!r} is no health"
    assert found.keys() <= {"status", "message"}
    return found


def actions_of(resource: JSON) -> dict[str, JSON]:
    """The actions that Argo CD would offer, by name."""
    found = evaluate(script(resource, "actions/discovery.lua"), resource)
    assert isinstance(found, dict)
    return found


def act(resource: JSON, action: str) -> list[Impact]:
    """What the action would have Argo CD do."""
    found = evaluate(script(resource, f"actions/{action}/action.lua"), resource)
    impacts = (
        [Impact(each["operation"], each["resource"]) for each in found]
        if isinstance(found, list)
        else [Impact("patch", found)]
    )
    for each in impacts:
        assert each.operation in ("create", "patch")
    return [
        Impact(each.operation, _cleaned(each.resource, resource)) if each.operation == "patch" else each
        for each in impacts
    ]


def merge_patch(before: Any, after: Any) -> Any:
    """The merge patch (RFC 7396) from one object to the other, which is what Argo CD sends for `patch`."""
    patch: JSON = {key: None for key in before if key not in after}
    for key, value in after.items():
        if key in before and before[key] == value:
            continue
        both = isinstance(value, dict) and isinstance(before.get(key), dict)
        patch[key] = merge_patch(before[key], value) if both else value
    return patch


def evaluate(text: str, resource: JSON) -> Any:
    """What the script returns for the global `obj`, as JSON has it. Raises lupa's LuaError where the script does."""
    runtime = lua51.LuaRuntime(register_eval=False, register_builtins=False, unpack_returned_tuples=True)
    globals_ = runtime.globals()
    _close(runtime)
    globals_["obj"] = _to_lua(runtime, resource)
    return _to_json(runtime.execute(text), lua51.lua_type)


def _close(runtime: Any) -> None:
    """Leaves what Argo CD opens."""
    runtime.execute('getmetatable("").__index = nil')
    runtime.execute("""
        local date, time = os.date, os.time
        local safe = {date = date, time = time}
        os = safe
        require = function(name) if name == "os" then return safe end error("module " .. name .. " not found") end
    """)
    for name in list(runtime.globals().keys()):
        if name not in _OPEN:
            runtime.globals()[name] = None


def _to_lua(runtime: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return runtime.table_from({key: _to_lua(runtime, each) for key, each in value.items() if each is not None})
    if isinstance(value, list):
        return runtime.table_from([_to_lua(runtime, each) for each in value])
    return value


def _to_json(value: Any, lua_type: Any) -> Any:
    if lua_type(value) != "table":
        assert lua_type(value) is None, f"a {lua_type(value)} is nothing that JSON has"
        # Lua knows floats only; JSON writes those that are whole without a point.
        return int(value) if isinstance(value, float) and math.isfinite(value) and value == int(value) else value
    items = list(value.items())
    if not items:
        return []
    if isinstance(items[0][0], str):
        assert all(isinstance(key, str) for key, _ in items), "keys of both kinds"
        return {key: _to_json(each, lua_type) for key, each in items}
    assert [key for key, _ in items] == list(range(1, len(items) + 1)), "a list with holes"
    return [_to_json(each, lua_type) for _, each in items]


def _cleaned(made: Any, before: Any) -> Any:
    """`made` with empty objects again where the script's empty table became a list (Argo CD: cleanReturnedObj)."""
    if isinstance(made, dict) and isinstance(before, dict):
        return {key: _cleaned(each, before[key]) if key in before else each for key, each in made.items()}
    if made == [] and isinstance(before, dict):
        return before
    if isinstance(made, list) and isinstance(before, list):
        return [_cleaned(each, before[number]) if number < len(before) else each for number, each in enumerate(made)]
    return made
