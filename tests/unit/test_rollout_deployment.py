"""The dashboard and the alerts: in the programs' formats, and about metrics that there are."""

import json
import re
from pathlib import Path

import pytest
import yaml

from headrace.telemetry import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "rollouts.json").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus" / "rollouts.rules.yml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def known():
    """The names of all samples of this process, those of histograms too."""
    families = list(Metrics().registry.collect())
    suffixes = ("", "_total", "_bucket", "_count", "_sum")
    return {family.name + suffix for family in families for suffix in suffixes}


@pytest.mark.parametrize("expression", EXPRESSIONS + [rule["expr"] for rule in ALERTS])
def test_every_expression_is_closed_and_about_metrics_that_there_are(expression):
    names = set(re.findall(r"headrace_\w+", expression))

    assert names
    assert names <= known()
    assert expression.count("(") == expression.count(")")
    assert expression.count("{") == expression.count("}")


def test_the_dashboard_has_what_grafana_wants_to_import():
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time"} <= set(DASHBOARD)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids)) == 8
    for panel in DASHBOARD["panels"]:
        assert {"h", "w", "x", "y"} == set(panel["gridPos"])
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert {"refId", "expr", "datasource"} <= set(panel["targets"][0])


def test_the_alerts_have_what_prometheus_wants_to_load():
    assert set(RULES) == {"groups"}
    names = [rule["alert"] for rule in ALERTS]
    assert len(names) == len(set(names))
    for rule in ALERTS:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert {"summary", "description"} == set(rule["annotations"])
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
