"""pgAdmin from its PyPI package: configured, its user made, the database registered with its password."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from processes import ServerError
from supervision import Program
from variables import Variables


def prepare(run: Path, variables: Variables) -> Program:
    """The program to run. Its virtual environment `.run/pgadmin-venv` is there already (manage/pgadmin.sh makes it)."""
    home = run / "pgadmin"
    home.mkdir(parents=True, exist_ok=True)
    python = run / "pgadmin-venv/bin/python"
    package = next((run / "pgadmin-venv").glob("lib/python*/site-packages/pgadmin4"))
    _configure(package, home, variables)
    _setup(python, package, home, variables, "setup-db")
    _save_password(home, variables)
    servers = home / "servers.json"
    servers.write_text(json.dumps(_servers(variables), indent=2))
    load = ["load-servers", str(servers), "--user", variables["PGADMIN_EMAIL"], "--replace"]
    _setup(python, package, home, variables, *load)
    return Program("pgadmin", [str(python), str(package / "pgAdmin4.py")], home, order=40, autostart=True)


def _configure(package: Path, home: Path, variables: Variables) -> None:
    settings = {
        "SERVER_MODE": True,
        "DEFAULT_SERVER": "127.0.0.1",
        "DEFAULT_SERVER_PORT": variables.port("PGADMIN_PORT"),
        "DATA_DIR": str(home),
        "LOG_FILE": str(home / "pgadmin4.log"),
        "SQLITE_PATH": str(home / "pgadmin4.db"),
        "SESSION_DB_PATH": str(home / "sessions"),
        "STORAGE_DIR": str(home / "storage"),
        "AZURE_CREDENTIAL_CACHE_DIR": str(home / "azure"),
        "KERBEROS_CCACHE_DIR": str(home / "kerberos"),
        "MASTER_PASSWORD_REQUIRED": False,
        "UPGRADE_CHECK_ENABLED": False,
        "CHECK_EMAIL_DELIVERABILITY": False,
    }
    (package / "config_local.py").write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))


def _setup(python: Path, package: Path, home: Path, variables: Variables, *arguments: str) -> None:
    done = subprocess.run(
        [str(python), str(package / "setup.py"), *arguments],
        cwd=home,
        env={
            **os.environ,
            "PGADMIN_SETUP_EMAIL": variables["PGADMIN_EMAIL"],
            "PGADMIN_SETUP_PASSWORD": variables["PGADMIN_PASSWORD"],
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServerError(f"pgAdmin's setup ({arguments[0]}) failed:\n{(done.stdout + done.stderr).strip()[-1500:]}")


def _save_password(home: Path, variables: Variables) -> None:
    """pgAdmin reads password files only from the user's own storage."""
    storage = home / "storage" / variables["PGADMIN_EMAIL"].replace("@", "_")
    storage.mkdir(parents=True, exist_ok=True)
    file = storage / ".pgpass"
    file.touch(mode=0o600)
    parts = [variables["DATABASE_HOST"], variables["DATABASE_PORT"], "*"]
    parts += [variables["DATABASE_USER"], variables["DATABASE_PASSWORD"]]
    file.write_text(":".join(part.replace("\\", "\\\\").replace(":", "\\:") for part in parts) + "\n")


def _servers(variables: Variables) -> dict[str, object]:
    return {
        "Servers": {
            "1": {
                "Name": "Gonets",
                "Group": "Servers",
                "Host": variables["DATABASE_HOST"],
                "Port": variables.port("DATABASE_PORT"),
                "MaintenanceDB": variables["DATABASE_NAME"],
                "Username": variables["DATABASE_USER"],
                "ConnectionParameters": {"sslmode": "prefer", "passfile": "/.pgpass"},
            }
        }
    }
