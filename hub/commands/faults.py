"""What can go wrong in a command itself."""

from keys.errors import Fault


class InputUnreadable(Fault):
    """A file given to a command can't be read, or does not hold what it should."""

    code = "input-unreadable"


class UsageFault(Fault):
    """These arguments do not go together; see --help."""

    code = "usage"


class DataDirectoryAbsent(Fault):
    """There is no hub's data here; `xieban serve --data DIR` makes it."""

    code = "data-directory-absent"


class AlreadyThere(Fault):
    """This would be written over; nothing was changed."""

    code = "already-there"
