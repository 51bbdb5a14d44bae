"""Who may unblind: what the protocol says under which a person is treated, about the list that the study has."""

from __future__ import annotations

from pathlib import Path

from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.studies.allocation import AllocationError, list_sha256


def roles_of(study: Path | str, person: str, protocol: Path | str | None = None) -> tuple[str, ...]:
    """Roles that may unblind a person.

    Parameters
    ----------
    study, person
        Folder of the study, and pseudonym.
    protocol
        Used where the person has no session yet; where there are sessions the newest one's protocol is used.

    Raises
    ------
    AllocationError
        If no protocol says, or it speaks of another list.
    FileError
        If the protocol cannot be read.
    """
    kept = sorted(Path(study).glob(f"sub-{person}/ses-*/att-*/protocol.yaml"), key=_order)
    path = kept[-1] if kept else protocol
    if path is None:
        raise AllocationError(f"{person}: has no session yet; --protocol says whose role may unblind")
    allocation = load_protocol(path).allocation
    if allocation is None:
        raise AllocationError(f"{path}: has no section allocation, nobody may unblind by it")
    if allocation.list_sha256 != list_sha256(study):
        raise AllocationError(f"{path}: allocation.list: is not the list that the study has")
    return tuple(allocation.emergency_unblinding.roles)


def _order(path: Path) -> tuple[int, int]:
    return int(path.parents[1].name.removeprefix("ses-")), int(path.parent.name.removeprefix("att-"))
