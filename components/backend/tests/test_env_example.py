"""`.env.example` is the documentation of every variable, and shows the values that hold without it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from pydantic import SecretStr

from gonets import settings
from gonets.settings.group import Group

ROOT = Path(__file__).parents[3]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
SHOWN = dict(line.split("=", 1) for line in EXAMPLE.splitlines() if re.match(r"[A-Z0-9_]+=", line))

GROUPS = [group for group in Group.__subclasses__() if group is not settings.Settings]


def _variables() -> dict[str, object]:
    found: dict[str, object] = {"ENVIRONMENT": "development", "LOG_LEVEL": "INFO", "LOG_JSON": None}
    for group in GROUPS:
        for name, field in group.model_fields.items():
            alias = field.validation_alias
            found[str(alias) if alias else f"{group.model_config['env_prefix']}{name}".upper()] = field.default
    return found


def test_every_variable_of_the_service_is_shown():
    assert sorted(_variables().keys() - SHOWN.keys()) == []


def test_every_shown_variable_is_read_by_somebody():
    of_others = {"SANDBOX_BIND", "PGADMIN_EMAIL", "PGADMIN_PASSWORD", "PGADMIN_PORT"}
    of_others |= {"GRAFANA_PORT", "GRAFANA_PASSWORD", "PROMETHEUS_PORT"}
    assert sorted(SHOWN.keys() - _variables().keys() - of_others) == []


def test_the_shown_values_are_the_defaults():
    for variable, default in _variables().items():
        shown = SHOWN[variable]
        if not shown:
            continue  # depends on whether a key is set; the comment says how
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        if isinstance(default, bool):
            default = str(default).lower()
        if isinstance(default, float):
            default = f"{default:g}"
        assert shown == str(default), variable


def test_every_variable_is_explained():
    # A comment stands above it or above its neighbour without an empty line between.
    for block in EXAMPLE.split("\n\n"):
        assert block.lstrip().startswith("#"), block


def test_the_example_itself_is_a_valid_env_file(tmp_path):
    (tmp_path / ".env").write_text(EXAMPLE, encoding="utf-8")
    script = "from gonets import settings; print(settings.load().yandexgpt.system_prompt)"
    environment = {name: value for name, value in os.environ.items() if name not in SHOWN}
    environment |= SHOWN
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Найди ошибки" in done.stdout
