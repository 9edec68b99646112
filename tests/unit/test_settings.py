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
