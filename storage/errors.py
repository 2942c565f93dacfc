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
    """An address that can be of no store: an unknown scheme, no bucket, credentials in it."""


class StoreNotFound(StorageError):
    """The folder or bucket is not there."""


class AccessDenied(StorageError):
    """The credentials are wrong or do not allow the request."""


class ObjectDenied(AccessDenied):
    """One file that may not be read; others of its store may."""


class StoreFull(StorageError):
    """No space left on the device, or a quota is used up."""


class StoreReadOnly(StorageError):
    """A write to a store that was opened for reading only."""


class NoConditionalWrites(StorageError):
    """An S3 server that carries out a write whatever its condition says."""


class InvalidKey(StorageError):
    """A key that could lead out of the store."""


class KeyNotFound(StorageError):
    """No object of that key."""


class AlreadyExists(StorageError):
    """`create()` of an object that is there."""


class Conflict(StorageError):
    """`replace()` of an object that changed since it was read."""


class CorruptObject(StorageError):
    """The bytes are not what their digest or their format promises."""


OF_ONE_OBJECT = (CorruptObject, KeyNotFound, ObjectDenied, InvalidKey)
"""what keeps one object from being read, such as a link out of the store; others of its store can be"""


class QueryError(StorageError):
    """A statement that DuckDB refuses or cannot carry out."""


class TransientFault(StorageError):
    """A time-out, a cut connection, a 5xx: worth another try."""


class UnreadableImage(Exception):
    """One image's bytes do not decode. It becomes a row with this message."""
