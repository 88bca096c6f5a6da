"""An AWS endpoint for the tests of a file, and what it says of instance types."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from awsserver import Network, aws_server
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.client import Aws


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """An endpoint of this process with a network of two subnets."""
    with aws_server() as made:
        yield made


@pytest.fixture(scope="module")
def catalogue(network: Network) -> Catalogue:
    """Asked once: moto takes seconds to list its types."""
    return Catalogue(Aws())
