"""Errors of the core. Every message gives the value, the consequence and the cure."""


class CoreError(Exception):
    """Base class of the core's errors."""


class ConfigError(CoreError, ValueError):
    """A setting is unknown, out of range, or contradicts another."""


class UnknownTeacher(ConfigError):
    """No teacher has that name."""


class TeacherUnavailable(CoreError):
    """The teacher's weights are not available."""


class CheckpointError(CoreError):
    """The bytes are no model of this program."""


class TooFewNormals(CoreError):
    """Too few normal images, or parts, to train, stop early and calibrate."""


class TrainingDiverged(CoreError):
    """The loss is not finite."""


class TrainingCollapsed(CoreError):
    """A training that fits its loss by telling nothing apart any more."""


class MapOutOfRange(CoreError):
    """An anomaly map exceeds the range of its stored form, float16."""


class ViewImpossible(CoreError):
    """The view of a model does not fit an image."""


class NoCommonPart(CoreError):
    """Normals that show no common part, so that none can be aligned to their median."""


class AlignmentUnavailable(CoreError):
    """scikit-image, which finds where a part lies, is not installed."""


class EngineUnavailable(CoreError):
    """The engine is not installed, has another version, or does not reproduce torch."""
