"""EC2's API (and SQS's): one call at a time in a bounded pool of threads, never on the event loop, and typed errors.

botocore's own retries are off: a launch must not be repeated behind our back, and everything else is asked again by the
next round. Buckets are below EC2's own (API throttling: 100 reads with 20 a second, 50 writes with 5 a second).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import boto3
import structlog
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
)
from botocore.model import ListShape, Shape, StructureShape
from botocore.parsers import ResponseParserError

from batchwright.capacity.buckets import TokenBucket
from batchwright.errors import (
    CapacityError,
    Denied,
    LaunchUncertain,
    Misconfigured,
    NotLeading,
    ProviderThrottled,
    ProviderUnavailable,
)

logger = structlog.get_logger(__name__)
JSON = dict[str, Any]
THREADS = 8
_CONFIG = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30, max_pool_connections=THREADS)
_READS = ("describe_", "get_", "list_", "receive_")
_THROTTLED = {
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "EC2ThrottledException",
    "SlowDown",
    "TooManyRequestsException",
}
# A group is busy with what it was told before.
_BUSY = {"ScalingActivityInProgress", "ResourceContention", "ResourceInUseException"}
_DENIED = {
    "UnauthorizedOperation",
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "RequestExpired",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "OptInRequired",
}


# Burst and calls a second, of reads and of writes. Others than EC2 publish no figures, and are asked less.
_RATES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "ec2": ((100, 20), (50, 5)),
    "autoscaling": ((50, 10), (50, 5)),
    "eks": ((20, 5), (10, 1)),
    "ssm": ((20, 5), (10, 1)),
}


class Clients:
    """The clients of one region, one for each API, so that each has one pair of buckets whoever asks."""

    def __init__(self, region: str | None = None, *, may_write: Callable[[], bool] = lambda: True) -> None:
        self._region = region
        self._may_write = may_write
        self._made: dict[str, Aws] = {}

    def of(self, service: str) -> Aws:
        """The client of a service."""
        if service not in self._made:
            self._made[service] = Aws(service, self._region, may_write=self._may_write)
        return self._made[service]


class Aws:
    """Calls of one service in one region; `region` None for that of the environment (AWS_REGION, the profile). What
    changes something is asked for only while `may_write` says so: an operator that has lost its lease must not."""

    def __init__(
        self, service: str = "ec2", region: str | None = None, *, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        self._service, self._region = service, region
        self._may_write = may_write
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=f"aws-{service}")
        self._client: Any = None
        reads, writes = _RATES.get(service, _RATES["ec2"])
        self._reads, self._writes = TokenBucket(*reads), TokenBucket(*writes)
        self._making = asyncio.Lock()

    async def call(self, operation: str, *, uncertain: bool = False, **parameters: Any) -> JSON:
        """One call. With `uncertain` an answer that was lost is LaunchUncertain. Raises CapacityError; NotLeading in
        place of a write that is not allowed."""
        is_read = operation.startswith(_READS)
        bucket = self._reads if is_read else self._writes
        await bucket.take()
        loop = asyncio.get_running_loop()
        try:
            await self._begin()
            ask = partial(getattr(self._client, operation), **parameters)
            # In the thread, where nothing can hold it up any more.
            made: JSON = await loop.run_in_executor(
                self._pool, ask if is_read else partial(self._write, operation, ask)
            )
        except ResponseParserError as error:
            # Something on the way has answered, and not AWS.
            raise (LaunchUncertain if uncertain else ProviderUnavailable)(str(error), "ResponseParserError") from error
        except (ClientError, BotoCoreError) as error:
            found = typed(error, uncertain=uncertain)
            if isinstance(found, ProviderThrottled):
                bucket.drain()
            raise found from error
        return made

    async def _begin(self) -> None:
        async with self._making:
            if self._client is None:
                self._client = await asyncio.get_running_loop().run_in_executor(self._pool, self._make)

    async def shape(self, operation: str, member: str) -> Shape:
        """What an operation (in CamelCase) takes as that parameter. Raises CapacityError."""
        try:
            await self._begin()
        except BotoCoreError as error:
            raise typed(error) from error
        found: Shape = self._client.meta.service_model.operation_model(operation).input_shape.members[member]
        return found

    def _write(self, operation: str, ask: Callable[[], JSON]) -> JSON:
        if not self._may_write():
            raise NotLeading(f"{self._service} {operation}: not sent, because this operator does not lead")
        return ask()

    async def pages(self, operation: str, key: str, **parameters: Any) -> AsyncIterator[list[JSON]]:
        """The pages of a list. Raises CapacityError."""
        while True:
            page = await self.call(operation, **parameters)
            yield page.get(key, [])
            if not page.get("NextToken"):
                return
            parameters["NextToken"] = page["NextToken"]

    def _make(self) -> Any:
        return boto3.session.Session().client(
            self._service, region_name=self._region or present_region(), config=_CONFIG
        )  # type: ignore[call-overload]


def present_region() -> str | None:
    """The region of the environment: AWS_REGION, which boto3 by itself does not heed, or that of the profile."""
    found: str | None = os.environ.get("AWS_REGION") or boto3.session.Session().region_name
    return found


def is_set_up() -> bool:
    """Whether somebody has set up this process for AWS, in whatever way boto3 knows. It may ask the machine's metadata
    service, which takes its time where there is none."""
    try:
        return present_region() is not None and boto3.session.Session().get_credentials() is not None
    except BotoCoreError as error:
        logger.warning("credentials for AWS cannot be used", error=str(error))
        return False


def typed(error: ClientError | BotoCoreError, *, uncertain: bool = False) -> CapacityError:
    """The error in our terms."""
    if isinstance(error, NoCredentialsError | NoRegionError):
        return Denied(f"{error}. Give the operator credentials and AWS_REGION", type(error).__name__)
    if isinstance(error, ParamValidationError):
        # Never sent: this version of the API has no such thing, however often it is tried.
        return Misconfigured(str(error), type(error).__name__)
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return ProviderUnavailable(str(error), type(error).__name__)
    if isinstance(error, BotoCoreError):
        # Read timeouts and connections that were cut: the request may have arrived.
        kind = LaunchUncertain if uncertain else ProviderUnavailable
        return kind(str(error), type(error).__name__)
    code, status = code_of(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    message = error.response.get("Error", {}).get("Message") or str(error)
    if code in _THROTTLED:
        return ProviderThrottled(message, code)
    if code in _DENIED:
        return Denied(message, code)
    if code in _BUSY:
        return ProviderUnavailable(message, code)
    if status >= 500:
        return (LaunchUncertain if uncertain else ProviderUnavailable)(message, code)
    return Misconfigured(message, code)


def taken(shape: Shape, value: Any) -> Any:
    """Of what AWS has shown, that which it takes back: members that only answers have are left out."""
    if isinstance(shape, StructureShape):
        return {key: taken(shape.members[key], each) for key, each in value.items() if key in shape.members}
    if isinstance(shape, ListShape):
        return [taken(shape.member, each) for each in value]
    return value


def code_of(error: ClientError) -> str:
    """AWS's word for what is wrong."""
    return str(error.response.get("Error", {}).get("Code", ""))
