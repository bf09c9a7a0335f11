"""The server binaries: found, or installed on Debian and Ubuntu as root without starting the packages' own services."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from processes import ServerError

_POLICY = Path("/usr/sbin/policy-rc.d")
_NO_MAIN_CLUSTER = Path("/etc/postgresql-common/createcluster.d/gonets.conf")
_POSTGRES_HOMES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_RABBITMQ_HOMES = ("/usr/lib/rabbitmq/bin", "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin", "/opt/homebrew/sbin")


_SERVICES = {"postgresql": "postgresql", "rabbitmq-server": "rabbitmq-server", "nginx-light": "nginx"}


def _version(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]


def _candidates(homes: tuple[str, ...], name: str) -> list[Path]:
    """The newest version first; what is on PATH comes last, since Debian puts wrappers there."""
    found = [path for home in homes for path in Path("/").glob(home.lstrip("/")) if (path / name).exists()]
    on_path = shutil.which(name)
    return [*sorted(found, key=_version, reverse=True), *([Path(on_path).resolve().parent] if on_path else [])]


def postgres_bin(data: Path | None = None) -> Path:
    """The directory of PostgreSQL's programs: the version that wrote `data`, else the newest."""
    found = _candidates(_POSTGRES_HOMES, "initdb")
    if not found:
        raise ServerError("PostgreSQL (initdb, postgres) is not installed; see deployment/backend/manage/README.md")
    version_file = data / "PG_VERSION" if data else None
    if version_file is None or not version_file.exists():
        return found[0]
    wanted = version_file.read_text().strip()
    for path in found:
        told = subprocess.run([path / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
        if re.search(rf"\b{wanted}[.\s]", told):
            return path
    raise ServerError(f"{data} was written by PostgreSQL {wanted}, which is not installed any more")


def rabbitmq_server() -> Path:
    """The server's own script, not Debian's wrapper, which changes user and directory."""
    found = _candidates(_RABBITMQ_HOMES, "rabbitmq-server")
    if not found:
        raise ServerError("RabbitMQ (rabbitmq-server) is not installed; see deployment/backend/manage/README.md")
    return found[0] / "rabbitmq-server"


def ensure(postgres: bool = True, rabbitmq: bool = True) -> None:
    """The programs asked for are there afterwards. Raises ServerError saying what to install where we cannot."""
    missing = []
    if postgres and not _candidates(_POSTGRES_HOMES, "initdb"):
        missing.append("postgresql")
    if rabbitmq and not _candidates(_RABBITMQ_HOMES, "rabbitmq-server"):
        missing.append("rabbitmq-server")
    if missing:
        install(missing)


def install(names: list[str]) -> None:
    """Installs Debian packages; their services are neither started now nor at the next boot."""
    wanted = " and ".join(names)
    if not (shutil.which("apt-get") and os.geteuid() == 0):
        how = f"sudo apt-get install {' '.join(names)}" if shutil.which("apt-get") else "your package manager"
        raise ServerError(f"{wanted} missing: install with {how}; see deployment/backend/manage/README.md")
    sys.stderr.write(f"installing {wanted} with apt-get (once)\n")
    with _services_stay_off():
        if _apt("install", *names).returncode:
            _apt("update")
            done = _apt("install", *names)
            if done.returncode:
                raise ServerError(f"apt-get could not install {wanted}: {done.stderr.strip()[-500:]}")
    if shutil.which("systemctl"):
        services = [_SERVICES[name] for name in names if name in _SERVICES]
        subprocess.run(["systemctl", "disable", "--quiet", *services], capture_output=True, check=False)


def _apt(verb: str, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "--no-install-recommends", verb, *names],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@contextlib.contextmanager
def _services_stay_off() -> Iterator[None]:
    """Debian asks policy-rc.d before a package starts its service; PostgreSQL asks createcluster.d before it makes a
    cluster that would sit on port 5432 after the next boot."""
    made = []
    for path, content, mode in (
        (_POLICY, "#!/bin/sh\nexit 101\n", 0o755),
        (_NO_MAIN_CLUSTER, "create_main_cluster = false\n", 0o644),
    ):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            path.chmod(mode)
            made.append(path)
    try:
        yield
    finally:
        for path in made:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        install(sys.argv[1:])
    except ServerError as error:
        sys.exit(str(error))
