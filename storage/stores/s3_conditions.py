"""Whether an S3 server respects the conditions of writes, which all safety rests on."""

import threading
from typing import Any

from botocore.exceptions import ClientError

from storage.errors import NoConditionalWrites
from storage.stores.faults import translate

_BODY = b"rd-inspect tries here whether the server refuses a write whose condition does not hold.\n"
_NO_ETAG = '"00000000000000000000000000000000"'
_REFUSED = (404, 409, 412)
_UNKNOWN = (400, 405, 501)
"""status of servers that do not know conditions"""
_trusted: set[tuple[str, str, str]] = set()
_one_at_a_time = threading.Lock()


def require_conditions(client: Any, bucket: str, key: str, store: str) -> None:
    """Raises NoConditionalWrites unless the server refuses to create `key` twice and to replace it under another
    etag.

    Asked once for each process and prefix. The object stays, so that nobody needs permission to delete it and two
    processes do not confuse each other. Other errors as of any write.
    """
    place = (str(client.meta.endpoint_url), bucket, key)
    with _one_at_a_time:
        if place in _trusted:
            return
        put = {"Bucket": bucket, "Key": key, "Body": _BODY}
        first = _accepted(client, store, {**put, "IfNoneMatch": "*"})  # of this store ever
        forgotten = ["If-None-Match"] if first and _accepted(client, store, {**put, "IfNoneMatch": "*"}) else []
        if _accepted(client, store, {**put, "IfMatch": _NO_ETAG}):
            forgotten.append("If-Match")
        if forgotten:
            raise _refusal(store, place[0], f"carries out writes in spite of {' and '.join(forgotten)}")
        _trusted.add(place)


def _accepted(client: Any, store: str, request: dict[str, Any]) -> bool:
    """Whether the server carried out a conditional write."""
    try:
        client.put_object(**request)
    except ClientError as e:
        status = e.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = e.response.get("Error", {}).get("Code")
        if status in _REFUSED and code != "NoSuchBucket":
            return False
        if code == "NotImplemented" or (status in _UNKNOWN and "condition" in str(e).lower()):
            raise _refusal(
                store, str(client.meta.endpoint_url), f"does not know conditional writes ({status})"
            ) from e
        raise translate(e, f"cannot try conditional writes at {store}/{request['Key'].rpartition('/')[2]}") from e
    except Exception as e:
        raise translate(e, f"cannot try conditional writes at {store}") from e
    return True


def _refusal(store: str, endpoint: str, what: str) -> NoConditionalWrites:
    return NoConditionalWrites(
        f"{store}: the S3 server at {endpoint} {what}. Of two runs at once both would win, and a promotion, "
        "a seal or a label be lost unnoticed, so nothing is written there. Use a server that holds to If-None-Match "
        "and If-Match: AWS S3, MinIO, SeaweedFS, Ceph from Squid on; or a local folder."
    )
