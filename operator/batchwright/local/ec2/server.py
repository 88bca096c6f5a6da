"""moto's server with EC2's bad days: capacity that is sold out, launches filled in part, answers that are lost.

In front of moto, which knows none of this: a CreateFleet loses the overrides that are exhausted, and its answer says so
as EC2's does; ClientToken is honoured, which moto does not do either; groups are like AWS's (`groups`). All else passes
unchanged.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from html import escape
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from botocore.exceptions import ClientError
from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from batchwright.local.ec2 import images, pricelist
from batchwright.local.ec2.groups import Groups
from batchwright.local.ec2.interruptions import INTERRUPTION, WARNING_SECONDS
from batchwright.local.ec2.nodegroups import NodeGroups
from batchwright.local.ec2.switches import Switches

PATH = "/batchwright/switches"
INTERRUPTIONS = "/batchwright/interruptions"
Interrupt = Callable[[str, float, str], None]
_OVERRIDE = re.compile(r"LaunchTemplateConfigs\.(\d+)\.Overrides\.(\d+)\.(\w+)")
_LAUNCHING = {"CreateFleet", "CreateAutoScalingGroup", "SetDesiredCapacity"}
_ENDING = {"TerminateInstances", "TerminateInstanceInAutoScalingGroup"}
_SOLD_OUT = "InsufficientInstanceCapacity"
Start = Callable[[str, list[tuple[str, str]]], object]
Form = list[tuple[str, str]]
Answer = tuple[str, list[tuple[str, str]], bytes]


class Endpoint:
    """A WSGI application. `interrupt` takes an instance back, after so many seconds, in that way."""

    def __init__(self, switches: Switches, interrupt: Interrupt | None = None) -> None:
        self.switches = switches
        self.interrupt = interrupt
        self._moto: Any = DomainDispatcherApplication(create_backend_app)
        self._launched: dict[str, Answer] = {}
        self._launching = threading.Lock()
        self._groups = Groups(switches)
        self._node_groups = NodeGroups(switches, self._groups)

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Answers one request."""
        if environ.get("PATH_INFO") in (PATH, INTERRUPTIONS):
            return self._switch(environ, start)
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size) if size else b""
        form = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        action = dict(form).get("Action", "")
        time.sleep(self.switches.slow_seconds)
        if action and self.switches.take("throttled"):
            return _send(start, _error("503 Service Unavailable", "RequestLimitExceeded", "Request limit exceeded."))
        if action in _LAUNCHING | _ENDING and self.switches.take("denied"):
            text = "You are not authorized to perform this operation."
            return _send(start, _error("403 Forbidden", "UnauthorizedOperation", text))
        if action == "CreateFleet":
            with self._launching:
                answer = self._create_fleet(environ, form)
            time.sleep(self.switches.late_seconds)
            return _send(start, answer)
        if told := _not_motos(environ, body):
            return _send(start, ("200 OK", [("Content-Type", "application/x-amz-json-1.1")], orjson.dumps(told)))
        found = self._node_groups.answer(
            environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), body, lambda: self._ask(environ, body)
        )
        return _send(start, found or self._of_groups(environ, action, form) or self._ask(environ, body))

    def _of_groups(self, environ: dict[str, Any], action: str, form: Form) -> Answer | None:
        if action == "TerminateInstances":
            self._groups.lose({value for name, value in form if name.startswith("InstanceId.")})
        answer = self._groups.answer(action, dict(form), lambda asked: self._ask(environ, urlencode(asked).encode()))
        if action == "SetDesiredCapacity":
            if self.switches.take("lost"):
                return _error("500 Internal Server Error", "InternalError", "An internal error has occurred")
            time.sleep(self.switches.late_seconds)
        return answer

    def _switch(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        status = "200 OK"
        answer: dict[str, Any] = {}
        if environ["REQUEST_METHOD"] == "POST":
            try:
                asked = orjson.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
                if environ["PATH_INFO"] == PATH:
                    self.switches.change(asked)
                elif self.interrupt is not None:
                    seconds = float(asked.get("seconds", WARNING_SECONDS))
                    self.interrupt(asked["instance"], seconds, asked.get("how", INTERRUPTION))
            except (KeyError, ValueError, ClientError) as error:
                status, answer = "400 Bad Request", {"error": str(error)}
        return _send(
            start, (status, [("Content-Type", "application/json")], orjson.dumps(answer or self.switches.to_wire()))
        )

    def _create_fleet(self, environ: dict[str, Any], form: Form) -> Answer:
        token = dict(form).get("ClientToken", "")
        answer = self._launched.get(token)
        if answer is None:
            answer = self._launch(environ, form)
            if token and answer[0].startswith("200"):
                self._launched[token] = answer
        if self.switches.take("lost"):
            return _error("500 Internal Server Error", "InternalError", "An internal error has occurred")
        return answer

    def _launch(self, environ: dict[str, Any], form: Form) -> Answer:
        overrides: dict[tuple[str, str], dict[str, str]] = {}
        for name, value in form:
            if found := _OVERRIDE.fullmatch(name):
                overrides.setdefault((found[1], found[2]), {})[found[3]] = value
        pools = [(each.get("InstanceType"), zone_of(each.get("SubnetId", ""))) for each in overrides.values()]
        if any(zone and pools.count((name, zone)) > 1 for name, zone in pools):
            text = "The fleet configuration contains duplicate instance pools."
            return _error("400 Bad Request", "InvalidFleetConfig", text)
        sold_out = {
            key: each
            for key, each in overrides.items()
            if self.switches.is_exhausted(each.get("InstanceType", ""), zone_of(each.get("SubnetId", "")))
        }
        errors = [_fleet_error(each, _SOLD_OUT) for each in sold_out.values()]
        if len(sold_out) == len(overrides):
            return _fleet_answer(errors)
        rest = _without(form, sold_out.keys())
        values = dict(rest)
        wanted, most = int(values["TargetCapacitySpecification.TotalTargetCapacity"]), self.switches.most
        if most is not None and wanted > most:
            left = [each for key, each in overrides.items() if key not in sold_out]
            errors += [_fleet_error(each, _SOLD_OUT) for each in left]
            rest = [(k, str(most) if k.endswith("TotalTargetCapacity") else v) for k, v in rest]
            if most == 0:
                return _fleet_answer(errors)
        status, headers, body = self._ask(environ, urlencode(rest).encode())
        spliced = re.sub(rb"<errorSet\s*/>|<errorSet>.*?</errorSet>", b"", body, flags=re.S)
        told = f"<errorSet>{''.join(errors)}</errorSet></CreateFleetResponse>".encode()
        return status, headers, spliced.replace(b"</CreateFleetResponse>", told)

    def _ask(self, environ: dict[str, Any], body: bytes) -> Answer:
        found: list[Any] = []

        def begin(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            found[:] = [status, headers]

        sent = environ | {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        answer = b"".join(self._moto(sent, begin))
        headers = [(name, value) for name, value in found[1] if name.lower() != "content-length"]
        return found[0], headers, answer


def zone_of(subnet: str) -> str:
    """The zone of a subnet that moto knows, in whatever account and region; "" for one that it does not."""
    for account in ec2_backends.values():
        for backend in account.values():
            for zone, subnets in backend.subnets.items():
                if subnet in subnets:
                    return str(zone)
    return ""


def _without(form: Form, gone: Iterable[tuple[str, str]]) -> Form:
    """The form without these overrides; moto wants the others counted from 1."""
    dropped, kept = set(gone), []
    numbers: dict[str, dict[str, int]] = {}
    for name, value in form:
        found = _OVERRIDE.fullmatch(name)
        if found is None:
            kept.append((name, value))
        elif (found[1], found[2]) not in dropped:
            known = numbers.setdefault(found[1], {})
            number = known.setdefault(found[2], len(known) + 1)
            kept.append((f"LaunchTemplateConfigs.{found[1]}.Overrides.{number}.{found[3]}", value))
    empty = {name.split(".")[1] for name, _ in form if name.startswith("LaunchTemplateConfigs.")} - numbers.keys()
    return [(name, value) for name, value in kept if not _is_of(name, empty)]


def _not_motos(environ: dict[str, Any], body: bytes) -> dict[str, Any] | None:
    """The answer to what moto does not know: prices, and the names of EKS's images."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target == pricelist.TARGET:
        return pricelist.get_products(orjson.loads(body))
    if target == images.TARGET:
        return images.get_parameter(orjson.loads(body), environ.get("HTTP_AUTHORIZATION", ""))
    return None


def _is_of(name: str, configs: set[str]) -> bool:
    return name.startswith("LaunchTemplateConfigs.") and name.split(".")[1] in configs


def _fleet_error(override: dict[str, str], code: str) -> str:
    kind, subnet = escape(override.get("InstanceType", "")), escape(override.get("SubnetId", ""))
    text = f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested"
    return (
        "<item><launchTemplateAndOverrides><overrides>"
        f"<instanceType>{kind}</instanceType><subnetId>{subnet}</subnetId></overrides></launchTemplateAndOverrides>"
        f"<lifecycle>on-demand</lifecycle><errorCode>{code}</errorCode><errorMessage>{text}</errorMessage></item>"
    )


def _fleet_answer(errors: list[str]) -> Answer:
    body = (
        '<CreateFleetResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>none</requestId>'
        f"<fleetId>fleet-none</fleetId><errorSet>{''.join(errors)}</errorSet></CreateFleetResponse>"
    )
    return "200 OK", [("Content-Type", "text/xml")], body.encode()


def _error(status: str, code: str, message: str) -> Answer:
    body = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
    return status, [("Content-Type", "text/xml")], body.encode()


def _send(start: Start, answer: Answer) -> Iterable[bytes]:
    status, headers, body = answer
    start(status, [*headers, ("Content-Length", str(len(body)))])
    return [body]


def serve(address: str, port: int, switches: Switches, interrupt: Interrupt | None = None) -> BaseWSGIServer:
    """A server that is bound, and answers once its serve_forever runs. Port 0 takes a free one."""
    return make_server(address, port, Endpoint(switches, interrupt), threaded=True, request_handler=MotoRequestHandler)
