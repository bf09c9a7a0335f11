"""Providers that cost next to nothing: nginx answers at once, a bare uvloop server after 200 ms."""

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.stage import BenchError, end

SLOW_SECONDS = 0.2

# The published example of https://dadata.ru/api/clean/phone/.
ANSWER = json.dumps(
    [
        {
            "source": "раб 846)231.60.14 *139",
            "type": "Стационарный",
            "phone": "+7 846 231-60-14 доб. 139",
            "country_code": "7",
            "city_code": "846",
            "number": "2316014",
            "extension": "139",
            "provider": 'ООО "СИПАУТНЭТ"',
            "country": "Россия",
            "region": "Самарская область",
            "city": "Самара",
            "timezone": "UTC+4",
            "qc_conflict": 0,
            "qc": 0,
        }
    ],
    ensure_ascii=False,
)

_NGINX = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    default_type application/json;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{answer}'; }} }}
}}
"""


@contextmanager
def static(directory: Path, port: int) -> Iterator[str]:
    """nginx with the answer in its configuration; its address."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if program is None:
        raise BenchError("nginx is not installed: it plays the provider (apt-get install nginx-light)")
    configuration = directory / "nginx.conf"
    configuration.write_text(_NGINX.format(directory=directory, port=port, answer=_quoted(ANSWER)))
    command = [program, "-c", str(configuration), "-e", "stderr"]
    with _answering(command, f"http://127.0.0.1:{port}", directory / "nginx.log") as url:
        yield url


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


@contextmanager
def slow(directory: Path, port: int) -> Iterator[str]:
    """The same answer after SLOW_SECONDS; its address."""
    command = [sys.executable, "-m", "benchmarks.processes.slow_provider", str(port), str(SLOW_SECONDS)]
    with _answering(command, f"http://127.0.0.1:{port}", directory / "slow.log") as url:
        yield url


@contextmanager
def _answering(command: list[str], url: str, log: Path) -> Iterator[str]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=Path(__file__).parents[1], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + 20
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{command[0]} does not answer: {log.read_text(errors='replace')[-1000:]}")
            time.sleep(0.05)
        yield url
    finally:
        end(process)


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, data=b"[]"), timeout=2) as answer:
            return bool(json.loads(answer.read()) == json.loads(ANSWER))
    except urllib.error.HTTPError as error:
        raise BenchError(f"{url} answers {error.code}") from error
    except OSError:
        return False
