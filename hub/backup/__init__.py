"""A hub's backup: one file, encrypted to the operator's keys, that holds its database, keys and attachments."""

from typing import ClassVar

from keys.errors import Fault


class BackupFailed(Fault):
    """The backup could not be made; nothing of it is left, and earlier ones were kept."""

    code: ClassVar[str] = "backup-failed"


class BackupInvalid(Fault):
    """This is no backup that is whole and signed by its hub, or not one that the key given opens."""

    code: ClassVar[str] = "backup-invalid"


class RestoreRefused(Fault):
    """It is not restored, for the reason that is given; nothing was changed."""

    code: ClassVar[str] = "restore-refused"


class RestoreUnfinished(Fault):
    """A restore into this place did not come to its end: run it again, which replaces what it left."""

    code: ClassVar[str] = "restore-unfinished"
