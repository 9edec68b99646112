"""The only place that knows which parts are plugged in: the operator's door."""

from headrace.assembly.keys import stored_keys
from headrace.assembly.platform import Platform, Running, settings_here
from headrace.assembly.roles import ROLES, run_roles
from headrace.assembly.stores import Stores, forgetful_decisions, opened_stores
from headrace.assembly.tree import supervised
from headrace.settings import Settings

__all__ = [
    "ROLES",
    "Platform",
    "Running",
    "Settings",
    "Stores",
    "forgetful_decisions",
    "opened_stores",
    "run_roles",
    "settings_here",
    "stored_keys",
    "supervised",
]
