"""The same count made outside the cluster, straight from the files, to hold the report against.

It shares the rule with `wordcount/count.py` and nothing else: a word is an unbroken run of letters, digits and
underscores (Unicode's), in lower case, and bytes that are not UTF-8 separate words. There it is found by a regular
expression over pieces of objects; here by blanking every other character and splitting whole lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from batchwright.local.demo.inputs import Text
from batchwright.local.demo.storage import Report

_SHOWN = 10
_WORD_WIDTH = 60


@dataclass(frozen=True)
class Expected:
    """What the report must say."""

    files: int
    bytes: int
    counts: Counter[str]


class _Blanks(dict[int, int]):
    """A table for str.translate that keeps what words are made of and makes everything else a blank."""

    def __missing__(self, code: int) -> int:
        character = chr(code)
        self[code] = code if character.isalnum() or character == "_" else ord(" ")
        return self[code]


def count_files(texts: Iterable[Text]) -> Expected:
    """Count the words of the files themselves."""
    blanks = _Blanks()
    counts: Counter[str] = Counter()
    files = size = 0
    for text in texts:
        files += 1
        size += text.path.stat().st_size
        counts.update(_count_file(text.path, blanks))
    return Expected(files, size, counts)


def _count_file(path: Path, blanks: _Blanks) -> Counter[str]:
    counts: Counter[str] = Counter()
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            counts.update(word.lower() for word in line.translate(blanks).split())
    return counts


def differences(report: Report, expected: Expected, top: int) -> list[str]:
    """What the report says otherwise than the files, in lines for the user; nothing when all is equal.

    The report has `top` words, or all when there are fewer.
    """
    wanted = {
        "files": (report.files, expected.files),
        "bytes": (report.bytes, expected.bytes),
        "words": (report.words, expected.counts.total()),
        "different words": (report.distinct, len(expected.counts)),
    }
    found = [f"{what}: {said:,} reported, {true:,} counted" for what, (said, true) in wanted.items() if said != true]
    words = sorted(word for word in report.counts | expected.counts if report.counts[word] != expected.counts[word])
    for word in words[:_SHOWN]:
        said, true = report.counts[word], expected.counts[word]
        found.append(f"{word[:_WORD_WIDTH]!r}: {said:,} reported, {true:,} counted")
    if len(words) > _SHOWN:
        found.append(f"and {len(words) - _SHOWN:,} more words")
    ranked = sorted(expected.counts.items(), key=lambda entry: (-entry[1], entry[0]))[:top]
    places = enumerate(zip_longest(report.top, ranked), start=1)
    wrong = next((place for place, (reported, counted) in places if reported != counted), None)
    if wrong is not None:
        found.append(f"the most frequent words differ from place {wrong} on")
    return found
