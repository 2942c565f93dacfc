"""Every foreign error becomes the right one of ours, and tells no secret."""

import errno
from typing import Any

import aiohttp
import pytest
from botocore import exceptions as boto

from storage import errors
from storage.errors import StorageError
from storage.stores.faults import translate, translated


def answered(status: int, code: str, message: str = "") -> boto.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return boto.ClientError(response, "PutObject")


def wrapped(status: int, code: str) -> OSError:
    """As s3fs raises it."""
    error = OSError(errno.EIO, "something")
    error.__cause__ = answered(status, code)
    return error


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (answered(404, "NoSuchBucket"), errors.StoreNotFound),
        (answered(404, "NoSuchKey"), errors.KeyNotFound),
        (answered(401, "Unauthorized"), errors.AccessDenied),
        (answered(403, "SignatureDoesNotMatch"), errors.AccessDenied),
        (answered(400, "ExpiredToken"), errors.AccessDenied),
        (answered(412, "PreconditionFailed"), errors.Conflict),
        (answered(409, "OperationAborted"), errors.Conflict),
        (answered(409, "ConditionalRequestConflict"), errors.TransientFault),
        (answered(500, "InternalError"), errors.TransientFault),
        (answered(503, "SlowDown"), errors.TransientFault),
        (answered(429, "TooManyRequests"), errors.TransientFault),
        (answered(400, "RequestTimeout"), errors.TransientFault),
        (answered(507, "XMinioStorageFull"), errors.StoreFull),
        (answered(400, "QuotaExceeded"), errors.StoreFull),
        (answered(400, "InvalidRequest", "what"), StorageError),
        (wrapped(403, "AccessDenied"), errors.AccessDenied),
        (wrapped(503, "SlowDown"), errors.TransientFault),
        (boto.NoCredentialsError(), errors.AccessDenied),
        (boto.ProfileNotFound(profile="x"), errors.AccessDenied),
        (boto.EndpointConnectionError(endpoint_url="http://h"), errors.TransientFault),
        (boto.ConnectTimeoutError(endpoint_url="http://h"), errors.TransientFault),
        (boto.ReadTimeoutError(endpoint_url="http://h"), errors.TransientFault),
        (boto.ResponseStreamingError(error="cut"), errors.TransientFault),
        (aiohttp.ClientPayloadError("cut"), errors.TransientFault),
        (aiohttp.ServerDisconnectedError(), errors.TransientFault),
        (TimeoutError(), errors.TransientFault),
        (ConnectionResetError(errno.ECONNRESET, "reset"), errors.TransientFault),
        (OSError(errno.ENOSPC, "No space left"), errors.StoreFull),
        (OSError(errno.EDQUOT, "Quota"), errors.StoreFull),
        (OSError(errno.EACCES, "denied"), errors.AccessDenied),
        (OSError(errno.EROFS, "read-only"), errors.StoreReadOnly),
        (OSError(errno.ENOENT, "no file"), errors.KeyNotFound),
        (OSError(errno.ENAMETOOLONG, "long"), errors.InvalidKey),
        (OSError(errno.EIO, "Input/output error"), errors.TransientFault),
        (OSError(errno.ESTALE, "Stale file handle"), errors.TransientFault),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else f"{value!r}"[:50],
)
def test_translation(foreign: BaseException, ours: type[StorageError]) -> None:
    found = translate(foreign, "cannot write s3://b/k")
    assert type(found) is ours
    assert str(found).startswith("cannot write s3://b/k: ")


def test_a_refused_condition_is_what_the_caller_says() -> None:
    with pytest.raises(errors.AlreadyExists) as refused, translated("a", taken=errors.AlreadyExists):
        raise answered(412, "PreconditionFailed")
    assert isinstance(refused.value.__cause__, boto.ClientError)


def test_our_own_errors_and_bugs_pass_as_they_are() -> None:
    mine = errors.Conflict("mine")
    with pytest.raises(errors.Conflict) as passed, translated("a"):
        raise mine
    assert passed.value is mine
    with pytest.raises(ZeroDivisionError), translated("a"):
        raise ZeroDivisionError


def test_passwords_in_addresses_are_hidden() -> None:
    error = boto.EndpointConnectionError(endpoint_url="http://user:hunter2@minio:9000/b")
    assert "hunter2" not in str(translate(error, "a"))
    assert "minio:9000" in str(translate(error, "a"))
