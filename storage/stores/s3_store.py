"""A store in an S3 bucket or below a prefix."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any, BinaryIO, cast

from botocore.exceptions import ClientError
from zarr.abc.store import Store as ZarrStore
from zarr.storage import FsspecStore

from storage.errors import AlreadyExists, Conflict, InvalidKey, StorageError, TransientFault
from storage.records import ObjectInfo
from storage.stores import s3_client
from storage.stores.faults import translate, translated
from storage.stores.left_out import LeftOut
from storage.stores.litter import is_litter, litter_in
from storage.stores.s3_conditions import require_conditions
from storage.stores.store import RESERVED, Store, refuse_unsafe

_PROBE = f"{RESERVED}conditional-writes"
_READ_AHEAD = 64 * 1024  # bytes; a Parquet footer
_PAGE = 1000  # objects a request; S3's most


class S3Store(Store):
    """Objects in S3. Endpoint, region and credentials come from the usual AWS settings.

    botocore reads and writes objects, because it takes every key unchanged and shows the server's answer; zarr and
    pyarrow get s3fs file systems.
    """

    def __init__(self, bucket: str, prefix: str = "", *, read_only: bool = False) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.uri = f"s3://{bucket}/{self.prefix}".rstrip("/")
        self.read_only = read_only
        with translated(f"cannot open {self.uri}"):
            self._client = s3_client.client()

    def read_with_etag(self, key: str) -> tuple[bytes, str]:
        with translated(f"cannot read {self.address(key)}"):
            answer = self._client.get_object(**self._object(key))
            with answer["Body"] as body:
                return body.read(), _bare(answer["ETag"])

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        # A condition is refused here only if the object was replaced between two reads of the same file.
        with translated(f"cannot read {self.address(key)}", taken=TransientFault):
            where = self._object(key)
            raw = s3_client.ObjectFile(self._client, where["Bucket"], where["Key"])
            with io.BufferedReader(raw, _READ_AHEAD) as file:
                yield file

    def info(self, key: str) -> ObjectInfo | None:
        try:
            answer = self._client.head_object(**self._object(key))
        except ClientError as e:
            # HEAD has no body: a missing bucket looks like a missing key.
            if e.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 404:
                raise translate(e, f"cannot look at {self.address(key)}") from e
            self._look()
            return None
        except Exception as e:
            raise translate(e, f"cannot look at {self.address(key)}") from e
        return ObjectInfo(key, _bare(answer["ETag"]), answer["ContentLength"], answer["LastModified"].astimezone(UTC))

    def check(self) -> None:
        self._look()
        if not self.read_only:
            self._require_conditions()

    def _look(self) -> None:
        # A listing, since its refusal names the reason where that of a HEAD is a bare number.
        with translated(f"cannot use {self.uri}"):
            self._client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1)

    def zarr_store(self, key: str, read_only: bool = False) -> ZarrStore:
        return FsspecStore(
            s3_client.filesystem(asynchronous=True), path=self._path(key), read_only=read_only or self.read_only
        )

    def duckdb_uri(self, key: str) -> str:
        return f"s3://{self._path(key)}"

    @property
    def filesystem(self) -> Any:
        return s3_client.filesystem(asynchronous=False)

    def _write(self, key: str, data: bytes) -> None:
        with translated(f"cannot write {self.address(key)}"):
            self._client.put_object(**self._object(key), Body=data)

    def _create(self, key: str, data: bytes) -> None:
        self._require_conditions()
        self._put_if(key, data, AlreadyExists, IfNoneMatch="*")

    def _replace(self, key: str, data: bytes, etag: str) -> None:
        self._require_conditions()
        self._put_if(key, data, Conflict, IfMatch=f'"{etag}"')

    def _require_conditions(self) -> None:
        require_conditions(self._client, self.bucket, f"{self.prefix}{_PROBE}", self.uri)

    def _put_if(self, key: str, data: bytes, taken: type[StorageError], **condition: str) -> None:
        action = f"cannot {'create' if taken is AlreadyExists else 'replace'} {self.address(key)}"
        try:
            with translated(action, taken=taken):
                self._client.put_object(**self._object(key), Body=data, **condition)
        except taken as e:
            # If the first answer was lost on its way, the client's own second try meets our first one's bytes.
            cause = cast(ClientError, e.__cause__)
            tried_again = cause.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
            if not (tried_again and self.read(key) == data):
                raise
        except StorageError as e:
            # AWS answers 404, not 412, if the object to replace is gone.
            status = getattr(e.__cause__, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode")
            if taken is Conflict and status == 404 and self.info(key) is None:
                raise Conflict(
                    f"{self.address(key)} is gone since it was read, so nothing was written. "
                    "Read it again and decide."
                ) from e
            raise

    def _remove(self, key: str) -> None:
        with translated(f"cannot remove {self.address(key)}"):
            self._client.delete_object(**self._object(key))

    def _remove_tree(self, prefix: str) -> None:
        keys = [self.prefix + info.key for info in self._everything(prefix)]
        for start in range(0, len(keys), _PAGE):
            some = [{"Key": key} for key in keys[start : start + _PAGE]]
            with translated(f"cannot remove {self.address(prefix)}"):
                answer = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": some, "Quiet": True})
            for error in answer.get("Errors", []):  # the request as a whole is answered with 200
                raise TransientFault(
                    f"{self.address(error['Key'].removeprefix(self.prefix))} was not removed: {error.get('Code')} "
                    f"{error.get('Message')}. Run the same again; if it goes on, look at the bucket's permissions."
                )

    def _list(self, prefix: str, left_out: LeftOut | None) -> Iterator[ObjectInfo]:
        for info in self._everything(prefix):
            litter = litter_in(info.key)
            if litter is None:
                yield info
            elif left_out is not None:
                left_out.add_litter(litter)

    def _everything(self, prefix: str) -> list[ObjectInfo]:
        """Litter, too."""
        infos = []
        with translated(f"cannot list {self.address(prefix)}"):
            for page in self._pages(prefix):
                infos += [self._listed(entry) for entry in page.get("Contents", [])]
        infos = [info for info in infos if info.key != _PROBE]
        # AWS sorts by key, but servers that keep folders (SeaweedFS) put "a/b" before "a-b". Sorting what is
        # sorted takes one pass.
        infos.sort(key=lambda info: info.key)
        return infos

    def _children(self, prefix: str, left_out: LeftOut) -> list[str]:
        with translated(f"cannot list {self.address(prefix)}"):
            pages = list(self._pages(prefix, Delimiter="/"))
        start = len(self.prefix) + len(prefix)
        folders = [folder["Prefix"][start:] for page in pages for folder in page.get("CommonPrefixes", [])]
        listed = [entry["Key"][start:] for page in pages for entry in page.get("Contents", [])]
        files = [name for name in listed if prefix + name != _PROBE]
        for name in filter(None, files):  # the empty name is the mark of the folder itself
            if is_litter(name):
                left_out.add_litter(prefix + name)
            else:
                left_out.add_stray(prefix, name)
        for name in filter(is_litter, folders):
            left_out.add_litter(prefix + name)
        return sorted(name[:-1] for name in folders if not is_litter(name))

    def _pages(self, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2")
        return iter(
            pages.paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix, PaginationConfig={"PageSize": _PAGE}, **options
            )
        )

    def _listed(self, entry: dict[str, Any]) -> ObjectInfo:
        return ObjectInfo(
            entry["Key"].removeprefix(self.prefix),
            _bare(entry["ETag"]),
            entry["Size"],
            entry["LastModified"].astimezone(UTC),
        )

    def _object(self, key: str) -> dict[str, str]:
        """The request's address. Any key is read unchanged: in S3 '..' has no meaning."""
        if not key:
            raise InvalidKey("the key is empty: there is no such object. Give a key.")
        return {"Bucket": self.bucket, "Key": self.prefix + key}

    def _path(self, key: str) -> str:
        refuse_unsafe(key)  # s3fs cleans paths, so that an odd key would name another object
        return f"{self.bucket}/{self.prefix}{key}"


def _bare(etag: str) -> str:
    return etag.strip('"')
