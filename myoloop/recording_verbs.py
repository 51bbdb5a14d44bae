"""The verbs about recordings: replay, verify, recover, info, export, report, outcomes, yoke."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from myoloop.answers import CHECK_FAILED, EXIT_CODES, GOOD, Json, clear_errors, say

SessionPath = Annotated[str, typer.Argument(help="A session file, or the attempt's folder it is in.")]

recordings = typer.Typer()
verb = partial(recordings.command, epilog=EXIT_CODES)


@verb()
def replay(
    session: SessionPath,
    check: Annotated[bool, typer.Option("--check", help="Every decision must come out again, bit for bit.")] = False,
    controller: Annotated[
        str | None, typer.Option(help="What would this controller have asked for? A YAML file.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --controller: a folder for a table of every step.")] = None,
    speed: Annotated[
        str, typer.Option(help="max, real, or how many times as fast as it was recorded, such as 4.")
    ] = "max",
    key: Annotated[
        str | None, typer.Option(help="The study's key file: the stimulator of a blinded session needs it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a recording through the live code again.

    Example: myoloop replay study/sub-SIM1/ses-01/att-1 --check
    """
    with clear_errors():
        from myoloop.experiments.imports.observe import is_imported, observe
        from myoloop.experiments.objects import builders, other_controller
        from myoloop.experiments.pace import ReplayProgress, paced, parse_speed
        from myoloop.experiments.replay import replay as replay_recording
        from myoloop.experiments.replaying import compare_controllers, say_replay

        if out is not None and (controller is None or is_imported(session)):
            raise typer.BadParameter("is of --controller, and of a recording of our own", param_hint="--out")
        factor = parse_speed(speed)
        see, write = None, None
        if out is not None:
            from myoloop.experiments.console.lookback.instead import Steps

            steps = Steps()
            see, write = steps.see, steps.write
        with ReplayProgress(session, quiet=as_json).shown() as progress:
            if controller is not None:
                other = paced({"other": other_controller(controller)}, factor, progress.step)["other"]
                known = is_imported(session)
                compared = observe(session, controller, other) if known else compare_controllers(session, other, see)
            else:
                replayed = replay_recording(session, paced(builders(key), factor, progress.step))
        if controller is not None:
            if out is not None and write is not None:
                compared[0]["table"] = str(write(session, Path(controller), out, compared[0]))
            say(compared[0], as_json, compared[1])
            raise typer.Exit(GOOD)
        result, text = say_replay(replayed)
        say(result, as_json, text)
        raise typer.Exit(CHECK_FAILED if check and not replayed.equal else GOOD)


@verb()
def overview(
    session: SessionPath,
    opened: Annotated[
        bool, typer.Option("--opened", help="Of a blinded session whose arms are opened: all that was recorded.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make what the console shows any stretch of a recording from at once; it makes it by itself where it is missing.

    Example: myoloop overview study/sub-SIM1/ses-01/att-1
    """
    with clear_errors():
        from myoloop.experiments.console.lookback.overview import make_overview

        folder = make_overview(session, opened=opened)
        say({"overview": str(folder)}, as_json, str(folder))


@verb()
def verify(session: SessionPath, as_json: Json = False) -> None:
    """Is a recording whole and unchanged?

    Example: myoloop verify study/sub-SIM1/ses-01/att-1
    """
    with clear_errors():
        from dataclasses import asdict

        from myoloop.platform.recording.verify import verify as verify_recording

        found = verify_recording(session)
        lines = [f"{found.path}: {found.status.upper()}", f"head {found.head}", f"{found.records} records checked"]
        lines += [f"at byte {problem.offset}: {problem.what}" for problem in found.problems]
        lines += [f"unverified tail: {found.unverified_tail_bytes} bytes"] if found.status == "incomplete" else []
        say(asdict(found), as_json, "\n".join(lines))
        raise typer.Exit(GOOD if found.status == "good" else CHECK_FAILED)


@verb()
def recover(
    session: SessionPath,
    vouched_only: Annotated[
        bool,
        typer.Option("--vouched-only", help="Of a damaged one, keep what the chain vouches for before the damage."),
    ] = False,
    each_stream: Annotated[
        bool,
        typer.Option("--each-stream", help="Of a damaged one, keep of each stream all that can still be read."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a cut recording whole; the file as it was found is kept beside it. What was lost is told stream by stream.

    Example: myoloop recover study/sub-SIM1/ses-01/att-1
    """
    with clear_errors():
        from dataclasses import asdict

        from myoloop.platform.recording.recover import recover as recover_recording

        done = recover_recording(session, vouched_only=vouched_only, each_stream=each_stream)
        lines = [f"{done.path}: {done.records} records kept, {done.lost_bytes} bytes lost; {done.kept}"]
        lines += [f"{each.topic}: {each.in_words()}" for each in done.streams]
        say(asdict(done), as_json, "\n".join(lines))


@verb()
def info(session: SessionPath, as_json: Json = False) -> None:
    """What is in a recording, and whether it is whole.

    Example: myoloop info study/sub-SIM1/ses-01/att-1
    """
    with clear_errors():
        from myoloop.platform.recording.info import info as recording_info
        from myoloop.platform.recording.info import say_info

        found = recording_info(session)
        say(found, as_json, say_info(found))
        raise typer.Exit(CHECK_FAILED if found["status"] == "damaged" else GOOD)


@verb()
def export(
    path: Annotated[
        str, typer.Argument(help="A session file, an attempt's folder, or a study: then all its sessions.")
    ],
    out: Annotated[
        Path,
        typer.Argument(help="A folder; of one session also a file name, such as x.bdf. Nothing is overwritten."),
    ],
    to: Annotated[str, typer.Option("--to", help="bids, parquet, csv, edf, bdf, matlab, or fif (MNE).")] = "fif",
    about: Annotated[Path | None, typer.Option(help="Of bids: a YAML file with what the lab says of its data.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="The study's key file: opens arms, and what was given in blinded sessions.")
    ] = None,
    names: Annotated[
        Path | None, typer.Option(help="Names that must not leave in free text, one a line; kept outside the study.")
    ] = None,
    text: Annotated[
        str, typer.Option("--text", help="Dates and known names in free text: redact them, or refuse to export.")
    ] = "redact",
    also_excluded: Annotated[
        bool, typer.Option("--also-excluded", help="Of a study: also the sessions that its index excludes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Hand recordings to other programs; of a study, the sessions that its index does not exclude.

    Exit code 1 where some sessions of a study could not be exported.

    Example: myoloop export study shared --to bids
    """
    with clear_errors():
        from myoloop.experiments.exports.about import read_about
        from myoloop.experiments.exports.exporting import FORMATS, Wanted
        from myoloop.experiments.exports.exporting import export as export_all
        from myoloop.experiments.exports.freetext import MODES, read_names

        if to not in FORMATS:
            raise typer.BadParameter(f"found {to!r}, allowed are {', '.join(FORMATS)}", param_hint="--to")
        mode = next((each for each in MODES if each == text), None)
        if mode is None:
            raise typer.BadParameter(f"found {text!r}, allowed are {', '.join(MODES)}", param_hint="--text")
        if about is not None and to != "bids":
            raise typer.BadParameter("is for --to bids", param_hint="--about")
        known = read_names(names) if names is not None else ()
        wanted = Wanted(to=to, about=read_about(about), key=key, names=known, text=mode, also_excluded=also_excluded)
        done = export_all(path, out, wanted)
        lines = [*map(str, done.written), *done.left_out]
        lines += [f"{name}: excluded by the index: {why}" for name, why in done.excluded.items()]
        lines += [f"{name}: not exported: {why}" for name, why in done.problems.items()]
        say(done.as_data(), as_json, "\n".join(lines))
        raise typer.Exit(CHECK_FAILED if done.problems else GOOD)


@verb()
def report(
    path: Annotated[str, typer.Argument(help="A session file, an attempt's folder, or the folder of a training.")],
    out: Annotated[Path | None, typer.Option(help="HTML file; by default in the folder itself.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Which report: session or training, whichever is there, or an installed one.")
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="Of a training: also a dataset, estimators.json or a set-up's result; repeatable."),
    ] = None,
    blinded: Annotated[
        bool, typer.Option("--blinded", help="For those who are to stay blind: arm, current and charge withheld.")
    ] = False,
    key: Annotated[
        str | None, typer.Option(help="The study's key file: with what was really given; needs --out outside it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The report of a session or of a training: one HTML file that needs no network.

    Example: myoloop report study/sub-SIM1/ses-01/att-1
    """
    with clear_errors():
        from myoloop.experiments.reports.registry import kind_of, make_report

        settings: dict[str, Any] = {"beside": [str(each) for each in beside]} if beside else {}
        settings |= {"blinded": True} if blinded else {}
        settings |= {"key": key} if key is not None else {}
        page = make_report(kind or kind_of(path), settings).write(path, out)
        say({"report": str(page)}, as_json, str(page))


@verb()
def outcomes(
    session: Annotated[
        str | None, typer.Argument(help="A session file, or the attempt's folder; without it, all known outcomes.")
    ] = None,
    diary: Annotated[
        Path | None, typer.Option(help="The person's diary; by default record/diary.jsonl in their folder.")
    ] = None,
    corrected: Annotated[
        bool, typer.Option("--corrected", help="Spasms as a person corrected them (myoloop review), not as detected.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The outcomes that a session's protocol names, computed from its recording; without a session, all that there are.

    Example: myoloop outcomes study/sub-SIM1/ses-01/att-1
    """
    with clear_errors():
        from myoloop.experiments.outcomes.words import known_data, say_known, say_outcomes

        if session is None:
            if diary is not None or corrected:
                hint = "--diary" if diary is not None else "--corrected"
                raise typer.BadParameter("is of one session; name it", param_hint=hint)
            say(known_data(), as_json, say_known())
            return
        if diary is not None and not diary.is_file():
            raise typer.BadParameter(f"found {str(diary)!r}, there is no such file", param_hint="--diary")
        from myoloop.experiments.analysis.session import load
        from myoloop.experiments.outcomes.attempt import measure

        recorded = load(session)
        found = measure(recorded, diary, corrected=corrected)
        data = {"session": str(recorded.path.parent), **found.as_data(), "diary_problem": found.diary_problem}
        problem = f"\n{found.diary_problem}" if found.diary_problem else ""
        say(data, as_json, say_outcomes(data) + problem)
        raise typer.Exit(CHECK_FAILED if found.missing or found.diary_problem else GOOD)


@verb()
def yoke(session: SessionPath, as_json: Json = False) -> None:
    """The controller section that gives another person this session's trains at the times at which it was triggered.

    Example: myoloop yoke study/sub-SIM1/ses-01/att-1
    """
    with clear_errors():
        from myoloop.experiments.analysis.yoking import yoke_to

        found = yoke_to(session)
        say(found.as_data(), as_json, found.as_yaml())
