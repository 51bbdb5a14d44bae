"""A virtual person by what they are made of, whatever they are called."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from myoloop.experiments.subjects.parameters import SubjectParameters


def fingerprint(person: SubjectParameters) -> str:
    """SHA-256 over all parameters, as written with the digits that tell one float from the next; 16 hex digits of it.

    The same person has the same one, whether drawn from a group by a seed or read from a subject file.
    """
    written = {name: float(value) for name, value in asdict(person).items()}
    return hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()[:16]
