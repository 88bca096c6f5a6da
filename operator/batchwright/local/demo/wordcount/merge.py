"""Stage 3: add up the counts of all parts and upload the report.

merge.py BUCKET PREFIX PARTS TOP
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import boto3


def rank(counts: Counter[str], top: int) -> list[tuple[str, int]]:
    """The `top` most frequent words; words as frequent as each other in the order of the alphabet."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:top]


def main(bucket: str, prefix: str, parts: int, top: int) -> None:
    """Write words.json and report.json."""
    s3 = boto3.client("s3")
    total: Counter[str] = Counter()
    files = size = 0
    for part in range(parts):
        body = s3.get_object(Bucket=bucket, Key=f"{prefix}/counts/{part}.json")["Body"].read()
        counted: dict[str, Any] = json.loads(body)
        total.update(counted["counts"])
        files += counted["files"]
        size += counted["bytes"]
    report = {
        "files": files,
        "bytes": size,
        "words": total.total(),
        "distinct": len(total),
        "top": rank(total, top),
    }
    s3.put_object(Bucket=bucket, Key=f"{prefix}/words.json", Body=json.dumps(total).encode())
    s3.put_object(Bucket=bucket, Key=f"{prefix}/report.json", Body=json.dumps(report).encode())
    print(f"{parts} parts: {files} texts, {size:,} bytes, {total.total():,} words, {len(total):,} different")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
