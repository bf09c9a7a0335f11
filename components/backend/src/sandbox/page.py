"""GET / : what is played here, for a person."""

from collections.abc import Sequence
from html import escape
from typing import Any

from sandbox.faults import HTTP_KINDS
from sandbox.provider import Provider

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
code,pre{font:14px/1.5 ui-monospace,monospace;background:#f4f4f4;padding:.1rem .3rem;border-radius:3px}
pre{padding:.8rem;overflow-x:auto}table{border-collapse:collapse;width:100%;margin-bottom:2rem}
td{border-top:1px solid #ddd;padding:.3rem .6rem;vertical-align:top}td:first-child{width:50%}"""

CALLS = (
    ("PUT /control/faults/{provider}", "set a fault; a new one replaces the old"),
    ("GET, DELETE /control/faults", "see, or end, all faults; calls that hang are let go"),
    ("GET /control/settings, PUT /control/settings/{provider}", "keys, limits, secrets of a provider"),
    ("GET /control/journal?provider=&operation=&input=&outcome=&since=&limit=", "the calls received"),
    ("GET /control/journal/count?provider=", "how many, grouped by provider, operation, outcome and input"),
    ("DELETE /control/journal", "forget them"),
    ("POST /control/reset", "everything as at the start"),
    ("GET /health", "is it up"),
)


def page(providers: Sequence[Provider[Any]]) -> str:
    sections = "".join(
        f"<h2>{escape(provider.title)}</h2><p>Name <code>{provider.name}</code>, at <code>{escape(provider.address)}"
        f"</code></p>{_table(provider.inputs)}"
        for provider in providers
    )
    kinds = ", ".join(map(_code, HTTP_KINDS))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sandbox</title><style>{STYLE}</style></head><body>
<h1>Sandbox</h1><p>Plays outside providers over their real wire formats. Nothing leaves this process.</p>
{sections}
<h2>Control</h2>{_table(CALLS)}
<p>Kinds of fault: {kinds}, and for <code>yandexgpt</code> any gRPC status name.</p><pre>{escape(EXAMPLE)}</pre>
</body></html>
"""


EXAMPLE = """curl -X PUT localhost:9090/control/faults/dadata \\
     -d '{"seed": 7, "latency_ms": [30, 150], "rate": 0.2, "kind": "status", "status": 503}'"""


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><td>{_code(left)}</td><td>{escape(right)}</td></tr>" for left, right in rows)
    return f"<table>{cells}</table>"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
