r"""Stage 2: fetch the texts of one part from S3, count their words, and upload the counts.

    count.py BUCKET PREFIX PART

A word is a match of the regular expression `\w+`, in lower case; bytes that are not UTF-8 separate words. Texts are
read in pieces, so that memory does not grow with them.
"""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable

import boto3

_WORD = re.compile(r"\w+")
_PIECE = 1 << 20


def count(pieces: Iterable[bytes]) -> Counter[str]:
    """The words of a text that comes in pieces of bytes, cut anywhere."""
    words: Counter[str] = Counter()
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    begun: list[str] = []  # the pieces of a word whose end has not come yet
    for piece in pieces:
        text = decoder.decode(piece)
        cut = len(text)
        while cut and (text[cut - 1].isalnum() or text[cut - 1] == "_"):
            cut -= 1
        if cut:
            words.update(_words("".join(begun) + text[:cut]))
            begun.clear()
        begun.append(text[cut:])
    words.update(_words("".join(begun) + decoder.decode(b"", final=True)))
    return words


def _words(text: str) -> Iterable[str]:
    return (match.group().lower() for match in _WORD.finditer(text))


def main(bucket: str, prefix: str, part: int) -> None:
    """Write counts/PART.json."""
    s3 = boto3.client("s3")
    keys = json.loads(s3.get_object(Bucket=bucket, Key=f"{prefix}/parts/{part}.json")["Body"].read())
    total: Counter[str] = Counter()
    size = 0
    for key in keys:
        answer = s3.get_object(Bucket=bucket, Key=key)
        words = count(answer["Body"].iter_chunks(_PIECE))
        print(f"{key}: {words.total():,} words")
        total.update(words)
        size += answer["ContentLength"]
    counts = {"files": len(keys), "bytes": size, "counts": total}
    s3.put_object(Bucket=bucket, Key=f"{prefix}/counts/{part}.json", Body=json.dumps(counts).encode())
    print(f"part {part}: {len(keys)} texts, {size:,} bytes, {total.total():,} words, {len(total):,} different")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
