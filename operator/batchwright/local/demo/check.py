"""The same count made outside the cluster, straight from the files, to hold the report against.

It shares the rule with `wordcount/count.py` and nothing else: a word is an unbroken run of letters, digits and
underscores (Unicode's), in lower case, and bytes that are not UTF-8 separate words. There it is found by a regular
expression over pieces of objects; here by blanking every other character and splitting whole lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from batchwright.local.demo.inputs import Text
from batchwright.local.demo.storage import Report

_SHOWN = 10


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


def differences(report: Report, expected: Expected) -> list[str]:
    """What the report says otherwise than the files, in lines for the user; nothing when all is equal."""
    wanted = {
        "files": (report.files, expected.files),
        "bytes": (report.bytes, expected.bytes),
        "words": (report.words, expected.counts.total()),
        "different words": (report.distinct, len(expected.counts)),
    }
    found = [f"{what}: {said:,} reported, {true:,} counted" for what, (said, true) in wanted.items() if said != true]
    words = sorted(word for word in report.counts | expected.counts if report.counts[word] != expected.counts[word])
    found += [
        f"{word!r}: {report.counts[word]:,} reported, {expected.counts[word]:,} counted" for word in words[:_SHOWN]
    ]
    if len(words) > _SHOWN:
        found.append(f"and {len(words) - _SHOWN:,} more words")
    ranked = sorted(expected.counts.items(), key=lambda entry: (-entry[1], entry[0]))
    for place, (said_word, true_word) in enumerate(zip(report.top, ranked, strict=False), start=1):
        if said_word != true_word:
            found.append(f"place {place}: {said_word} reported, {true_word} counted")
            break
    return found
