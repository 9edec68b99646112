"""The only place that knows which parts are plugged in: the operator's door."""

from headrace.assembly.candidates import RolloutOffice, rollout_office
from headrace.assembly.kept import kept_models, kept_settings
from headrace.assembly.keys import stored_keys
from headrace.assembly.labels import files_of
from headrace.assembly.monitoring import held_back, recalibrated, stored_reports
from headrace.assembly.platform import Platform, Running, settings_here
from headrace.assembly.registry import check_lock_here, models_of, opened_registry
from headrace.assembly.releases import planner_of, record_of
from headrace.assembly.roles import ROLES, run_roles
from headrace.assembly.stores import Stores, forgetful_decisions, opened_stores
from headrace.assembly.tree import supervised
from headrace.monitoring.quality import NamedCheck, QualityRule
from headrace.settings import Settings

__all__ = [
    "ROLES",
    "NamedCheck",
    "Platform",
    "QualityRule",
    "RolloutOffice",
    "Running",
    "Settings",
    "Stores",
    "check_lock_here",
    "files_of",
    "forgetful_decisions",
    "held_back",
    "kept_models",
    "kept_settings",
    "models_of",
    "opened_registry",
    "opened_stores",
    "planner_of",
    "recalibrated",
    "record_of",
    "rollout_office",
    "run_roles",
    "settings_here",
    "stored_keys",
    "stored_reports",
    "supervised",
]
