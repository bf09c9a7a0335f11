"""docs/channels.md, pasted into a shell from top to bottom."""

import itertools
import json
import re
import subprocess
from pathlib import Path

import pytest

from acceptance.stack import Installation

GUIDE = Path(__file__).resolve().parents[4] / "docs" / "channels.md"
BLOCK = re.compile(r"^```(sh|json|)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "--- end of the block ---"
PASSING = {"id", "createdAt", "updatedAt", "timestamp", "providerId", "link", "expiresAt"}
"""Keys whose values are another time others; that they are there is looked at."""


def _examples() -> list[tuple[str, str, str]]:
    """What is typed, and what is answered: its kind and its text, empty where the guide does not show it."""
    blocks = BLOCK.findall(GUIDE.read_text(encoding="utf-8"))
    pairs = zip(blocks, [*blocks[1:], ("sh", "")], strict=True)
    return [(text, *(after if after[0] != "sh" else ("", ""))) for (kind, text), after in pairs if kind == "sh"]


@pytest.fixture
def shell(installation: Installation, tmp_path: Path):
    sandbox = installation.start("sandbox", SANDBOX_BOT_PORT="0")
    api = installation.start("api", ENVIRONMENT="development")
    assert sandbox.running()

    def run(blocks: list[str]) -> list[str]:
        script = "\n".join(["set -euo pipefail", *(f"{block}\necho; echo '{END}'" for block in blocks)])
        for documented, here in (
            ("http://localhost:9000", api.url),
            ("http://localhost:9090", f"http://localhost:{installation.sandbox_http}"),
            ("http://localhost:5000", f"http://localhost:{installation.sandbox_http}/bot"),
            ('"smtpPort": 2525', f'"smtpPort": {installation.sandbox_smtp}'),
            ('"port": 2775', f'"port": {installation.sandbox_smpp}'),
        ):
            script = script.replace(documented, here)
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        answers = done.stdout.replace(f"http://localhost:{installation.sandbox_http}/", "http://localhost:9090/")
        return [answer.strip() for answer in answers.split(END)[:-1]]

    return run


def _like(shown: object, found: object, where: str) -> list[str]:
    """Where what was answered is not what the guide shows. The guide may leave keys of an object out."""
    if isinstance(shown, dict) and isinstance(found, dict):
        wrong = [f"{where}.{key} is missing" for key in shown.keys() - found.keys()]
        same = [key for key in shown.keys() & found.keys() if key not in PASSING]
        return wrong + [line for key in same for line in _like(shown[key], found[key], f"{where}.{key}")]
    return [] if shown == found else [f"{where} is {found!r}, not {shown!r}"]


def _last(answer: str) -> object:
    """The last of several JSON documents."""
    found, place, decoder = None, 0, json.JSONDecoder()
    while place < len(answer):
        found, place = decoder.raw_decode(answer, place)
        place += len(answer[place:]) - len(answer[place:].lstrip())
    return found


def _lines(answer: str) -> str:
    """The lines as a pattern: … is anything."""
    return re.escape(answer.strip()).replace("…", ".*")


def test_every_example_answers_what_the_guide_says(shell):
    examples = _examples()
    assert len(examples) > 10
    wrong: list[str] = []
    for (typed, kind, shown), answer in zip(examples, shell([typed for typed, _, _ in examples]), strict=True):
        match kind:
            case "json":
                wrong += [f"{typed}\n{line}\n" for line in _like(json.loads(shown), _last(answer), "answer")]
            case "" if shown and not re.fullmatch(_lines(shown), answer):
                wrong.append(f"{typed}\n{answer}\n")
    assert not wrong, "\n".join(wrong)


def test_every_answer_that_is_shown_belongs_to_an_example():
    kinds = [kind for kind, _ in BLOCK.findall(GUIDE.read_text(encoding="utf-8"))]
    assert all(before == "sh" for before, kind in itertools.pairwise(kinds) if kind == "json")
