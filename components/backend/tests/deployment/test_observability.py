"""What is watched exists: documents, alerts and dashboard speak of the metrics that the processes have."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from fakes import FakeCircuits
from gonets.adapters.telemetry.imports import ImportMetrics
from gonets.adapters.telemetry.metrics import (
    BatchMetrics,
    DoorMetrics,
    HttpMetrics,
    ProviderMetrics,
    RetentionMetrics,
    TaskMetrics,
    WakeMetrics,
    create_registry,
)
from gonets.adapters.telemetry.notifications import NotificationMetrics, SelfTestMetrics
from gonets.adapters.telemetry.watch import Watcher

ROOT = Path(__file__).parents[4]
HERE = ROOT / "deployment" / "backend" / "observability"
DOCUMENT = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
RULES = [
    rule for group in yaml.safe_load((HERE / "prometheus/rules.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD = json.loads((HERE / "grafana/dashboards/gonets.json").read_text(encoding="utf-8"))
LABELS_OF_PROMETHEUS = {"job", "instance", "le"}


def _registry() -> CollectorRegistry:
    registry = create_registry("test")
    for metrics in (
        BatchMetrics,
        DoorMetrics,
        TaskMetrics,
        ProviderMetrics,
        HttpMetrics,
        WakeMetrics,
        NotificationMetrics,
        SelfTestMetrics,
        RetentionMetrics,
        ImportMetrics,
    ):
        metrics(registry)
    nothing: Any = None
    Watcher(nothing, FakeCircuits(), nothing, registry)
    return registry


def _labels(registry: CollectorRegistry, family: Any, name: str) -> set[str]:
    # What the library counts itself is described by its collector; what the scheduler reads, by the family.
    described = registry._names_to_collectors.get(name, family)
    return set(described._labelnames)


@pytest.fixture(scope="module")
def metrics() -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each of our metrics, by the name it is shown under."""
    registry = _registry()
    found = {}
    for family in registry.collect():
        if family.name.startswith("gonets_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            found[name] = (family.type, _labels(registry, family, name))
    return found


def test_the_document_has_every_metric_with_type_and_labels(metrics: dict[str, tuple[str, set[str]]]) -> None:
    rows = re.findall(r"^\| `(gonets_\w+)` \| (\w+) \| (.*?)\| (.+) \|$", DOCUMENT, re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in rows}
    assert documented == metrics
    assert all(meaning.strip() for *_, meaning in rows)


def _expressions() -> list[str]:
    shown = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [rule["expr"] for rule in RULES] + [expression for expression in shown if not expression.startswith("{")]


@pytest.mark.parametrize("expression", _expressions())
def test_alerts_and_dashboard_ask_for_metrics_and_labels_that_exist(
    expression: str, metrics: dict[str, tuple[str, set[str]]]
) -> None:
    samples = {name for name, (kind, _) in metrics.items() if kind != "histogram"}
    samples |= {
        name + suffix
        for name, (kind, _) in metrics.items()
        if kind == "histogram"
        for suffix in ("_bucket", "_count", "_sum")
    }
    used = set(re.findall(r"\bgonets_\w+", re.sub(r'"[^"]*"', "", expression)))
    assert used <= samples
    known = LABELS_OF_PROMETHEUS.union(*(metrics[re.sub(r"_(bucket|count|sum)$", "", name)][1] for name in used))
    asked = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", expression) for label in labels.split(",")}
    asked |= set(re.findall(r'(\w+)(?:=~|!~|!=|=)"', expression))
    assert asked <= known
    assert expression.count("(") == expression.count(")")


def test_every_alert_says_what_to_do() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}, rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        assert len(rule["annotations"]["description"]) > 80, rule["alert"]


def test_every_metric_is_looked_at_by_somebody(metrics: dict[str, tuple[str, set[str]]]) -> None:
    text = "\n".join(_expressions())
    assert {name for name in metrics if name not in text} == {"gonets_build_info"}


def test_the_dashboard_fits_its_data_sources() -> None:
    sources = yaml.safe_load((HERE / "grafana/provisioning/datasources/gonets.yaml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"] for source in sources}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_prometheus_and_grafana_ask_where_compose_listens() -> None:
    services = yaml.safe_load((ROOT / "deployment/backend/docker-compose.yaml").read_text())["services"]
    jobs = yaml.safe_load((HERE / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    asked = {name: entry["port"] for job in jobs for entry in job.get("dns_sd_configs", []) for name in entry["names"]}
    environment = services["worker"]["environment"]
    own = int(environment["METRICS_PORT"])
    assert asked == {"api": int(environment["API_PORT"]), "worker": own, "scheduler": own}
