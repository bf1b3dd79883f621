"""Evidence of one case in one file: gathered by a party, verified by anybody, offline."""

from adapters.evidence.checking import Report, check
from adapters.evidence.file import Evidence, EvidenceUnreadable, Piece, read, write
from adapters.evidence.gathering import gather
from adapters.evidence.summary import page

__all__ = ["Evidence", "EvidenceUnreadable", "Piece", "Report", "check", "gather", "page", "read", "write"]
