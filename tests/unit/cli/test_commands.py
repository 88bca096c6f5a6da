"""The verbs as a shell runs them: parsing, refusals, help, exit codes, start-up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from batchwright.cli import exits
from batchwright.cli.exits import WaitTimeout, code_of, text_of
from batchwright.cli.main import app
from batchwright.cli.manifests import KINDS, generate_name, parse
from batchwright.errors import (
    AlreadyExists,
    ApiUnavailable,
    BatchwrightError,
    ConnectionSetupError,
    Forbidden,
    Invalid,
    NotFound,
    api_error,
)

VERBS = ["submit", "list", "describe", "logs", "wait", "cancel", "terminate", "retry", "delete"]
VERBS += ["queues", "definitions", "environments", "plan", "queue", "simulate", "cost", "version", "operator", "local"]
PLAIN = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", "KUBECONFIG": "/nonexistent/kubeconfig"}
RUN = "import sys\nfrom batchwright.cli.main import main\nsys.argv = ['batchwright']\nmain()"
HEAVY = ("kubernetes", "kopf", "boto3", "botocore", "moto", "aiohttp", "numpy", "uvloop")


def invoke(*arguments: str, stdin: str | None = None, **env: str) -> Result:
    """Runs the command line in this process."""
    return CliRunner().invoke(app, list(arguments), input=stdin, env={**PLAIN, "BATCHWRIGHT_QUEUE": "", **env})


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str) -> None:
    done = invoke(verb, "--help")
    assert done.exit_code == exits.OK
    assert f"{verb}" in done.output.splitlines()[1]


def test_help_tells_the_exit_codes() -> None:
    assert "124 time limit" in " ".join(invoke("--help").output.split())


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        pytest.param(["submit", "-q", "normal"], "--definition", id="no definition"),
        pytest.param(["submit", "-d", "hello"], "BATCHWRIGHT_QUEUE", id="no queue"),
        pytest.param(["submit", "-q", "q", "-d", "d", "-e", "A"], "'A' is not KEY=VALUE", id="bad variable"),
        pytest.param(["submit", "-q", "q", "-d", "d", "--memory", "2G"], "2Gi", id="bad memory"),
        pytest.param(["submit", "-q", "q", "-d", "d", "--attempts", "11"], "--attempts", id="too many attempts"),
        pytest.param(["submit", "-q", "q", "-d", "d", "--command"], "comes after --", id="command flag alone"),
        pytest.param(["submit", "a", "--name", "b", "-q", "q", "-d", "d"], "'b' is not the NAME 'a'", id="two names"),
        pytest.param(["submit", "-q", "q", "-d", "d", "--wait-timeout", "5"], "only with --wait", id="limit, no wait"),
        pytest.param(["submit", "-f", "x.yaml", "--vcpus", "1"], "not together with -f", id="file and flags"),
        pytest.param(["submit", "-f", "x.yaml", "--", "ls"], "not together with -f", id="file and command"),
        pytest.param(["list", "--status", "WAITING"], "runnable", id="unknown state"),
        pytest.param(["list", "-w", "-o", "json"], "table only", id="watch as json"),
        pytest.param(["list", "-o", "xml"], "yaml", id="unknown output"),
        pytest.param(["wait"], "JOB", id="no jobs"),
        pytest.param(["wait", "x", "--for", "PENDING"], "running", id="unknown goal"),
        pytest.param(["delete"], "--all", id="delete nothing"),
        pytest.param(["delete", "x", "--all"], "not both", id="delete some and all"),
        pytest.param(["cancel", "x", "--reason", ""], "1 to 1024", id="empty reason"),
        pytest.param(["logs", "x", "--attempt", "0"], "--attempt", id="attempts count from 1"),
        pytest.param(
            ["submit", "-q", "q", "-d", "d", "--array-size", "1"], "greater than or equal to 2", id="an array of one"
        ),
        pytest.param(
            ["submit", "-q", "q", "-d", "d", "--array-size", "100001"], "less than or equal to 100000", id="too big"
        ),
        pytest.param(
            ["submit", "-q", "q", "-d", "d", "--max-concurrency", "2"], "only with --array-size", id="no array"
        ),
        pytest.param(["submit", "-q", "q", "-d", "d", "--depends-on", "c:17"], "single element", id="needs an element"),
        pytest.param(["submit", "-f", "x.yaml", "--array-size", "2"], "not together with -f", id="file and size"),
        pytest.param(["describe", "sim:x"], "neither an index nor a range", id="no index"),
        pytest.param(["terminate", "a", ":17"], "no job before the colon", id="no job"),
        pytest.param(["cancel", "sim:9-3"], "ends before it begins", id="range backwards"),
        pytest.param(["logs", "sim:3-5"], "names several elements", id="one log at a time"),
        pytest.param(["wait", "sim:3"], "takes whole jobs", id="wait for an element"),
        pytest.param(["delete", "sim:3"], "takes whole jobs", id="delete an element"),
        pytest.param(["list", "--array", "sim:3"], "takes whole jobs", id="elements of an element"),
        pytest.param(["list", "--limit", "3"], "only with --array", id="limit of jobs"),
        pytest.param(["list", "--array", "sim", "-A"], "lists the elements of one job", id="array of all namespaces"),
        pytest.param(["list", "--array", "sim", "-w"], "lists the elements of one job", id="array watched"),
        pytest.param(["retry"], "JOB", id="retry nothing"),
        pytest.param(["retry", "sim", "--elements", "x"], "neither an index nor a range", id="retry no index"),
        pytest.param(["retry", "sim:3", "--elements", "4"], "names elements already", id="retry by both"),
        pytest.param(["retry", "sim", "--wait-timeout", "5"], "only with --wait", id="retry limit, no wait"),
        pytest.param(["plan", "-o", "name"], "table, json or yaml", id="plan as names"),
        pytest.param(["queue", "top"], "QUEUE", id="top of no queue"),
        pytest.param(["queue", "top", "q", "-o", "name"], "table, json or yaml", id="top as names"),
        pytest.param(["queue", "top", "q", "--limit", "0"], "--limit", id="top of nothing"),
        pytest.param(["frobnicate"], "frobnicate", id="unknown verb"),
    ],
)
def test_wrong_usage_is_refused_with_the_flag_and_code_2(arguments: list[str], want: str) -> None:
    done = invoke(*arguments)
    assert done.exit_code == exits.USAGE, done.output
    assert want in " ".join(done.output.replace("│", " ").split())


def test_the_default_queue_does_not_forbid_a_file(tmp_path: Path) -> None:
    done = invoke("submit", "-f", str(tmp_path / "missing.yaml"), BATCHWRIGHT_QUEUE="normal")
    assert done.exit_code == exits.ERROR
    assert "missing.yaml: No such file or directory" in done.output


@pytest.mark.parametrize(
    "verb", [["list"], ["queues"], ["plan"], ["queue", "top", "q"], ["submit", "-q", "q", "-d", "d"], ["describe", "x"]]
)
def test_no_cluster_is_said_with_its_code(verb: list[str]) -> None:
    done = invoke(*verb)
    assert done.exit_code == exits.NO_CLUSTER
    assert "error: no Kubernetes cluster" in done.output
    assert "batchwright local up" in done.output


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("", "no objects in it", id="empty"),
        pytest.param("a: [", "not valid YAML", id="not YAML"),
        pytest.param("- 1", "document 1: not an object", id="a list"),
        pytest.param("{apiVersion: v1, kind: Pod}", "document 1: apiVersion 'v1', kind 'Pod' is not one of", id="kind"),
        pytest.param(
            "{apiVersion: batchwright.io/v1alpha1, kind: JobQueue, metadata: {name: a}, spec: {}}\n---\n"
            "{apiVersion: batchwright.io/v1alpha1, kind: JobQueue, metadata: {generateName: a-}, spec: {}}",
            "document 2: JobQueue needs metadata.name",
            id="a queue without a name",
        ),
    ],
)
def test_a_bad_manifest_is_refused_by_document(text: str, want: str) -> None:
    done = invoke("submit", "-f", "-", stdin=text)
    assert done.exit_code == exits.ERROR
    assert want in done.output


def test_a_manifest_may_hold_several_documents_and_lists() -> None:
    body = "{apiVersion: batchwright.io/v1alpha1, kind: %s, metadata: {name: a}, spec: {}}"
    text = "---\n" + "\n---\n".join(body % kind for kind in KINDS)
    listed = "{apiVersion: v1, kind: List, items: [" + body % "BatchJob" + "]}"
    assert [document.body["kind"] for document in parse("x", f"{text}\n---\n{listed}")] == [*KINDS, "BatchJob"]


def test_generated_names_are_made_as_the_api_server_makes_them() -> None:
    names = {generate_name("hello-") for _ in range(50)}
    assert len(names) == 50
    assert all(name.startswith("hello-") and len(name) == 11 for name in names)
    assert len(generate_name("x" * 200)) == 63


STATUS = (
    b'{"message": "BatchJob \\"x\\" is invalid: spec.a: bad", "reason": "Invalid", "details": {"causes": '
    b'[{"field": "spec.a", "message": "bad"}, {"field": "spec.b", "message": "worse"}]}}'
)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        pytest.param(WaitTimeout("late"), 124, "late", id="wait"),
        pytest.param(ConnectionSetupError("none"), 3, "none", id="no cluster"),
        pytest.param(ApiUnavailable("down", 503), 3, "down", id="out of reach"),
        pytest.param(NotFound("no x", 404, "NotFound"), 4, "no x", id="not found"),
        pytest.param(NotFound("404 page not found", 404), 4, "does not serve batchwright.io", id="no CRDs"),
        pytest.param(Forbidden("no", 403), 1, "no", id="forbidden"),
        pytest.param(AlreadyExists("there", 409), 1, "there", id="exists"),
        pytest.param(BatchwrightError("other"), 1, "other", id="other"),
        pytest.param(Invalid("field", 400), 1, "field", id="invalid without causes"),
        pytest.param(
            api_error(422, STATUS), 1, 'BatchJob "x" is invalid:\n  spec.a: bad\n  spec.b: worse', id="by field"
        ),
    ],
)
def test_errors_have_one_text_and_one_code(error: BatchwrightError, code: int, text: str) -> None:
    assert code_of(error) == code
    assert text in text_of(error)


async def test_a_failure_does_not_keep_the_others_from_being_done(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []

    async def action(item: str) -> None:
        if item == "b":
            raise NotFound("no b", 404, "NotFound")
        done.append(item)

    with pytest.raises(exits.Failed) as failed:
        await exits.for_each(["a", "b", "c"], action)
    assert failed.value.code == exits.NOT_FOUND
    assert done == ["a", "c"]
    assert capsys.readouterr().err == "error: no b\n"


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter: what this one has imported does not count."""
    command = [sys.executable, "-c", code]
    environment = {**os.environ, **PLAIN, **env}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["submit", "--help"], ["local", "--help"], ["plan", "--help"], ["version"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom batchwright.cli.main import main\n"
        f"sys.argv = ['batchwright', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = python(code)
    assert done.stdout.splitlines()[-1:] == ["HEAVY []"], done.stdout + done.stderr


def test_completion_knows_verbs_and_options_without_a_cluster() -> None:
    done = python(RUN, _BATCHWRIGHT_COMPLETE="complete_bash", COMP_WORDS="batchwright te", COMP_CWORD="1")
    assert done.stdout.split() == ["terminate"], done.stderr


def test_completing_names_without_a_cluster_is_silent() -> None:
    done = python(RUN, _BATCHWRIGHT_COMPLETE="complete_bash", COMP_WORDS="batchwright wait x", COMP_CWORD="2")
    assert (done.stdout.strip(), done.stderr.strip()) == ("", "")


def test_the_plugin_speaks_of_kubectl() -> None:
    code = RUN.replace("'batchwright'", "'/bin/kubectl-batchwright', '--help'")
    assert "Usage: kubectl batchwright" in python(code).stdout
