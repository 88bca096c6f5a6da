"""Stage 1: list the texts in S3 and split them into parts of about the same size.

    split.py BUCKET PREFIX PARTS

A part is a list of whole texts; with fewer texts than parts, some parts are empty.
"""

from __future__ import annotations

import heapq
import json
import sys
from collections.abc import Iterable

import boto3


def split(sizes: Iterable[tuple[str, int]], parts: int) -> list[list[str]]:
    """The keys of `sizes` (key, bytes) in `parts` lists: the largest first, each to the list with the least so far."""
    lists: list[list[str]] = [[] for _ in range(parts)]
    loads = [(0, 0, number) for number in range(parts)]  # bytes, texts, part
    for key, size in sorted(sizes, key=lambda entry: (-entry[1], entry[0])):
        total, texts, number = heapq.heappop(loads)
        lists[number].append(key)
        heapq.heappush(loads, (total + size, texts + 1, number))
    return lists


def main(bucket: str, prefix: str, parts: int) -> None:
    """Write parts/0.json to parts/N-1.json."""
    s3 = boto3.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/input/")
    sizes = {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}
    if not sizes:
        sys.exit(f"there is nothing in s3://{bucket}/{prefix}/input/")
    for number, keys in enumerate(split(sizes.items(), parts)):
        s3.put_object(Bucket=bucket, Key=f"{prefix}/parts/{number}.json", Body=json.dumps(keys).encode())
        print(f"part {number}: {len(keys)} texts, {sum(sizes[key] for key in keys):,} bytes")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
