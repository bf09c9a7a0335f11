"""The files of deployment/ agree with one another and with `.env.example`."""

import importlib.util
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gonets.adapters.rabbitmq import topology

ROOT = Path(__file__).parents[4]
DEPLOYMENT = ROOT / "deployment" / "backend"
COMPOSE = (DEPLOYMENT / "docker-compose.yaml").read_text(encoding="utf-8")
OVERRIDE = (DEPLOYMENT / "docker-compose.dev.yaml").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
ONLY_COMPOSE = {"PUBLISH_ON"}


def _native_defaults() -> dict[str, str]:
    namespace: dict[str, Any] = {}
    text = (DEPLOYMENT / "native" / "variables.py").read_text(encoding="utf-8")
    exec(re.search(r"^DEFAULTS = \{.*?^\}", text, re.MULTILINE | re.DOTALL)[0], namespace)  # type: ignore[index]
    return dict(namespace["DEFAULTS"])


def test_compose_variables_have_the_defaults_of_the_example():
    used = dict(re.findall(r"(?<!\$)\$\{([A-Z_]+):-([^}]*)\}", COMPOSE))
    assert set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE)) == set(used), "a variable without a default"
    assert {name: value for name, value in used.items() if name not in ONLY_COMPOSE} == {
        name: SHOWN[name] for name in used if name not in ONLY_COMPOSE
    }


def test_the_native_stack_has_the_defaults_of_the_example():
    assert _native_defaults() == {name: SHOWN[name] for name in _native_defaults()}


def test_compose_has_every_process_and_server():
    assert SERVICES.keys() == {
        *("api", "worker", "scheduler", "sandbox", "migrate", "db", "rabbitmq", "pgadmin"),
        *("prometheus", "loki", "alloy", "grafana"),
    }
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    assert all("healthcheck" in service for service in SERVICES.values())


def test_what_only_watches_is_started_only_when_asked_for():
    watching = {name for name, service in SERVICES.items() if service.get("profiles") == ["observability"]}
    assert watching == {"prometheus", "loki", "alloy", "grafana"}


def test_nothing_starts_before_what_it_needs():
    for name in ("api", "worker", "scheduler"):
        assert SERVICES[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "rabbitmq": {"condition": "service_healthy"},
            "sandbox": {"condition": "service_healthy"},
        }
    assert SERVICES["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}


def test_the_override_changes_only_services_there_are():
    assert yaml.safe_load(OVERRIDE)["services"].keys() <= SERVICES.keys()


def test_the_files_compose_mounts_are_there():
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            if volume.startswith("."):
                assert (DEPLOYMENT / volume.split(":")[0]).exists()


def test_lock_files_say_nothing_of_the_machine_that_made_them():
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / "components" / "backend" / name).read_text(encoding="utf-8")
        assert not re.search(r"://|^-|@ ", text, re.MULTILINE)
        assert text.count("--hash=sha256:") > text.count("==")


def test_the_broker_of_compose_and_of_an_operator_drops_no_task_that_went_back_often():
    configured = (DEPLOYMENT / "rabbitmq.conf").read_text(encoding="utf-8")
    [pattern] = re.findall(r"^default_policies\.operator\.gonets\.queue_pattern = (.+)$", configured, re.MULTILINE)
    [limit] = re.findall(r"^default_policies\.operator\.gonets\.delivery_limit = (\d+)$", configured, re.MULTILINE)
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert f"""'{pattern}' '{{"delivery-limit": {limit}}}'""" in operations
    assert all(re.search(pattern, queue) for queue in topology.PUBLIC)


def test_what_is_tested_is_what_runs():
    def pins(name: str) -> set[str]:
        text = (ROOT / "components" / "backend" / name).read_text(encoding="utf-8")
        return set(re.findall(r"^([a-z0-9-]+==\S+)", text, re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")


@pytest.mark.parametrize("script", sorted(path.name for path in (DEPLOYMENT / "manage").glob("*.sh")))
def test_every_script_explains_itself(script: str):
    if script == "lib.sh":
        return
    done = subprocess.run(
        ["bash", DEPLOYMENT / "manage" / script, "--help"], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0
    assert script in done.stdout
    assert f"`{script}" in (DEPLOYMENT / "manage" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", ["start.sh", "stop.sh", "restart.sh", "remove.sh", "lock.sh"])
def test_an_unknown_option_is_refused_before_anything_happens(script: str):
    done = subprocess.run(
        ["bash", DEPLOYMENT / "manage" / script, "--nonsense"], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert "--nonsense" in done.stderr


def test_servers_needs_nothing_but_the_standard_library():
    """It runs before there is a virtual environment."""
    done = subprocess.run(
        ["python3", "-I", "-S", DEPLOYMENT / "native" / "servers.py", "--help"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert importlib.util.find_spec("supervisor"), "the process manager belongs to the development packages"
