"""Who may see all that a blinded session recorded.

Once a person's arm, or everybody's, has been opened by an audited act, a clinician sees the recording as it is. Whoever
else looks stays blind: the audit says who was told the arm, and the others were not.
"""

from __future__ import annotations

from pathlib import Path

from myoloop.experiments.studies.audit import AUDIT_FILE
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.unblind import unblinded


def may_see_all(study: Path, person: str, role: str) -> bool:
    """Whether a role may see what a blinded session of a person recorded.

    Raises
    ------
    UserError
        If the study's audit was edited.
    """
    from myoloop.experiments.cohorts.opening import ACT as ALL_OPENED

    if role != "clinician":
        return False
    opened = [row for row in read_chained(study / AUDIT_FILE) if row.get("act") == ALL_OPENED]
    return bool(opened) or any(row.get("what") == f"arm of {person}" for row in unblinded(study))
