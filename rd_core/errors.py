"""What can go wrong in the core.

    CoreError
    +-- ConfigError         a setting that cannot be: unknown, out of range, or not fitting another
    +-- UnknownTeacher      no teacher of that name
    +-- TeacherUnavailable  the teacher's weights are neither here nor to be had
    +-- CheckpointError     the bytes are not a model this program wrote
    +-- TooFewNormals       not enough normal images to train, stop and calibrate
    +-- TrainingDiverged    the loss is no longer a number
    +-- MapOutOfRange       an anomaly map holds what its stored form, float16, cannot
    +-- EngineUnavailable   the library that is to compute scores is not here, or does not compute what torch does

Every message gives the value, the consequence and the cure.
"""


class CoreError(Exception):
    """Any fault of the core."""


class ConfigError(CoreError, ValueError):
    """A setting that cannot be: unknown, out of range, or not fitting another."""


class UnknownTeacher(ConfigError):
    """No teacher of that name."""


class TeacherUnavailable(CoreError):
    """The teacher's weights are neither here nor to be had."""


class CheckpointError(CoreError):
    """The bytes are not a model this program wrote."""


class TooFewNormals(CoreError):
    """Not enough normal images, or parts, to train, stop and calibrate."""


class TrainingDiverged(CoreError):
    """The loss is no longer a number."""


class MapOutOfRange(CoreError):
    """An anomaly map holds what its stored form, float16, cannot."""


class EngineUnavailable(CoreError):
    """The library that is to compute scores is not here, not in that version, or does not compute what torch does."""
