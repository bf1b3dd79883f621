"""Why a hub takes nothing from another: one class a reason."""

from typing import ClassVar

from keys.errors import Fault


class NeighbourUnknown(Fault):
    """That hub is no neighbour of this one now."""

    code: ClassVar[str] = "neighbour-unknown"


class NeighbourInvalid(Fault):
    """This hub can't be a neighbour; nothing was changed."""

    code: ClassVar[str] = "neighbour-invalid"


class RelayInvalid(Fault):
    """What was handed over does not hold: a receipt that proves nothing, or one that says something else."""

    code: ClassVar[str] = "relay-invalid"


class RelayLoop(Fault):
    """This hub is in the chain of receipts already: a message comes back to no hub that it passed."""

    code: ClassVar[str] = "relay-loop"


class RelayOutOfOrder(Fault):
    """Messages of a hub are taken in the order of its list; `expected` is the next place."""

    code: ClassVar[str] = "relay-out-of-order"


class RelayDiffers(Fault):
    """The home took a message that the case does not allow here: the two hubs' cases differ."""

    code: ClassVar[str] = "relay-differs"


class OrganisationElsewhere(Fault):
    """The organisation is of another hub than the one that speaks of it."""

    code: ClassVar[str] = "organisation-elsewhere"
