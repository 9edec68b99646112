"""What the environment may say: settings by their full name, and nothing that is none."""

import pytest

from headrace.errors import InvalidConfiguration
from headrace.settings import load_settings


def test_a_variable_sets_a_key_of_a_section(tmp_path):
    assert load_settings(tmp_path, {"HEADRACE_SERVER__PORT": "8123"}, {}).server.port == 8123


def test_a_variable_that_names_no_section_is_somebody_elses(tmp_path):
    assert load_settings(tmp_path, {"HEADRACE_SHARED": "/data"}, {}) == load_settings(tmp_path, {}, {})


@pytest.mark.parametrize("name", ["HEADRACE_SERVER_PORT", "HEADRACE_SERVR__PORT", "HEADRACE_SERVER__PROT"])
def test_a_mistyped_setting_is_refused_with_the_nearest(tmp_path, name):
    with pytest.raises(InvalidConfiguration, match=r"Did you mean '(server|port)'"):
        load_settings(tmp_path, {name: "8123"}, {})


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("HEADRACE_LIMITS__UPLOAD", "-1", r"\[limits\] upload = -1 is no size"),
        ("HEADRACE_LIMITS__UPLOAD", "50 Mb!", r"\[limits\] upload = '50 Mb!' is no size"),
        ("HEADRACE_DECISIONS__KEEP", ".", r"\[decisions\] keep = '.' is no size"),
        ("HEADRACE_JOBS__LEASE_S", "-1", r"> 0.* at `\$.jobs.lease_s`"),
        ("HEADRACE_JOBS__ATTEMPTS", "0", r">= 1 .* at `\$.jobs.attempts`"),
        ("HEADRACE_LIMITS__REQUEST_SECONDS", "0", r"> 0.* at `\$.limits.request_seconds`"),
        ("HEADRACE_TELEMETRY__SHARE", "1.5", r"<= 1.* at `\$.telemetry.share`"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_at_the_start(tmp_path, variable, value, told):
    with pytest.raises(InvalidConfiguration, match=told):
        load_settings(tmp_path, {variable: value}, {})


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "headrace.toml").mkdir()

    with pytest.raises(InvalidConfiguration, match=r"headrace.toml cannot be read: Is a directory"):
        load_settings(tmp_path, {}, {})
