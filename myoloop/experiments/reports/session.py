"""The report on one session: a single HTML page that needs no network and no script, its figures also as files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import myoloop
from myoloop.experiments.analysis.loopwalk import LoopWalk, walk_loop
from myoloop.experiments.analysis.session import Session, load
from myoloop.experiments.analysis.summary import spasm_score, summarise
from myoloop.experiments.origins import EVERYTHING
from myoloop.experiments.reports import (
    calibration,
    conduct,
    doses,
    evidence,
    outcomes,
    screening,
    sensitivity,
    tables,
    unmeasured,
)
from myoloop.experiments.reports.beside import Beside, read_beside
from myoloop.experiments.reports.blinded import draw_blinded, render_blinded
from myoloop.experiments.reports.drawing import Drawn
from myoloop.experiments.reports.given import given_table
from myoloop.experiments.reports.page import render_page, write_figures
from myoloop.experiments.reports.session_more import draw_more, more_values
from myoloop.experiments.reports.tables import Table
from myoloop.experiments.sessions.trials import write_trials_csv
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import find_recording, place_of, replace_file
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.verify import Verification, verify

BLINDED = (
    "Blinded: current, pulses and dose are nominal, as an active arm would have had them; what was given is sealed. "
    "Figures of raw EMG tell the arm."
)
REPORT_FOLDER, REPORT_FILE = "report", "report.html"
#: Stamped on every section, figure and printed page.
SIMULATED, UNKNOWN = "SIMULATED", "SIMULATED OR NOT: UNKNOWN"


@dataclass(frozen=True, slots=True)
class SessionReportSettings:
    """Settings of the report.

    Attributes
    ----------
    figure_files
        Whether the figures are written as files too, each as SVG with the numbers it was drawn from as CSV.
    blinded
        Whether it is for those who are to stay blind: arm, current and charge are withheld, and what a muscle did.
    key
        The study's key file: then what was really given in a blinded session stands in it too.
    """

    figure_files: bool = True
    blinded: bool = False
    key: str = ""


class SessionReport:
    """The built-in report ``session``."""

    Settings = SessionReportSettings

    def __init__(self, settings: SessionReportSettings | None = None) -> None:
        self.settings = settings or SessionReportSettings()

    def write(self, path: Path | str, out: Path | None = None, loaded: Session | None = None) -> Path:
        """Write the report on a recording.

        Parameters
        ----------
        path
            Session file or the folder of its attempt; a file that was cut is reported on as far as it goes.
        out
            The page to write, ending in ``.html``, or a folder for it; by default ``report/report.html`` in the
            attempt's folder. An older report there is replaced, figures with it.
        loaded
            The same recording, where it has been loaded already.

        Returns
        -------
        Path
            The page.

        Raises
        ------
        RecordingError
            If there is no recording, it is damaged, or the report cannot be written.
        """
        from myoloop.experiments.reports.figures import draw_all

        # Looked at first: nobody should wait for a page that has no place.
        recording = find_recording(path)
        if self.settings.key:
            _check_unblinded(recording, out, blinded=self.settings.blinded)
        page = _page_path(recording, out, "blinded" if self.settings.blinded else "")
        session = loaded or load(path)
        try:
            page.parent.mkdir(parents=True, exist_ok=True)
            verification = verify(session.path)
            if self.settings.blinded:
                return self._write_blinded(page, session, verification)
            beside, walked = read_beside(session), walk_loop(session)
            stamp = stamp_of(session, in_full=True)
            figures = [*draw_all(session, stamp), *draw_more(session, beside, walked, stamp)]
            unsealed = given_table(session, self.settings.key) if self.settings.key else None
            replace_file(page, render(session, verification, figures, beside, walked, unsealed).encode())
            replace_file(page.parent / "trials.csv", _trials_csv(session))
            if self.settings.figure_files:
                write_figures(page.parent / "figures", figures)
        except OSError as error:
            raise RecordingError(f"{page.parent}: the report cannot be written: {error.strerror}") from None
        return page

    def _write_blinded(self, page: Path, session: Session, verification: Verification) -> Path:
        """Nothing of it tells arm, current or charge; what would is not written at all."""
        stamp = stamp_of(session, in_full=True)
        figures = draw_blinded(session, stamp)
        text = render_blinded(
            session, figures, read_beside(session), stamp=stamp_of(session), head=_header(session),
            subtitle=_subtitle(session), said=_simulated_words(session), status=verification.status,
        )  # fmt: skip
        replace_file(page, text.encode())
        if self.settings.figure_files:
            write_figures(page.parent / "figures", figures)
        return page


def write_report(path: Path | str, out: Path | None = None, loaded: Session | None = None) -> Path:
    """Write the report on a session; see :meth:`SessionReport.write`."""
    return SessionReport().write(path, out, loaded)


def stamp_of(session: Session, *, in_full: bool = False) -> str:
    """What must be said of everything the session shows; empty where nothing of it was simulated.

    Parameters
    ----------
    in_full
        With which parts were, for what may be shown alone.
    """
    if session.simulated is not None and session.origins is not None:
        return session.origins.stamp_in_full() if in_full else session.origins.stamp()
    return {True: SIMULATED, False: "", None: UNKNOWN}[session.simulated]


def _said(session: Session) -> str:
    """What was simulated, and whether what is shown is what was given, in a sentence each."""
    return " ".join(filter(None, (_simulated_words(session), BLINDED if is_blinded(session) else "")))


def _simulated_words(session: Session) -> str:
    if session.origins is not None:
        return session.origins.in_words()
    return EVERYTHING if session.simulated else ""


def is_blinded(session: Session) -> bool:
    """Whether what is shown of the stimulation is what an active arm would have had."""
    return session.metadata.get("blinded") == "true"


def render(
    session: Session,
    verification: Verification,
    figures: list[Drawn],
    beside: Beside,
    walked: LoopWalk | None = None,
    unsealed: Table | None = None,
) -> str:
    """The page.

    Parameters
    ----------
    walked
        What the loop said step by step; None where it was not gone through.
    unsealed
        What was really given, where the study's key was there.
    """
    summary = summarise(session, beside.measured)
    protocol = beside.measured.protocol
    score = spasm_score(session)
    return render_page(
        "session.html.jinja",
        figures,
        stamp=stamp_of(session),
        said=_said(session),
        blinded=BLINDED if is_blinded(session) else "",
        header=_header(session),
        outcome=session.outcome or "incomplete",
        reason=session.reason,
        tiles=_tiles(session, summary),
        outcomes_heading=outcomes.heading(beside.measured),
        outcomes=outcomes.table(beside.measured),
        outcomes_missing=beside.measured.missing,
        unmeasured=unmeasured.unmeasured(session, beside.measured),
        stops=conduct.stops(session),
        adverse=conduct.adverse(session, beside),
        deviations=conduct.deviations(session, beside),
        confounders=conduct.confounders(session, beside),
        not_believed=beside.problems,
        screening=[
            ("Verdict of screening", screening.verdicts(session)),
            ("Forms", screening.forms(session)),
            ("Skin", screening.skin(session)),
            ("Electrodes", screening.electrodes(session, protocol)),
            ("Checks", screening.checks(session)),
        ],
        calibration=[
            calibration.thresholds(session),
            calibration.personal_envelope(session),
            calibration.maximal(session),
        ],
        sensitivity=[
            (
                "Thresholds from session to session",
                sensitivity.thresholds(beside.sensitivity, protocol, blinded=is_blinded(session)),
            ),
            ("Pain at light touch", sensitivity.light_touch(beside.sensitivity)),
        ],
        planned=doses.planned(session),
        course=doses.course(session, beside),
        evidence=evidence.facts(protocol) if protocol is not None else [],
        evidence_statement=evidence.STATEMENT,
        parameters=evidence.parameters(protocol) if protocol is not None else None,
        sources=evidence.sources(protocol) if protocol is not None else None,
        trials=tables.trials(session),
        dose=tables.dose(session),
        gate=tables.gate(session),
        latches=tables.latches(session),
        spasms=tables.spasms(session, score),
        timing=tables.timing(session),
        events=tables.events(session),
        gaps=tables.gaps(session),
        streams=tables.streams(session),
        integrity=_integrity(session, verification),
        status=verification.status,
        problems=[f"byte {each.offset}: {each.what}" for each in verification.problems],
        session_id=session.session_id,
        subtitle=_subtitle(session),
        version=myoloop.__version__,
        unsealed=unsealed,
        **more_values(session, beside, walked or LoopWalk(), figures),
    )


def _header(session: Session) -> list[tuple[str, str]]:
    """Label and value of everything that says what this session is; only what is known."""
    said = session.metadata
    controller = session.settings.get("controller", {})
    policy = controller.get("policy") or {}
    wall = session.wall_start
    protocol = " ".join(part for part in (said.get("protocol", ""), said.get("protocol_version", "")) if part)
    rows = [
        ("Session", session.session_id),
        ("Subject (pseudonym)", session.subject),
        ("Began", wall.strftime("%Y-%m-%d %H:%M:%S UTC") if wall is not None else "wall time not known"),
        ("Length", f"{session.end_s:.1f} s"),
        ("Protocol", protocol or "none (listening only)"),
        ("Protocol SHA-256", said.get("sha256.protocol") or said.get("sha256.protocol.yaml", "")),
        ("Evidence grade", said.get("evidence", "")),
        ("Rig", said.get("rig", "")),
        ("Rig class", said.get("rig_class", "")),
        ("Policy", str(policy.get("name", ""))),
        ("Policy SHA-256", said.get("sha256.policy", "")),
        ("Seed", said.get("seed", "")),
        ("Devices", ", ".join(dict.fromkeys(t.record.descriptor.device for t in session.samples.values()))),
        ("Stimulator's serial number", _answered(session, "inspection", "serial")),
        ("Operator", _answered(session, "supervision", "operator")),
        ("Processor", said.get("processor", "")),
    ]
    versions = [f"{key.removeprefix('version.')} {value}" for key, value in said.items() if key.startswith("version.")]
    rows.append(("Versions", ", ".join(versions)))
    return [(label, value) for label, value in rows if value]


def _answered(session: Session, form: str, name: str) -> str:
    """The newest answer to a question; empty where nobody was asked."""
    told = [each.values.get(name) for each in session.events if each.kind == "form" and each.values.get("form") == form]
    return str(told[-1]) if told and told[-1] is not None else ""


def _subtitle(session: Session) -> str:
    said = session.metadata
    parts = (("subject", session.subject), ("protocol", said.get("protocol", "")), ("rig", said.get("rig", "")))
    return ", ".join(f"{what} {value}" for what, value in parts if value)


def _tiles(session: Session, summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The first look: (value, what it is, what to compare it with)."""
    tiles = []
    if summary["trials"]:
        tiles.append((f"{summary['trials_done']} of {summary['trials']}", "trials with stimulation", "not cut short"))
    charge_mc = sum(float(track.charge_uc.sum()) for track in session.delivered().values()) * 1e-3
    if session.currents:
        tiles.append((f"{summary['delivered_pulses']}", "pulses delivered", f"{charge_mc:.2f} mC, one phase"))
        tiles.append(
            (f"{summary['stops']}", "stops and faults", f"{summary['gate_limited']} reports limited by the gate")
        )
    if session.muscles:
        true = summary["spasms_true"]
        beside = f"{true} true, F1 {summary['spasm_f1']:.2f}" if true is not None else "truth not known"
        tiles.append((f"{summary['spasms_detected']}", "spasms detected", beside))
        end, true_end = summary["fatigue_estimated_end"], summary["fatigue_true_end"]
        beside = f"{true_end:.2f} true" if true_end is not None else "truth not known"
        value = f"{end:.2f}" if end is not None else "not known"
        tiles.append((value, f"fatigue of {summary['fatigue_muscle']} at the end", beside))
    tiles.append((f"{summary['samples']}", "EMG samples per channel", f"{summary['gaps']} gaps"))
    return tiles


def _integrity(session: Session, verification: Verification) -> list[tuple[str, str]]:
    rows = [
        ("Status", verification.status.upper()),
        ("Chain head (SHA-256)", verification.head or "none"),
        ("Records under the chain", f"{verification.records}"),
        ("Bytes", f"{verification.bytes}"),
        ("Bytes under the chain", f"{verification.verified_bytes}"),
        ("Gaps", f"{len(session.gaps)}"),
        ("Messages missing by number", f"{sum(session.missing_messages.values())}"),
    ]
    if verification.status == "incomplete":
        tail = f"{verification.unverified_tail_records} records, {verification.unverified_tail_bytes} bytes"
        rows.append(("After the last chain message", tail))
        rows.append(("Cut at byte", f"{verification.cut_at}"))
    rows.append(("Compacted", "yes" if verification.compacted else "no"))
    if verification.recovered:
        rows.append(("Recovered", "yes: the file had been cut and was made whole"))
    if verification.missing:
        rows.append(("Not beside the recording", ", ".join(verification.missing)))
    return rows


def _check_unblinded(recording: Path, out: Path | None, *, blinded: bool) -> None:
    """Refuse to put what was given where those may read it who are to stay blind."""
    if blinded:
        raise UserError("report: found both --blinded and --key, allowed is one of them")
    place = place_of(recording)
    kept = (place.study if place is not None else recording.parent).resolve()
    if out is None or kept in (out.resolve(), *out.resolve().parents):
        found = "no --out" if out is None else f"--out {out}"
        raise UserError(f"report --key: found {found}, allowed is a place outside {kept}: it tells what was given")


def _page_path(recording: Path, out: Path | None, version: str = "") -> Path:
    if out is None:
        # Each version has a folder of its own, which can be handed on as it is.
        return recording.parent / REPORT_FOLDER / version / REPORT_FILE
    if out.suffix.lower() in (".html", ".htm"):
        return out
    if out.is_file():
        raise RecordingError(f"{out}: is a file; a folder or a file ending in .html is needed")
    return out / REPORT_FILE


def _trials_csv(session: Session) -> bytes:
    file = io.StringIO()
    write_trials_csv(session.trials, file)
    return file.getvalue().encode()
