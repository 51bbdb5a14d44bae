"""What a training report says in words: the verdict, what a controller is for and what not, items of DECIDE-AI."""

from __future__ import annotations

from collections.abc import Sequence

from myoloop.experiments.reports.tables import Table
from myoloop.experiments.reports.training_evaluation import Evaluation
from myoloop.experiments.reports.training_files import Training
from myoloop.experiments.reports.training_results import COMPOSITE, Results, label
from myoloop.experiments.reports.training_tables import NOT_MEASURED
from myoloop.experiments.training.composite import WORSE

#: At the foot of every printed page, with what was simulated; it stands in a style: no quotes.
RUNNING = "Research software, not a medical device, not for treating anybody."
INTENDED = (
    "Research on closed-loop stimulation: to judge whether a controller that was trained is worth being run in shadow "
    "mode, where it computes and does not act.",
    "For engineers and researchers who know the classic controllers that it is compared with.",
    "Where it may act at all: behind the gate, within a participant's own envelope, supervised, after a named person "
    "has "
    "approved of it (`myoloop deploy`).",
)
NOT_FOR = (
    "Treating anybody, deciding on a treatment, or use without supervision.",
    "Other tasks, muscles, devices, pulses, groups of people or longer sessions than those named here.",
    "Evidence of any benefit to people: no figure here was measured on a person unless it says so.",
    "Taking the place of the gate, of a clinician's limits, or of a stop button.",
)
OFF_POLICY = (
    "An off-policy estimate tells what a controller would be worth from decisions that another one took. Its errors "
    "grow "
    "with the distance between the two, it ranks controllers poorly, and nothing is decided by it: neither which "
    "controller is kept, nor whether one is deployed."
)
LIMITS = (
    "Virtual people are a model's. How far the model is from people is in the table of sim-to-real, or not known.",
    "Intervals are over the people held out, who were drawn from the same population as those trained on.",
    "The composite was fixed before anything was trained; other weights may rank controllers differently.",
    "Pain is a proxy from the current alone: nobody was asked.",
)


def verdict(evaluation: Evaluation) -> tuple[str, list[str]]:
    """A word for the badge, and what was found, with its interval; a negative result is told as such."""
    results = evaluation.results
    found = results.difference(results.plain, results.reference)
    if found is None:
        return "not compared", [f"The learned controller was not compared with {label(results.reference)}."]
    beside = label(results.reference)
    away = f"{found.words} (95 % interval), {results.n_words}"
    said = {
        "better": f"The learned controller is better than {beside} by the composite: {away}.",
        "worse": f"Negative result: the learned controller is worse than {beside} by the composite: {away}.",
    }.get(found.verdict, f"Negative result: no difference from {beside} was shown by the composite: {away}.")
    lines = [said]
    worse, percent = results.much_worse(results.plain), f"{100 * (WORSE - 1):.0f} %"
    lines.append(
        f"{len(worse)} of {len(results.people)} people held out are worse off by more than {percent}: "
        f"{', '.join(worse)}."
        if worse
        else f"Nobody held out is worse off by more than {percent}."
    )
    others = [
        label(name)
        for name in results.baselines
        if name != results.reference
        and (beaten := results.difference(results.plain, name)) is not None
        and beaten.verdict != "better"
    ]
    if others:
        lines.append(f"It was not shown to be better than {' and '.join(others)}.")
    fell = results.outcomes[results.plain, results.learned].fell_people
    if fell:
        lines.append(
            f"With {fell} of {len(results.people)} people it fell back to the classic controller, for a train or to "
            f"the end."
        )
    lines.append(f"Pulses outside the envelope, all controllers and conditions together: {results.violations}.")
    if evaluation.passed:
        lines.append("It passed what deployment asks of an evaluation; a named person must still approve of it.")
    else:
        lines.append(f"Not for deployment: {'; '.join(evaluation.why) or 'the evaluation did not pass'}.")
    word = "negative" if found.verdict != "better" else ("passed" if evaluation.passed else "better, not passed")
    return word, lines


def tiles(results: Results) -> list[tuple[str, str, str]]:
    """The first look: value, what it is, what to compare it with."""
    values = results.figure(results.plain, results.learned, COMPOSITE)
    told = results.interval(results.plain, results.learned, COMPOSITE)
    found = results.difference(results.plain, results.reference)
    gated = results.interval(results.plain, results.learned, "gated")
    shown = []
    if values is not None and told is not None and found is not None:
        mean, low, high = told
        beside = label(results.reference)
        shown.append((f"{mean:.3f}", "composite of learned", f"95 % interval {low:.3f} to {high:.3f}; {beside}: 1"))
        shown.append((f"{found.better} of {len(results.people)}", f"people better than with {beside}", "held out"))
        worst = results.people[results.worst_first()[0]]
        beside = f"worst: {worst}, {values.max():.3f}"
        shown.append((f"{len(results.much_worse(results.plain))}", "people worse by more than 10 %", beside))
    if gated is not None:
        beside = f"pulses outside the envelope: {results.violations}"
        shown.append((f"{gated[0]:.2f} %", "of the trains' time the gate intervened", beside))
    return shown


def decide_ai(training: Training | None, evaluation: Evaluation | None) -> Table:
    """What an early clinical evaluation of a decision support system is asked for, and what of it there is."""
    version = NOT_MEASURED
    people = NOT_MEASURED
    inputs = outputs = NOT_MEASURED
    if training is not None:
        artefact = training.artefact_sha256
        version = f"myoloop {training.myoloop}, artefact {artefact[:12]}…"
        inputs = f"{len(training.observation)} numbers without unit: {', '.join(training.observation)}"
        outputs = (
            f"a factor on adaptive gain's request, from {min(training.actions):+.0%} to {max(training.actions):+.0%}, "
            f"every {training.task.decide_every_s:g} s in a train; then reflexes and the gate"
        )
    errors = safety = NOT_MEASURED
    if evaluation is not None:
        results = evaluation.results
        people = f"{len(results.people)} virtual people held out, of the same population"
        fell = sum(each.fell_people for (_, name), each in results.outcomes.items() if name == results.learned)
        safety = (
            f"{results.violations} pulses outside the envelope; interventions of the gate and pain proxy: see their "
            f"sections; nobody was at risk"
        )
        errors = (
            f"falls back to the classic controller on an exception, a number that is not finite, an input outside the "
            f"trained range, an overrun; {fell} times in this evaluation, all conditions together"
        )
    rows = (
        ("version of the system", version),
        ("intended use and users", "see Intended use"),
        ("population it was trained on", _trained_on(training)),
        ("population it was evaluated on", people),
        ("inputs, and how they are had", inputs),
        ("output, and how it is used", outputs),
        ("safety end-points", safety),
        ("errors, and how they are handled", errors),
        ("human factors: training of users", f"{NOT_MEASURED}: nobody has worked with it"),
        ("human factors: workload, trust, usability", f"{NOT_MEASURED}: nobody has worked with it"),
        ("agreement with what users do", f"{NOT_MEASURED} here; `myoloop shadow` reports it for sessions"),
        ("learning curve of users", NOT_MEASURED),
        ("changes of the system during the study", "none: one artefact, named by its hash"),
        ("fairness: groups", "non-responders: see the faults; age, sex and origin: virtual people have none"),
        ("ethics approval", "none needed for virtual people; needed before any person"),
        ("CONSORT-AI", "does not apply: this is no trial"),
    )
    return Table(("item", "answer"), rows, "After the topics of DECIDE-AI, in our own words.")


def limits(training: Training | None, evaluation: Evaluation | None) -> Sequence[str]:
    """What the evidence does not show."""
    told = [*(training.limits if training is not None else ()), *(evaluation.limits if evaluation is not None else ())]
    return (*(f"{each[:1].upper()}{each[1:].rstrip('.')}." for each in dict.fromkeys(told)), *LIMITS)


def _trained_on(training: Training | None) -> str:
    if training is None:
        return NOT_MEASURED
    preset = training.task.people.preset.replace("_", " ")
    people = (
        f"{len(training.people.fitted)} virtual people ({preset}) to fit, {len(training.people.validated)} to choose"
    )
    if training.logged is not None:
        people += f"; logged decisions of {training.logged.people} people"
    return people
