"""How a controller was made and compared: people, task, reward, controllers, curves, what it took, hashes."""

from __future__ import annotations

from collections.abc import Sequence

import myoloop
from myoloop.experiments.reports.tables import Table
from myoloop.experiments.reports.training_evaluation import Evaluation
from myoloop.experiments.reports.training_files import Compute, Training
from myoloop.experiments.reports.training_folder import Found
from myoloop.experiments.reports.training_results import MEASURES, label
from myoloop.experiments.training.composite import WEIGHTS
from myoloop.experiments.training.task import Task

#: What each controller that ships is, in a line.
_ARE = {
    "open_loop": "current of the fresh muscle's recruitment curve, whatever happens",
    "emg_trigger": "open loop, begun by the person's own EMG",
    "pi_feed_forward": "inverse recruitment curve and a PI controller on the measured force",
    "iterative_learning": "learns a correction from trial to trial",
    "adaptive_gain": "tracks the muscle's gain by recursive least squares; what all are relative to",
    "fitted_q": "adaptive gain times a learned factor, by a tree distilled from fitted-Q iteration",
}
#: What a reward weighs, as the reward file says it.
_COSTS = {
    "tracking": "root mean square of the error",
    "fatigue": "share of the muscle's force that was lost",
    "charge": "charge over that of a train of the fresh muscle",
    "gate": "share of the steps in which the gate intervened",
    "pain": "pain proxy: current beyond the comfortable share of what is tolerated",
}


def name(found: Found) -> str:
    """Of the page."""
    if found.training is not None:
        return found.training.task.name.replace("_", " ")
    return found.folder.resolve().name


def subtitle(found: Found) -> str:
    """Who and how many."""
    training = found.training
    if training is None:
        return "an evaluation without its training"
    people = training.people
    return (
        f"{training.task.people.preset.replace('_', ' ')}, {len(people.fitted)} people to fit, "
        f"{len(people.validated)} to "
        f"choose, {len(people.held_out)} held out, {len(training.seeds)} seeds"
    )


def header(found: Found) -> list[tuple[str, str]]:
    """What this training is."""
    training, evaluation = found.training, found.evaluation
    rows = []
    if training is not None:
        rows += [
            ("Learned", "fitted Q, distilled to a tree"),
            ("Seeds of learning", ", ".join(map(str, training.seeds))),
            ("Kept", f"seed {training.chosen.seed}, round {training.chosen.round}"),
            ("Made by", f"myoloop {training.myoloop}"),
            ("Artefact SHA-256", training.artefact_sha256),
        ]
    if evaluation is not None:
        rows.append(("Evaluated on", evaluation.results.n_words))
        if training is None:
            rows.append(("Artefact SHA-256", evaluation.artefact_sha256))
    return [(what, value) for what, value in rows if value]


def no_dataset(training: Training | None) -> str:
    """What is said where no dataset stands beside a training."""
    if training is None:
        return "Not known: there is no training.json and no dataset."
    if training.logged is not None:
        return (
            "Learned from a dataset that does not stand beside this report (SHA-256 "
            f"{training.logged.dataset_sha256}): "
            f"{training.logged.transitions} decisions of {training.logged.people} people. Its card is named with "
            "--beside."
        )
    cohort = training.people
    return (
        f"No recorded data. A virtual cohort alone: n = "
        f"{len(cohort.fitted) + len(cohort.validated) + len(cohort.held_out)} people of "
        f"{training.task.people.preset.replace('_', ' ')}, drawn by number; no sessions, no arms, no exclusions. "
        "Virtual "
        f"people have no age, sex or origin."
    )


def splits(training: Training) -> Table:
    """Who was for what."""
    people = training.people
    rows = tuple(
        (what, str(len(names)), use, _first(names))
        for what, names, use in (
            ("fitted", people.fitted, "explored with and fitted to"),
            ("validated", people.validated, "of the training half; seed and round were chosen on them"),
            ("held out", people.held_out, "never seen before the evaluation"),
        )
    )
    caption = (
        "Split by person, never by session or trial." + f" Asked to be held out: {training.plan.held_out_share:.0%}."
    )
    return Table(("part", "n subjects", "what for", "who"), rows, caption)


def task(training: Training) -> list[tuple[str, str]]:
    """What was to be done."""
    asked: Task = training.task
    trial, stim = asked.trial, asked.stimulation
    faults = ", ".join(each.kind.replace("_", " ") for each in asked.faults)
    return [
        ("Task", asked.name),
        ("People", f"{asked.people.preset.replace('_', ' ')}, fatigue x {asked.people.fatigue_factor:g}, "
                   f"{100 * asked.people.non_responder_share:.0f} % non-responders"),
        ("Trials", f"{trial.repetitions} of {trial.ramp_s:g} s up, {trial.hold_s:g} s hold, {trial.ramp_s:g} s down, "
                   f"{trial.rest_s:g} s rest"),
        ("Target", f"{100 * asked.target_share:.4g} % of the fresh muscle's force"),
        ("Pulses", f"{stim.phase_us:g} µs per phase at {stim.rate_hz:g} Hz"),
        ("Decides", f"every {asked.decide_every_s:g} s"),
        ("Delays", f"{asked.delays.sample_to_request_ms} ms sample to request, "
                   f"{asked.delays.request_to_pulse_ms} ms request to pulse"),
        ("Faults in training", faults or "none"),
        ("Charge beyond adaptive gain", f"at most {training.budget_uc:g} µC in a session"),
        ("Envelope", f"at most {asked.envelope.charge_per_phase_uc:g} µC per phase, "
                     f"{asked.envelope.rms_ma:g} mA r.m.s., {asked.envelope.on_s_max:g} s on, "
                     f"duty {asked.envelope.duty_max:g}"),
    ]  # fmt: skip


def reward(training: Training) -> Table:
    """Weights of the reward file."""
    given = training.task.reward
    rows = tuple((cost, f"{getattr(given, cost):g}", means) for cost, means in _COSTS.items())
    parts = " + ".join(f"{weight:g} x {MEASURES[what].title}" for what, weight in WEIGHTS.items())
    caption = (
        f"Everything is a cost: a reward is 0 at best. Comfortable: up to {100 * given.comfortable_share:.0f} % of "
        "what the "
        f"person tolerates. Fitted Q scales tracking, fatigue and charge to the composite ({parts}, each relative to "
        f"adaptive gain) and takes gate and pain from here."
    )
    return Table(("cost", "weight", "what is weighed"), rows, caption)


def controllers(found: Found) -> Table:
    """What is compared."""
    if found.evaluation is not None:
        results = found.evaluation.results
        names: Sequence[str] = (*results.baselines, results.learned)
    else:
        names = tuple(_ARE)
    rows = tuple((label(each), _ARE.get(each, "installed")) for each in names)
    return Table(
        ("controller", "what it is"), rows, "All calibrated alike on the same person, all behind the same gate."
    )


def curves(training: Training) -> Table:
    """Every point of the learning curves."""
    rows = tuple(
        (
            str(point.seed), str(point.round), str(point.transitions),
            f"{point.composite.mean:.3f} [{point.composite.low:.3f}, {point.composite.high:.3f}]",
            str(point.fell_back), str(point.distilled.leaves),
            f"{100 * point.distilled.agreement:.0f}", f"{100 * point.distilled.kept:.0f}",
        )
        for point in training.points
    )  # fmt: skip
    columns = ("seed", "round", "decisions", "composite [95 % interval]", "people who fell back", "leaves",
               "tree agrees with forest (%)", "gain kept by the tree (%)")  # fmt: skip
    chosen = training.chosen
    caption = (
        f"n = {len(training.seeds)} seeds, {len(training.people.validated)} people of validation. Kept: seed "
        f"{chosen.seed}, "
        f"round {chosen.round}, by {chosen.by}."
    )
    return Table(columns, rows, caption)


def compute(found: Found) -> list[tuple[str, str]]:
    """What the training took."""
    timing = found.evaluation.timing if found.evaluation is not None else None
    took = (("Training", found.compute), ("Evaluation", timing.evaluation if timing is not None else None))
    return [(what, _spent(spent)) for what, spent in took if spent is not None]


def versions(found: Found) -> list[tuple[str, str]]:
    """Of everything that the figures hang on."""
    training, evaluation, dataset = found.training, found.evaluation, found.dataset
    rows = [("This page", f"myoloop {myoloop.__version__}")]
    if training is not None:
        rows += [
            ("Trained by", f"myoloop {training.myoloop}"),
            ("Training code SHA-256", training.code_sha256),
            ("Artefact SHA-256", training.artefact_sha256 or "not told"),
        ]
        if training.logged is not None:
            rows.append(("Dataset learned from, SHA-256", training.logged.dataset_sha256))
    if evaluation is not None:
        rows += evaluation.versions
    if dataset is not None:
        rows.append(("Dataset shown, SHA-256", dataset.sha256))
        rows += [(f"Dataset made by {what}", str(value)) for what, value in dataset.card["versions"].items()]
    return rows


def _spent(spent: Compute) -> str:
    where = "on a Dask cluster" if spent.cluster else f"with {spent.workers} worker{'s' if spent.workers > 1 else ''}"
    return f"{spent.seconds:.0f} s {where}"


def _first(names: Sequence[str]) -> str:
    if len(names) <= 6:
        return ", ".join(names)
    return f"{', '.join(names[:5])} … {names[-1]}"


def off_policy(evaluation: Evaluation | None) -> Table | None:
    """What the learned controller would be worth by decisions that were logged, beside what came of it."""
    found = evaluation.off_policy if evaluation is not None else None
    if found is None:
        return None
    rows = (
        ("estimated from the log by fitted-Q evaluation", f"{found.estimated_gain:+.4f}"),
        ("in closed loop", f"{found.closed_loop_gain:+.4f}"),
        ("error of the estimate", f"{found.estimated_gain - found.closed_loop_gain:+.4f}"),
    )
    caption = (
        f"Discounted reward from a decision on (discount {found.discount:g}, no unit), learned less adaptive gain; "
        "above 0 "
        f"the learned one is better. n = {found.people} people held out, {found.log.decisions} decisions, "
        f"{100 * found.log.explored:.0f} % of them drawn by lot; one seed, no interval. {found.caveat}"
    )
    return Table(("learned less adaptive gain", "gain (1)"), rows, caption)


def deadlines(evaluation: Evaluation | None) -> list[tuple[str, str]]:
    """How long a step of the learned controller takes."""
    found = evaluation.timing if evaluation is not None else None
    if found is None:
        return []
    wall, own = found.wall_ms, found.thread_ms
    return [
        ("Steps timed", f"n = {found.steps}, 1 person"),
        ("On the wall", f"median {wall.p50:.3f} ms, 99.9 %: {wall.p999:.3f} ms, worst {wall.max:.3f} ms"),
        ("Own time of the thread", f"median {own.p50:.3f} ms, 99.9 %: {own.p999:.3f} ms, worst {own.max:.3f} ms"),
        ("Allowed", f"99.9 % within {found.budget_ms:g} ms"),
        ("Deadline misses", f"{found.missed} on the wall, {found.missed_by_own_time} by the thread's own time"),
    ]
