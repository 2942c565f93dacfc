"""Errors of the core. Every message gives the value, the consequence and the cure.

CoreError
+-- ConfigError         a setting is unknown, out of range, or contradicts another
+-- UnknownTeacher      no teacher has that name
+-- TeacherUnavailable  the teacher's weights are not available
+-- CheckpointError     the bytes are no model of this program
+-- TooFewNormals       too few normal images to train, stop early and calibrate
+-- TrainingDiverged    the loss is not finite
+-- MapOutOfRange       an anomaly map exceeds the range of its stored form, float16
+-- EngineUnavailable   the engine is not installed, or does not reproduce torch
"""


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


class MapOutOfRange(CoreError):
    """An anomaly map exceeds the range of its stored form, float16."""


class EngineUnavailable(CoreError):
    """The engine is not installed, has another version, or does not reproduce torch."""
