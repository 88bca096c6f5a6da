"""What the containers of an array see: real processes on the real node write it to files that the test reads.

Values reach the process by no wrapper of ours: the container's command is the definition's, and what an element has of
its own stands in its environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from batchwright.local import cluster as local_cluster
from batchwright.local import images
from batchwright.local.realnode import import_image
from stage import Stage, sharing, shell

pytestmark = [pytest.mark.real_node, pytest.mark.skipif(os.geteuid() != 0, reason="a real node needs root")]

# A file for each attempt of each element, with its whole environment.
WRITES_ENVIRONMENT = 'env > "/shared/$AWS_BATCH_JOB_ARRAY_INDEX.$AWS_BATCH_JOB_ATTEMPT"'
# A file for each element: what it was told by name, as an argument, and inside an argument, each ended by a NUL.
WRITES_VALUE = 'printf "%s\\0" "$text" "$1" "$2" > "/shared/$AWS_BATCH_JOB_ARRAY_INDEX"'
AWKWARD = {
    "substitution": "$(HOME)",
    "escaped substitution": "$$(HOME) $$ $",
    "shell": "`id` $HOME ${HOME} $(id) ; exit 9 #",
    "quotes": 'it\'s "quoted"',
    "blanks": "  two  blanks\tand a tab ",
    "unicode": "Grüße, 世界 🌍",
    "backslash": "back\\slash \\n",
    "lines": "first\nsecond\n",
    "empty": "",
    "placeholder": "Ref::text Ref::other",
    "comma": "a,b=c;d:e",
    "yaml": "{not: yaml}",
}


@pytest.fixture(scope="session", autouse=True)
def busybox(story_cluster: local_cluster.Cluster) -> None:
    import_image(story_cluster.name, story_cluster.directory, images.ensure_busybox())


@pytest.fixture
def real(stage: Stage) -> Stage:
    stage.real_environment()
    return stage


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory of the host that containers of any user may write to."""
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o777)
    return directory


def environment_of(file: Path) -> dict[str, str]:
    """What `env` wrote."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)


def values_of(shared: Path, index: int) -> list[str]:
    """What WRITES_VALUE wrote for an element."""
    return (shared / str(index)).read_bytes().decode().split("\0")[:-1]


def test_each_element_knows_its_index_size_id_and_attempt(real: Stage, shared: Path) -> None:
    script = f'{WRITES_ENVIRONMENT}; [ "$AWS_BATCH_JOB_ARRAY_INDEX" != 1 ] || [ "$AWS_BATCH_JOB_ATTEMPT" = 2 ]'
    own = {"environment": [{"name": "WHO", "value": "me"}]}
    properties = shell(script, **sharing(shared), **own)
    real.define("look", containerProperties=properties)
    job_id = real.submit("look-1", "look", arrayProperties={"size": 3}, retryStrategy={"attempts": 2})
    status = real.wait_final("look-1", seconds=120)
    assert status["state"] == "SUCCEEDED", status

    assert sorted(file.name for file in shared.iterdir()) == ["0.1", "1.1", "1.2", "2.1"]
    for file in shared.iterdir():
        index, attempt = file.name.split(".")
        seen = environment_of(file)
        assert seen["AWS_BATCH_JOB_ARRAY_INDEX"] == index
        assert seen["AWS_BATCH_JOB_ARRAY_SIZE"] == "3"
        assert seen["AWS_BATCH_JOB_ID"] == f"{job_id}:{index}"
        assert seen["AWS_BATCH_JOB_ATTEMPT"] == attempt
        assert seen["AWS_BATCH_JQ_NAME"] == f"{real.namespace}-queue"
        assert seen["AWS_BATCH_CE_NAME"] == f"{real.namespace}-real"
        assert seen["WHO"] == "me"
    for pod in real.pods(job_id):
        [container] = pod["spec"]["containers"]
        assert container["args"] == properties["command"], "no wrapper"
        assert "command" not in container
        assert "initContainers" not in pod["spec"]


def test_items_of_a_list_arrive_word_for_word(real: Stage, shared: Path) -> None:
    rows = [{"text": value, "other": str(number)} for number, value in enumerate(AWKWARD.values())]
    real.define(
        "say", containerProperties=shell(WRITES_VALUE, "Ref::text", "$(HOME)<Ref::text>Ref::other", **sharing(shared))
    )
    real.submit("say-1", "say", arrayProperties={"items": {"list": rows}})
    status = real.wait_final("say-1", seconds=150)
    assert status["state"] == "SUCCEEDED", status
    assert status["arrayProperties"]["size"] == len(rows)
    for index, row in enumerate(rows):
        wanted = [row["text"], row["text"], f"$(HOME)<{row['text']}>{row['other']}"]
        assert values_of(shared, index) == wanted, list(AWKWARD)[index]


def test_a_matrix_gives_every_combination_the_last_fastest(real: Stage, shared: Path) -> None:
    matrix = [{"name": "rate", "values": ["0.1", "0.01"]}, {"name": "seed", "values": ["a b", "2", "$3"]}]
    script = 'printf "%s|%s|%s" "$rate" "$seed" "$1" > "/shared/$AWS_BATCH_JOB_ARRAY_INDEX"'
    real.define("grid", containerProperties=shell(script, "Ref::rate/Ref::seed", **sharing(shared)))
    real.submit("grid-1", "grid", arrayProperties={"items": {"matrix": matrix}})
    assert real.wait_final("grid-1", seconds=120)["state"] == "SUCCEEDED"
    wanted = [(rate, seed) for rate in ("0.1", "0.01") for seed in ("a b", "2", "$3")]
    assert len(list(shared.iterdir())) == 6
    for index, (rate, seed) in enumerate(wanted):
        assert (shared / str(index)).read_text() == f"{rate}|{seed}|{rate}/{seed}"


def test_items_of_a_config_map_that_comes_later(real: Stage, shared: Path) -> None:
    real.define("say", containerProperties=shell(WRITES_VALUE, "Ref::text", "Ref::other", **sharing(shared)))
    source = {"configMap": {"name": "sweep", "key": "table.yaml"}}
    real.submit("say-1", "say", arrayProperties={"items": source})
    waiting = real.wait("say-1", lambda status: "ConfigMap sweep" in status.get("statusReason", ""))
    assert waiting["state"] == "SUBMITTED"
    table = '- {text: "$(HOME) ü", other: "1"}\n- {text: two words, other: "2"}\n- {text: "", other: "3"}\n'
    real.api.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "sweep", "namespace": real.namespace},
            "data": {"table.yaml": table},
        }
    )
    status = real.wait_final("say-1", seconds=120)
    assert status["state"] == "SUCCEEDED", status
    assert status["arrayProperties"]["size"] == 3
    for index, text in enumerate(["$(HOME) ü", "two words", ""]):
        assert values_of(shared, index) == [text, text, str(index + 1)]


@pytest.mark.parametrize("items", [False, True], ids=["plain", "with items"])
def test_indexes_run_only_these_as_they_are_in_the_whole_array(real: Stage, shared: Path, items: bool) -> None:
    table: dict[str, Any] = {"items": {"list": [{"item": f"row {number}"} for number in range(12)]}}
    real.define("look", containerProperties=shell(WRITES_ENVIRONMENT, **sharing(shared)))
    properties = {"indexes": "3,7-9", **(table if items else {"size": 12})}
    job_id = real.submit("some", "look", arrayProperties=properties)
    status = real.wait_final("some", seconds=120)
    assert status["state"] == "SUCCEEDED", status
    assert status["arrayProperties"]["size"] == 12
    assert status["arrayProperties"]["succeededIndexes"] == "3,7-9"
    assert status["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 4
    assert sorted(file.name for file in shared.iterdir()) == ["3.1", "7.1", "8.1", "9.1"]
    for index in (3, 7, 8, 9):
        seen = environment_of(shared / f"{index}.1")
        assert seen["AWS_BATCH_JOB_ARRAY_INDEX"] == str(index)
        assert seen["AWS_BATCH_JOB_ARRAY_SIZE"] == "12"
        assert seen["AWS_BATCH_JOB_ID"] == f"{job_id}:{index}"
        assert seen.get("item") == (f"row {index}" if items else None)
