"""Translation of file system and S3 errors into StorageError."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from botocore import exceptions as boto

from storage.errors import (
    AccessDenied,
    Conflict,
    InvalidKey,
    KeyNotFound,
    StorageError,
    StoreFull,
    StoreNotFound,
    StoreReadOnly,
    TransientFault,
)

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM}
_MISSING = {errno.ENOENT, errno.ENODEV, errno.ELOOP}
_NAME_CLASH = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.EILSEQ}

_FULL_CODES = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientCapacity"}
# These come with status 400, like many a mistake of ours, so the status alone does not tell.
_DENIED_CODES = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AuthorizationHeaderMalformed"}
_RACING = "ConditionalRequestConflict"
"""two conditional writes collided in S3; undecided, retry"""
_TRANSIENT_CODES = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "BadDigest", _RACING}

_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
    boto.TokenRetrievalError,
    boto.NoAuthTokenError,
    boto.SSOError,
)
_NETWORK = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.ResponseStreamingError,
    boto.IncompleteReadError,
    aiohttp.ClientError,
)

_CREDENTIALS_CURE = (
    "Check the usual AWS settings (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE), "
    "AWS_ENDPOINT_URL, and that they may list, read and write there."
)
_TRANSIENT_CURE = "Try again; if it goes on, look at the server, the network and AWS_ENDPOINT_URL."


@contextmanager
def translated(action: str, *, taken: type[StorageError] = Conflict) -> Iterator[None]:
    """Raises errors from inside as a StorageError that begins with `action`, such as "cannot read <uri>".

    `taken`: the meaning of a refused condition (HTTP 409 and 412), such as AlreadyExists for a create.
    """
    try:
        yield
    except StorageError:
        raise
    except (OSError, boto.BotoCoreError, boto.ClientError, aiohttp.ClientError, TimeoutError) as e:
        raise translate(e, action, taken=taken) from e


def translate(error: BaseException, action: str, *, taken: type[StorageError] = Conflict) -> StorageError:
    """The StorageError of `error`."""
    # s3fs wraps what the server said into an OSError without its status; the cause still has it.
    origin = error.__cause__ if isinstance(error.__cause__, boto.ClientError) else error
    if isinstance(origin, boto.ClientError):
        return _of_response(origin, action, taken)
    if isinstance(error, _NO_CREDENTIALS):
        return AccessDenied(f"{action}: no usable credentials ({type(error).__name__}). {_CREDENTIALS_CURE}")
    if isinstance(error, (*_NETWORK, TimeoutError, ConnectionError)):
        return TransientFault(f"{action}: {_words(error)}. {_TRANSIENT_CURE}")
    if isinstance(error, OSError):
        return _of_system(error, action)
    return StorageError(f"{action}: {_words(error)}.")


def _of_response(error: boto.ClientError, action: str, taken: type[StorageError]) -> StorageError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = f"{action}: the server answers {status} {code}".rstrip()
    if code == "NoSuchBucket":
        return StoreNotFound(
            f"{message}; nothing was read or written. Check the bucket's name and AWS_ENDPOINT_URL; "
            "a bucket is never created here."
        )
    if status in (401, 403) or code in _DENIED_CODES:
        return AccessDenied(f"{message}; nothing was read or written. {_CREDENTIALS_CURE}")
    if status == 404:
        return KeyNotFound(f"{message}; there is no such object. Check the key.")
    if status in (409, 412) and code != _RACING:
        return taken(f"{message}; another writer was first and nothing was written. Read it again and decide.")
    return _of_server_state(error, message, status, code)


def _of_server_state(error: boto.ClientError, message: str, status: int, code: str) -> StorageError:
    if status == 507 or code in _FULL_CODES:
        return StoreFull(f"{message}; nothing was written. Free some space or raise the quota.")
    if status >= 500 or status == 429 or code in _TRANSIENT_CODES:
        return TransientFault(f"{message}. {_TRANSIENT_CURE}")
    return StorageError(f"{message}: {_hidden(str(error.response.get('Error', {}).get('Message', '')))}")


def _of_system(error: OSError, action: str) -> StorageError:
    message = f"{action}: {error.strerror or _words(error)}"
    if error.errno in _FULL:
        return StoreFull(f"{message}; nothing was written. Free some space or raise the quota.")
    if error.errno in _DENIED or isinstance(error, PermissionError):
        return AccessDenied(f"{message}. Check owner and mode of the folder, or the store's credentials.")
    if error.errno == errno.EROFS:
        return StoreReadOnly(f"{message}; nothing was written. Name a store that can be written.")
    if error.errno in _MISSING or isinstance(error, FileNotFoundError):
        return KeyNotFound(f"{message}; there is no such object. Check the key.")
    if error.errno in _NAME_CLASH:
        return InvalidKey(
            f"{message}; a folder and an object would share a name, or the name is too long. Choose another."
        )
    return TransientFault(f"{message}. {_TRANSIENT_CURE}")


def _words(error: BaseException) -> str:
    return _hidden(str(error) or type(error).__name__).rstrip(".")


def _hidden(text: str) -> str:
    """`text` without user names and passwords in addresses."""
    return re.sub(r"//[^/@\s]+@", "//***@", text)
