"""GET / and GET /inbox: what is played here, and what came of it, for a person."""

import json
from collections.abc import Sequence
from html import escape
from itertools import islice
from typing import Any

from sandbox.faults import HTTP_KINDS
from sandbox.inbox import Inbox, Message
from sandbox.provider import Provider

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
code,pre{font:14px/1.5 ui-monospace,monospace;background:#f4f4f4;padding:.1rem .3rem;border-radius:3px}
pre{padding:.8rem;overflow-x:auto}table{border-collapse:collapse;width:100%;margin-bottom:2rem}
td{border-top:1px solid #ddd;padding:.3rem .6rem;vertical-align:top}td:first-child{width:50%}
article{border:1px solid #ddd;border-radius:8px;padding:.6rem 1rem;margin:1rem 0}
article{overflow-wrap:anywhere}article h3{margin:.6rem 0 0}article p{white-space:pre-wrap;margin:.6rem 0}
article small{float:right;margin-left:1rem}summary{cursor:pointer}small,summary{color:#666}
@media(prefers-color-scheme:dark){body{background:#1b1b1b;color:#ddd}code,pre{background:#2a2a2a}a{color:#8ab4f8}
article,td{border-color:#444}small,summary{color:#999}}"""

CALLS = (
    ("PUT /control/faults/{provider}", "set a fault; a new one replaces the old"),
    ("GET, DELETE /control/faults", "see, or end, all faults; calls that hang are let go"),
    ("GET /control/settings, PUT /control/settings/{provider}", "keys, limits, secrets of a provider"),
    ("GET /control/journal?provider=&operation=&input=&outcome=&since=&limit=", "the calls received"),
    ("GET /control/journal/count?provider=", "how many, grouped by provider, operation, outcome and input"),
    ("DELETE /control/journal", "forget them"),
    ("GET, DELETE /control/inbox?provider=&to=&since=&limit=", "the messages that reached people; /inbox shows them"),
    ("POST /control/reset", "everything as at the start"),
    ("GET /health", "is it up"),
)


def page(providers: Sequence[Provider[Any]]) -> str:
    sections = "".join(
        f"<h2>{escape(provider.title)}</h2><p>Name <code>{provider.name}</code>, at <code>{escape(provider.address)}"
        f"</code>, operations {', '.join(map(_code, provider.operations))}</p>{_table(provider.inputs)}"
        for provider in providers
    )
    kinds = ", ".join(map(_code, HTTP_KINDS))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sandbox</title><style>{STYLE}</style></head><body>
<h1>Sandbox</h1><p>Plays outside providers over their real wire formats. Nothing leaves this process.
<a href="/inbox">The inbox</a> shows the messages that reached people.</p>
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


SHOWN = 200

# A page that sent itself to be loaded again never came to rest for a browser that waits until all is done, and shut
# what a reader had opened.
RENEW = """setInterval(async () => {
  const page = new DOMParser().parseFromString(await (await fetch("")).text(), "text/html");
  const [shown, fresh] = [document, page].map(one => one.querySelector("main"));
  if (shown.dataset.state === fresh.dataset.state) return;
  for (const open of shown.querySelectorAll("details[open]"))
    for (const same of fresh.querySelectorAll(`#${open.closest("article").id} details`)) same.open = true;
  shown.replaceWith(fresh);
}, 2000);"""


def inbox_page(inbox: Inbox, providers: Sequence[Provider[Any]]) -> str:
    """The newest first."""
    titles = {provider.name: provider.title for provider in providers}
    held = sorted(inbox.select(), key=lambda message: -message.seq)
    newest = islice(held, SHOWN)
    messages = "".join(_message(message, titles.get(message.provider, message.provider)) for message in newest)
    plural = "" if len(held) == 1 else "s"
    here = f", the newest {SHOWN} of them here" if len(held) > SHOWN else ""
    counted = f"<p>{len(held)} message{plural}{here}.</p>"
    state = f"{held[0].seq} {len(held)}" if held else ""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Inbox</title>
<style>{STYLE}</style><script>{RENEW}</script></head><body><h1>Inbox</h1>
<p><small>What people got. New messages appear by themselves. <a href="/">The sandbox</a></small></p>
<main data-state="{state}">{counted + messages if held else "<p>Nothing has come yet.</p>"}</main></body></html>
"""


def _message(message: Message, title: str) -> str:
    subject = f"<h3>{escape(message.subject)}</h3>" if message.subject else ""
    details = json.dumps(message.details, ensure_ascii=False, indent=2, default=str) if message.details else ""
    shown = f"<details><summary>as it came</summary><pre>{escape(details)}</pre></details>" if details else ""
    return (
        f'<article id="message-{message.seq}">'
        f"<small>{escape(title)} · {escape(message.time[:19].replace('T', ' '))} UTC</small>"
        f"<b>{escape(message.sender)}</b> → {escape(message.to)}{subject}<p>{escape(message.text)}</p>{shown}</article>"
    )
