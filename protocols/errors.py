"""Why a register refuses: a division, department, organisation id or legal basis that does not stand."""

from typing import ClassVar

from keys.errors import Fault


class DivisionUnknown(Fault):
    """No division of the People's Republic of China has this code (GB/T 2260)."""

    code: ClassVar[str] = "division-unknown"


class DepartmentUnknown(Fault):
    """This department is not in the code list."""

    code: ClassVar[str] = "department-unknown"


class OrganisationIdMalformed(Fault):
    """An organisation id is a division code, a hyphen and a department, for example 411002-health."""

    code: ClassVar[str] = "organisation-id-malformed"


class BasisUnknown(Fault):
    """The legal basis is not in the register; a case needs one that is."""

    code: ClassVar[str] = "basis-unknown"


class BasisRepealed(Fault):
    """The legal basis is repealed; `since` and `replaced_by` say since when and what to cite instead."""

    code: ClassVar[str] = "basis-repealed"


class BasisNotInForce(Fault):
    """The legal basis is not in force yet; `effective` says from when it is."""

    code: ClassVar[str] = "basis-not-in-force"
