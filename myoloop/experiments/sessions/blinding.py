"""Which sessions are blinded, and where the stimulator's node finds a person's arm; nobody here reads it."""

from __future__ import annotations

from pathlib import Path

from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.studies.allocation import entry_of
from myoloop.platform.errors import UserError
from myoloop.platform.sealed import LIST_FILE
from myoloop.stimulators.assignment import Allocated
from myoloop.stimulators.sham import Treatment


class BlindingError(UserError, ValueError):
    """A protocol whose arms cannot be given as it says; one line for the operator."""


def allocated(protocol: Protocol, sealed_list: Path | str, entry: int, key: Path | str) -> Allocated:
    """Everything the stimulator's node needs to find the arm of a person.

    Parameters
    ----------
    sealed_list
        ``allocation.sealed`` of the study.
    entry
        Number of the person's entry in it.
    key
        The study's key file; read by the stimulator's node alone.

    Raises
    ------
    BlindingError
        If the protocol has no allocation.
    """
    if protocol.allocation is None:
        raise BlindingError(f"protocol {protocol.protocol.id}: it has no section allocation, nobody has an arm")
    treatments = {name: _treatment(protocol, arm.treatment) for name, arm in protocol.arms.items()}
    # Nodes run where they like: a path that depends on where would not be found.
    return Allocated(
        Path(sealed_list).resolve(), entry, Path(key).resolve(), protocol.allocation.list_sha256, treatments
    )


def allocated_in(study: Path, protocol: Protocol, person: str, key: Path | str | None) -> Allocated | None:
    """Where the arm of a person of a study is to be found; None for a session that is not blinded.

    Raises
    ------
    BlindingError
        If the study has a sealed list and no key is named, or a key is named and nobody has an arm.
    AllocationError
        If the person has no entry, or the list is not whole.
    """
    sealed_list = study / LIST_FILE
    if key is None:
        if protocol.allocation is not None and sealed_list.exists():
            raise BlindingError(f"{sealed_list}: gives {person} an arm; name the study's key: --key FILE")
        return None
    if protocol.allocation is None:
        raise BlindingError(f"--key: protocol {protocol.protocol.id} has no section allocation, nobody has an arm")
    return allocated(protocol, sealed_list, entry_of(study, person).number, key)


def check_blinded(protocol: Protocol, rig_class: str, found: Allocated | None) -> None:
    """Refuse to treat people in the open whose protocol gives them an arm.

    Raises
    ------
    BlindingError
        If nobody has said where a person's arm is to be found. On a SIM or BENCH rig all is then given, in the open.
    """
    if protocol.allocation is not None and found is None and rig_class not in ("SIM", "BENCH"):
        raise BlindingError(
            f"protocol {protocol.protocol.id}: has an allocation, and this session has no entry of the sealed list"
        )


def _treatment(protocol: Protocol, kind: str) -> Treatment:
    sham = protocol.sham
    if kind == "active":
        return Treatment()
    if sham is None:
        raise BlindingError(f"protocol {protocol.protocol.id}: an arm is sham, and no section says what is given then")
    return Treatment(sham.type, sham.on_s or 0.0, sham.fade_s or 0.0)
