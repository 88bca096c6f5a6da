"""What the image leaves out is nothing that the operator calls: its build is too slow to find that out each time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
KEPT = set(re.search(r"^ +([\w|-]+)\) ;;", DOCKERFILE, re.MULTILINE)[1].split("|"))  # type: ignore[index]
# Roles of pods and of profiles, `aws sso login`, `aws login`.
CREDENTIALS = {"sts", "sso", "sso-oidc", "signin"}


def called() -> set[str]:
    """The services for which the operator makes a client."""
    files = (ROOT / "operator/batchwright").glob("c*/**/*.py")
    texts = (path.read_text(encoding="utf-8") for path in files if "cli" not in path.parts)
    return {name for text in texts for name in re.findall(r'(?:\bAws|\.of)\("([a-z0-9-]+)"', text)}


def test_services_that_are_called_are_kept() -> None:
    assert called() >= {"ec2", "autoscaling", "eks", "sqs", "pricing"}
    assert called() | CREDENTIALS == KEPT


@pytest.mark.parametrize("service", sorted(KEPT))
def test_what_is_kept_is_a_service_of_botocore(service: str) -> None:
    botocore = pytest.importorskip("botocore")
    assert (Path(botocore.__file__).parent / "data" / service).is_dir()


def test_bytecode_is_not_judged_by_times() -> None:
    assert "--invalidation-mode unchecked-hash" in DOCKERFILE
    assert "--compile-bytecode" not in DOCKERFILE
