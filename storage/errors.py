"""What can go wrong with bytes at rest.

    StorageError
    +-- InvalidAddress      an address that can be of no store: unknown scheme, no bucket
    +-- StoreNotFound       the folder or bucket is not there
    +-- AccessDenied        the credentials are wrong or do not allow it
    |   +-- ObjectDenied    one file that may not be read, in a folder that may
    +-- StoreFull           no space left, or a quota is used up
    +-- StoreReadOnly       a write to the images' own store
    +-- NoConditionalWrites an S3 server that forgets the condition of a write
    +-- InvalidKey          a key that could lead out of the store
    +-- KeyNotFound         no object of that key
    +-- AlreadyExists       create() of an object that is there
    +-- Conflict            replace() of an object that changed meanwhile
    +-- CorruptObject       the bytes are not what their digest or format promises
    +-- QueryError          a statement DuckDB refuses
    +-- TransientFault      a time-out, a cut connection, a 5xx: worth another try
    UnreadableImage         the bytes of one image do not decode: a row, never the end of a run

Every message gives the value, the consequence and the cure.
"""


class StorageError(Exception):
    """Any fault of bytes at rest."""


class InvalidAddress(StorageError):
    """An address that cannot be a store: unknown scheme, no bucket, or credentials in it."""


class StoreNotFound(StorageError):
    """The folder or bucket does not exist."""


class AccessDenied(StorageError):
    """The credentials are wrong or do not allow the request."""


class ObjectDenied(AccessDenied):
    """A file that may not be read, in a store whose other files may."""


class StoreFull(StorageError):
    """No space left on the device, or a quota is used up."""


class StoreReadOnly(StorageError):
    """A write to a store that was opened for reading only."""


class NoConditionalWrites(StorageError):
    """An S3 server that ignores the condition of a write."""


class InvalidKey(StorageError):
    """A key that could lead outside the store."""


class KeyNotFound(StorageError):
    """There is no object with that key."""


class AlreadyExists(StorageError):
    """`create()` of an existing object."""


class Conflict(StorageError):
    """`replace()` of an object that changed since it was read."""


class CorruptObject(StorageError):
    """The bytes do not match their digest or format."""


OF_ONE_OBJECT = (CorruptObject, KeyNotFound, ObjectDenied, InvalidKey)
"""errors of a single object; others of its store can be read"""


class QueryError(StorageError):
    """A statement that DuckDB refuses or cannot carry out."""


class TransientFault(StorageError):
    """A time-out, a cut connection or a 5xx: worth a retry."""


class UnreadableImage(Exception):
    """An image's bytes do not decode. It becomes a row with this message."""
