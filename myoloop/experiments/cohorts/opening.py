"""Who may see a cohort's arms: whoever holds the key and says who they are and why, which the study's audit keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from myoloop.experiments.cohorts.cohort import Cohort, make_cohort, output_folder
from myoloop.experiments.cohorts.gathering import CohortError
from myoloop.experiments.cohorts.people import read_people
from myoloop.experiments.studies.audit import audit_of, record_act
from myoloop.experiments.training.jobs import Jobs
from myoloop.platform.sealed import read_key

ACT = "cohort_unblind"


def open_arms(
    study: Path,
    analysis: Path | None,
    key_file: Path | None,
    *,
    blinded: bool,
    who: str = "",
    role: str = "",
    why: str = "",
    out: Path | None = None,
    jobs: Jobs | None = None,
    use: tuple[str, ...] = (),
) -> tuple[Cohort, Path]:
    """Make a cohort as its reader may see it, and say where its report goes.

    Raises
    ------
    CohortError
        If arms would be opened by nobody, or for no reason.
    UserError
        If the study, the key or the analysis file cannot be used.
    """
    if not study.is_dir():
        raise CohortError(f"{study}: no such folder; a study folder is needed")
    key = read_key(key_file) if key_file is not None else None
    opens = key is not None and not blinded
    missing = [name for name, told in (("--who", who), ("--role", role), ("--why", why)) if not told.strip()]
    if opens and missing:
        raise CohortError(f"{', '.join(missing)}: missing; who opens the arms of a study says so, or adds --blinded")
    # Before anything is computed: a report that may stand nowhere is not worth minutes.
    folder = output_folder(study, out, read_people(study, key, coded=blinded))
    if opens:
        new = {"known_to": who, "analysis": analysis.name if analysis is not None else "none"}
        record_act(audit_of(study), datetime.now(UTC), who, role, ACT, "arms of all", "blinded", new, why)
    return make_cohort(study, analysis, key, coded=blinded, jobs=jobs, use=use), folder
