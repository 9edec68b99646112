"""The only place that knows which parts are plugged in: the operator's door."""

from headrace.assembly.keys import stored_keys
from headrace.assembly.platform import Platform, Running, forgetful_decisions, settings_here, stored_decisions
from headrace.assembly.roles import ROLES, run_roles
from headrace.assembly.tree import supervised
from headrace.settings import Settings

__all__ = [
    "ROLES",
    "Platform",
    "Running",
    "Settings",
    "forgetful_decisions",
    "run_roles",
    "settings_here",
    "stored_decisions",
    "stored_keys",
    "supervised",
]
