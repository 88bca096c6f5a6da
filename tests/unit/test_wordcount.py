"""The demo's programs and their check: the same counts by two ways, whatever the bytes; and what is wrong is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner

from batchwright.api.v1alpha1.batchjob import BatchJobSpec
from batchwright.api.v1alpha1.computeenvironment import ComputeEnvironmentSpec
from batchwright.api.v1alpha1.jobdefinition import JobDefinitionSpec
from batchwright.api.v1alpha1.jobqueue import JobQueueSpec
from batchwright.cli.main import app
from batchwright.errors import LocalError
from batchwright.local import aws
from batchwright.local.demo import check, images, inputs, manifests, storage
from batchwright.local.demo.storage import Report
from batchwright.local.demo.wordcount import count, merge, split

SPECS = {
    "ComputeEnvironment": ComputeEnvironmentSpec,
    "JobQueue": JobQueueSpec,
    "JobDefinition": JobDefinitionSpec,
    "BatchJob": BatchJobSpec,
}
ENDPOINT = "http://10.190.0.1:5000"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(b"", {}, id="nothing"),
        pytest.param(b"The cat, the CAT.", {"the": 2, "cat": 2}, id="case-and-punctuation"),
        pytest.param(b"foo_bar x2 don't", {"foo_bar": 1, "x2": 1, "don": 1, "t": 1}, id="underscore-digit-apostrophe"),
        pytest.param("naïve cafe\u0301".encode(), {"naïve": 1, "cafe": 1}, id="a-combining-mark-is-no-letter"),
        pytest.param("日本語 ΟΔΟΣ".encode(), {"日本語": 1, "οδος": 1}, id="other-scripts"),
        pytest.param("ΑΣ'Β".encode(), {"ας": 1, "β": 1}, id="each-word-is-lowered-by-itself"),
        pytest.param(b"caf\xe9s", {"caf": 1, "s": 1}, id="a-byte-that-is-not-utf-8-separates"),
        pytest.param("end€".encode()[:-1], {"end": 1}, id="cut-inside-a-character"),
        pytest.param(b"a\x00b\r\nc", {"a": 1, "b": 1, "c": 1}, id="control-characters"),
    ],
)
def test_the_rule_of_a_word(text: bytes, want: dict[str, int], tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_bytes(text)

    assert count.count([text]) == Counter(want)
    assert check.count_files([inputs.Text(file, "text")]) == check.Expected(1, len(text), Counter(want))


@given(st.one_of(st.binary(max_size=200), st.text(max_size=100).map(str.encode)), st.lists(st.integers(0, 200)))
def test_where_a_text_is_cut_does_not_matter(tmp_path_factory: Any, text: bytes, cuts: list[int]) -> None:
    file = tmp_path_factory.getbasetemp() / "text"
    file.write_bytes(text)
    edges = [0, *sorted(cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]

    assert count.count(pieces) == check.count_files([inputs.Text(file, "text")]).counts


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 1000), min_size=1, max_size=40), st.integers(1, 8))
def test_parts_have_every_text_once_and_are_balanced(sizes: dict[str, int], parts: int) -> None:
    lists = split.split(sizes.items(), parts)

    assert len(lists) == parts
    assert sorted(key for keys in lists for key in keys) == sorted(sizes)
    loads = [sum(sizes[key] for key in keys) for keys in lists]
    assert max(loads) - min(loads) <= max(sizes.values()), "no text could move to a lighter part"


def test_words_as_frequent_as_each_other_are_in_the_order_of_the_alphabet() -> None:
    assert merge.rank(Counter(b=2, a=2, c=3, d=1), 3) == [("c", 3), ("a", 2), ("b", 2)]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


@pytest.fixture
def in_container(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that the definitions and their secrets give a container."""
    for name, value in aws.environment(endpoint).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("in_container")
def test_the_stages_agree_with_the_count_of_the_files(endpoint: str, tmp_path: Path) -> None:
    awkward = [b"plain.txt", b"with space 100%+", b"line\nbreak", b"not-utf8-\xff", "déjà/vu".encode(), b"a%2Fb"]
    for number, name in enumerate(awkward):
        file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"common " * number + b"\xfe" + os.urandom(1000) + " ÄÖÜ".encode() * 3)
    (tmp_path / "empty").touch()
    texts = inputs.find_texts(tmp_path)
    s3 = storage.connect(endpoint)
    seen: list[int] = []
    storage.upload(s3, "run-1", texts, seen.append)

    parts = 4
    split.main(storage.BUCKET, "run-1", parts)
    for part in range(parts):
        count.main(storage.BUCKET, "run-1", part)
    merge.main(storage.BUCKET, "run-1", parts, manifests.TOP)

    report = storage.fetch_report(s3, "run-1")
    expected = check.count_files(texts)
    assert seen == list(range(1, 8))
    assert report.files == 7
    assert report.counts["äöü"] == 18
    assert len(report.top) == manifests.TOP
    assert check.differences(report, expected, manifests.TOP) == []


@pytest.mark.usefixtures("in_container")
def test_a_stage_without_its_input_fails(endpoint: str) -> None:
    s3 = storage.connect(endpoint)
    s3.create_bucket(Bucket=storage.BUCKET)

    with pytest.raises(SystemExit, match="there is nothing in s3://wordcount/run-none/input/"):
        split.main(storage.BUCKET, "run-none", 1)
    with pytest.raises(s3.exceptions.NoSuchKey):
        count.main(storage.BUCKET, "run-none", 0)
    with pytest.raises(LocalError, match=r"s3://wordcount/run-none/report.json cannot be fetched: .*NoSuchKey"):
        storage.fetch_report(s3, "run-none")


def test_a_report_of_another_form_is_refused(endpoint: str) -> None:
    s3 = storage.connect(endpoint)
    s3.create_bucket(Bucket=storage.BUCKET)
    s3.put_object(Bucket=storage.BUCKET, Key="run-odd/report.json", Body=json.dumps({"top": []}))
    s3.put_object(Bucket=storage.BUCKET, Key="run-odd/words.json", Body=b"{}")

    with pytest.raises(LocalError, match=r"run-odd/report.json is no report of the word count: KeyError"):
        storage.fetch_report(s3, "run-odd")


def test_an_endpoint_that_is_gone_is_said(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")

    with pytest.raises(LocalError, match=r"uploading to s3://wordcount/run-1/input/ failed: .*127.0.0.1:1"):
        storage.upload(storage.connect("http://127.0.0.1:1"), "run-1", inputs.find_texts(tmp_path), print)


RIGHT = Report(files=1, bytes=9, words=3, distinct=2, top=[("a", 2), ("b", 1)], counts=Counter(a=2, b=1))


@pytest.mark.parametrize(
    ("report", "want"),
    [
        pytest.param(RIGHT, [], id="equal"),
        pytest.param(replace(RIGHT, files=2), ["files: 2 reported, 1 counted"], id="files"),
        pytest.param(replace(RIGHT, bytes=8), ["bytes: 8 reported, 9 counted"], id="bytes"),
        pytest.param(replace(RIGHT, words=4), ["words: 4 reported, 3 counted"], id="words"),
        pytest.param(replace(RIGHT, distinct=1), ["different words: 1 reported, 2 counted"], id="different-words"),
        pytest.param(replace(RIGHT, counts=Counter(a=2, b=2)), ["'b': 2 reported, 1 counted"], id="a-count"),
        pytest.param(replace(RIGHT, counts=Counter(a=2)), ["'b': 0 reported, 1 counted"], id="a-word-lost"),
        pytest.param(
            replace(RIGHT, counts=RIGHT.counts + Counter(c=1)), ["'c': 1 reported, 0 counted"], id="a-word-invented"
        ),
        pytest.param(
            replace(RIGHT, top=[("b", 1), ("a", 2)]),
            ["the most frequent words differ from place 1 on"],
            id="order",
        ),
        pytest.param(
            replace(RIGHT, top=[("a", 2)]), ["the most frequent words differ from place 2 on"], id="top-cut-short"
        ),
    ],
)
def test_every_difference_is_found(report: Report, want: list[str]) -> None:
    assert check.differences(report, check.Expected(1, 9, Counter(a=2, b=1)), top=20) == want


def test_every_file_is_found_once(tmp_path: Path) -> None:
    (tmp_path / "texts/sub").mkdir(parents=True)
    (tmp_path / "outside").write_text("outside")
    directory = tmp_path / "texts"
    for name in ("b", "sub/c"):
        (directory / name).write_text(name)
    (directory / "a").symlink_to("b")
    (directory / "link").symlink_to(tmp_path / "outside")
    (directory / "loop").symlink_to(".")
    (directory / "dangling").symlink_to("nowhere")
    os.mkfifo(directory / "pipe")

    assert [text.key for text in inputs.find_texts(directory)] == ["b", "link", "sub/c"]


@pytest.mark.parametrize(
    ("name", "want"),
    [
        pytest.param("missing", "missing: there is no such directory", id="missing"),
        pytest.param("file", "file: not a directory", id="a-file"),
        pytest.param("empty", "empty: no files in it, nor in the directories below it", id="empty"),
    ],
)
def test_an_input_without_texts_is_refused_before_anything_is_made(tmp_path: Path, name: str, want: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty/below").mkdir(parents=True)

    done = CliRunner().invoke(app, ["demo", "--input", str(tmp_path / name)])

    assert done.exit_code == 1
    assert f"error: --input {tmp_path}/{want}" in done.stderr


@pytest.mark.parametrize(
    ("euid", "name", "want"),
    [
        pytest.param(0, "Bad_Name", "error: --name 'Bad_Name': a cluster's name is", id="name"),
        pytest.param(1000, "demo", "error: --real-node needs root", id="not-root"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, euid: int, name: str, want: str
) -> None:
    (tmp_path / "text").touch()
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    monkeypatch.setattr(images, "build_images", lambda _progress: pytest.fail("something was built"))

    done = CliRunner().invoke(app, ["demo", "--name", name, "--input", str(tmp_path)])

    assert done.exit_code == 1
    assert want in done.stderr


def test_a_path_too_long_for_a_key_is_refused(tmp_path: Path) -> None:
    directory = tmp_path.joinpath(*["ä" * 100] * 2)
    directory.mkdir(parents=True)
    (directory / "text").touch()

    with pytest.raises(LocalError, match=r"too long for an S3 key \(1206 of 960 bytes\)"):
        inputs.find_texts(tmp_path)


def test_the_manifests_are_valid_and_ask_for_the_images_that_are_built() -> None:
    declared = manifests.render_declarations(ENDPOINT)
    definitions = [body["spec"]["containerProperties"] for body in declared if body["kind"] == "JobDefinition"]

    for body in declared:
        SPECS[body["kind"]].model_validate(body["spec"])
    assert [each["image"] for each in definitions] == [images.tag_of(stage) for stage in images.STAGES]
    secret = manifests.render_secret(ENDPOINT)
    for each in definitions:
        assert {"name": "AWS_ENDPOINT_URL", "value": ENDPOINT} in each["environment"]
        assert not {variable["name"] for variable in each["environment"]} & set(secret["stringData"])
        from_secret = {f"{secret['metadata']['name']}/{key}" for key in secret["stringData"]}
        assert {entry["valueFrom"] for entry in each["secrets"]} == from_secret


def test_workers_wait_for_the_split_and_the_merge_for_the_workers() -> None:
    jobs = manifests.render_jobs("run-1", 3)
    for job in jobs:
        BatchJobSpec.model_validate(job["spec"])
    waits = {job["metadata"]["name"]: [each["name"] for each in job["spec"].get("dependsOn", [])] for job in jobs}

    workers = ["run-1-count-0", "run-1-count-1", "run-1-count-2"]
    assert waits == {"run-1-split": [], **{name: ["run-1-split"] for name in workers}, "run-1-merge": workers}
    assert [job["spec"]["parameters"].get("part") for job in jobs] == [None, "0", "1", "2", None]


@pytest.mark.parametrize(
    ("file", "want"),
    [
        pytest.param("boto3/session.py", True, id="code"),
        pytest.param("botocore/data/endpoints.json", True, id="common-data"),
        pytest.param("botocore/data/s3/2006-03-01/service-2.json.gz", True, id="the-data-of-s3"),
        pytest.param("botocore/data/ec2/2016-11-15/service-2.json.gz", False, id="the-data-of-another-service"),
        pytest.param("botocore/data/s3control/2018-08-20/service-2.json.gz", False, id="a-service-that-begins-like-s3"),
        pytest.param("boto3-1.44.5.dist-info/RECORD", False, id="metadata"),
        pytest.param("../../../bin/jp.py", False, id="a-script"),
        pytest.param("boto3/__pycache__/session.cpython-311.pyc", False, id="bytecode"),
    ],
)
def test_what_of_a_distribution_goes_into_the_image(file: str, want: bool) -> None:
    assert images.is_needed(PurePosixPath(file)) is want


def test_the_boto3_of_the_image_is_complete(tmp_path: Path) -> None:
    images.copy_boto3(tmp_path)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import boto3; print(boto3.__file__); " + (
        "print(boto3.client('s3', region_name='us-east-1').meta.service_model.service_name)"
    )
    # -I -S: nothing but the standard library and the copy.
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == [str(tmp_path / "boto3/__init__.py"), "s3"]
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 12_000_000
