"""The errors of cbm-lake, chosen by what the caller can do about them."""


class LakeError(Exception):
    """Something that cbm-lake was asked for cannot be done; the message says what, which and what to do."""


class ConfigError(LakeError):
    """A setting is missing or wrong, or the workspace cannot be read or written: mend the configuration."""


class NotFoundError(LakeError):
    """The lake holds no such parcel, scene, table or query: ask for another."""


class SourceError(LakeError):
    """A catalogue, raster or store refused, failed or sent something unusable: try again or mend the source."""


class InvalidInputError(LakeError, ValueError):
    """An argument or file is outside what is accepted: correct it."""
