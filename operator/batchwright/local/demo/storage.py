"""The demo's bucket as the host sees it: texts in before the run, the report out after it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from batchwright.errors import LocalError
from batchwright.local import aws
from batchwright.local.demo.inputs import Text

# boto3 makes its clients' methods at run time.
S3Client = Any

BUCKET: Final = "wordcount"
_UPLOADS: Final = 8


@dataclass(frozen=True)
class Report:
    """What the last job uploaded; `counts` has every word."""

    files: int
    bytes: int
    words: int
    distinct: int
    top: list[tuple[str, int]]
    counts: Counter[str]


def connect(endpoint: str) -> S3Client:
    """A client of the embedded endpoint. A proxy of the machine's environment has no way to it, so none is used."""
    settings = aws.environment(endpoint)
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=settings["AWS_REGION"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        config=Config(proxies={}, max_pool_connections=2 * _UPLOADS),
    )


def upload(s3: S3Client, run: str, texts: Sequence[Text], progress: Callable[[int], None]) -> None:
    """Put the texts below `run`/input/, the bucket made if need be; `progress` is told how many are there."""
    try:
        s3.create_bucket(Bucket=BUCKET)
        with ThreadPoolExecutor(_UPLOADS) as pool:
            uploads = [pool.submit(s3.upload_file, str(text.path), BUCKET, f"{run}/input/{text.key}") for text in texts]
            for done, each in enumerate(uploads, start=1):
                each.result()
                progress(done)
    except (BotoCoreError, ClientError, S3UploadFailedError, OSError) as error:
        raise LocalError(f"uploading to s3://{BUCKET}/{run}/input/ failed: {error}") from error


def fetch_report(s3: S3Client, run: str) -> Report:
    """The report of the run. Raises LocalError when it is not there or not a report."""
    try:
        report = _read(s3, f"{run}/report.json")
        top = [(str(word), int(times)) for word, times in report["top"]]
        counts = Counter(_read(s3, f"{run}/words.json"))
        totals = {name: int(report[name]) for name in ("files", "bytes", "words", "distinct")}
    except (BotoCoreError, ClientError) as error:
        raise LocalError(f"s3://{BUCKET}/{run}/report.json cannot be fetched: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise LocalError(f"s3://{BUCKET}/{run}/report.json is no report of the word count: {error!r}") from error
    return Report(**totals, top=top, counts=counts)


def _read(s3: S3Client, key: str) -> Any:
    return json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
