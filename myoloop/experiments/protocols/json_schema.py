"""The protocol file as a JSON Schema, for editors that complete keys and underline mistakes while one types.

It knows keys, kinds and units; what values mean together only ``myoloop lint`` knows.
"""

from __future__ import annotations

from typing import Any

from myoloop.experiments.outcomes.registry import OUTCOMES
from myoloop.experiments.protocols.schema import Protocol

#: Parts that a bare text may stand for.
_TEXT_ALONE = ("Source", "Outcome")


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a protocol file."""
    schema = Protocol.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    for name in _TEXT_ALONE:
        definitions[name] = {"anyOf": [{"type": "string"}, definitions[name]], "title": name}
    definitions["Outcome"]["anyOf"][0] = {"enum": list(OUTCOMES)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
