"""The conformance kit: a partner's system against a real hub that misbehaves, judged by the wire alone."""

from adapters.conformance.badge import Badge, BadgeInvalid, NotConforming
from adapters.conformance.kit import KIT, PATIENCE, Progress, Settings, run
from adapters.conformance.report import Outcome, Report, ReportInvalid, Result
from adapters.conformance.running import Commands, NotRunning, Subject
from adapters.conformance.scenarios import ASKED, SCENARIOS, Scenario

__all__ = [
    "ASKED",
    "KIT",
    "PATIENCE",
    "SCENARIOS",
    "Badge",
    "BadgeInvalid",
    "Commands",
    "NotConforming",
    "NotRunning",
    "Outcome",
    "Progress",
    "Report",
    "ReportInvalid",
    "Result",
    "Scenario",
    "Settings",
    "Subject",
    "run",
]
