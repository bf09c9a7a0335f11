"""What the fuzzer has to know beyond the document. Loaded by schemathesis itself."""

from typing import Any

import schemathesis


@schemathesis.hook
def filter_body(context: schemathesis.HookContext, body: Any) -> bool:
    """7.0 is an integer to JSON Schema, and no task id to us; test_bad_input.py sends it."""
    return not (isinstance(body, dict) and isinstance(body.get("task_id"), float))
