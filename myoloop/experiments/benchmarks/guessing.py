"""Can anybody who sees all traffic of a blinded session guess its arm? Features of traffic, and guessers of many kinds.

What is made of a session's traffic: how many messages and bytes there are, when they come, how well they compress, and
of every value in them its range, its changes and their times; all of it as the difference from the mean of the person's
two sessions, one in each arm. A guesser is fitted to other persons than those whose arms it guesses. Whether it does
better than chance is said by the exact binomial test, for all guessers together (Holm). Where the arms leave no
difference at all, there is nothing to guess from.

The same guessers must find a leak that is planted into the same traffic (:data:`LEAKS`): a proof that can fail.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from myoloop.experiments.benchmarks.blinded_traffic import ACTIVE, SHAM, Sent, SessionTraffic

Floats = npt.NDArray[np.float64]
_FOLDS: Final = 5
#: Who guesses where nothing differs between the arms: one word for all.
NOTHING: Final = "nothing to guess from"
#: What a feature is where a session has nothing of the kind.
_NONE: Final = -1.0
#: Words that say an arm; `active` and the like are words of the interface, and are looked for as values.
WORDS: Final = (ACTIVE, SHAM, "sham", "placebo", "verum", "zero_current", "treatment", "allocation")


@dataclass(frozen=True, slots=True)
class Guessed:
    """How a guesser did.

    Attributes
    ----------
    right, of
        Arms that it guessed, each of a session that it had not seen.
    p_value
        Of doing so well or better by chance, adjusted for how many guessers there are.
    """

    guesser: str
    right: int
    of: int
    p_value: float

    @property
    def accuracy(self) -> float:
        """Share of arms guessed."""
        return self.right / self.of


# -- features -------------------------------------------------------------------------------------------------------


def features_of(traffic: SessionTraffic) -> dict[str, float]:
    """Everything that can be counted of a session's traffic, by name."""
    found: dict[str, float] = {}
    for screen, sent in traffic.sent.items():
        found |= {f"{screen}: {name}": value for name, value in _of_messages(sent)}
        found |= {f"{screen}: {name}": value for name, value in _of_values(sent)}
    return found


def _of_messages(sent: Sequence[Sent]) -> Iterator[tuple[str, float]]:
    t_s = np.array([each.t_ns for each in sent], np.float64) * 1e-9
    sizes = np.array([len(each.data) for each in sent], np.float64)
    yield "messages", float(len(sent))
    yield "compressed", float(len(zlib.compress(b"".join(each.data for each in sent), 9)))
    for name, values in (("bytes", sizes), ("interval", np.diff(t_s)), ("change of size", np.abs(np.diff(sizes)))):
        yield from _spread(name, values)
    if len(t_s):
        yield "length", float(t_s[-1])
        per_s = np.bincount(t_s.astype(np.int64))
        yield from _spread("a second", per_s.astype(np.float64))
        for part, share in enumerate(np.array_split(sizes, 10)):
            yield f"bytes in tenth {part}", float(share.sum())


def _of_values(sent: Sequence[Sent]) -> Iterator[tuple[str, float]]:
    """Of each place in the messages: its values as numbers, how often and when they change."""
    told: dict[str, list[tuple[float, Any]]] = {}
    for each in sent:
        if each.data[:1] == b"{":
            for path, value in _leaves("", json.loads(each.data)):
                told.setdefault(path, []).append((each.t_ns * 1e-9, value))
        else:
            told.setdefault("binary", []).append((each.t_ns * 1e-9, float(sum(each.data[:4096]))))
    for path, rows in told.items():
        yield f"{path} is there", float(len(rows))
        changed = [t_s for (t_s, value), (_, before) in zip(rows[1:], rows, strict=False) if value != before]
        yield f"{path} changes", float(len(changed))
        yield from _spread(f"{path} changes at", np.array(changed))
        yield f"{path} is one of", float(len({json.dumps(value) for _, value in rows}))
        numbers = [float(value) for _, value in rows if isinstance(value, int | float)]
        yield from _spread(path, np.array(numbers))
        words = [value for _, value in rows if isinstance(value, str)]
        yield f"{path} letters", float(sum(map(len, words)))
        for word in sorted(set(words))[:20]:
            yield f"{path} is {word}", float(words.count(word))


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _leaves(f"{path}.{name}", each)
    elif isinstance(value, list):
        yield f"{path}#", len(value)
        for number, each in enumerate(value):
            yield from _leaves(f"{path}[{number}]", each)
    else:
        yield path, value


def _spread(name: str, values: Floats) -> Iterator[tuple[str, float]]:
    known = values[np.isfinite(values)] if len(values) else values
    kinds: tuple[tuple[str, Callable[[Floats], Any]], ...] = (
        ("mean", np.mean), ("spread", np.std), ("least", np.min), ("greatest", np.max), ("first", lambda v: v[0]),
        ("last", lambda v: v[-1]),
    )  # fmt: skip
    for kind, of in kinds:
        yield f"{name} {kind}", float(of(known)) if len(known) else _NONE


class Table(NamedTuple):
    """Features of all sessions.

    Attributes
    ----------
    values
        (n_sessions, n_features): differences from the mean of the person's sessions; those that never differ are left
        out.
    arms
        (n_sessions,): 1 in the active arm.
    people
        (n_sessions,): whose session it is.
    names
        Of the features.
    """

    values: Floats
    arms: npt.NDArray[np.int64]
    people: npt.NDArray[np.int64]
    names: list[str]


def table_of(traffic: Sequence[SessionTraffic]) -> Table:
    """Features of some sessions."""
    rows = [features_of(each) for each in traffic]
    names = sorted({name for row in rows for name in row})
    values = np.array([[row.get(name, _NONE) for name in names] for row in rows])
    codes = sorted({each.person for each in traffic})
    people = np.array([codes.index(each.person) for each in traffic])
    for person in range(len(codes)):
        values[people == person] -= values[people == person].mean(axis=0)
    # Halves of a sum may differ in their last bit.
    differ = np.ptp(values, axis=0) > 1e-9
    arms = np.array([int(each.arm == ACTIVE) for each in traffic])
    return Table(values[:, differ], arms, people, [name for name, keep in zip(names, differ, strict=True) if keep])


# -- guessers -------------------------------------------------------------------------------------------------------


def guess(table: Table, seed: int = 0) -> list[Guessed]:
    """Let each kind of guesser guess the arms of each person from the others', and say how likely that is by chance."""
    values, arms, people, _ = table
    if not values.shape[1]:
        return [Guessed(NOTHING, int(arms.sum()), len(arms), 1.0)]
    from scipy.stats import binomtest
    from sklearn.model_selection import GroupKFold, cross_val_predict

    split = GroupKFold(min(_FOLDS, len(set(people.tolist()))))
    right = {
        name: int((cross_val_predict(guesser, values, arms, groups=people, cv=split) == arms).sum())
        for name, guesser in _guessers(seed).items()
    }
    chances = {name: float(binomtest(n, len(arms), 0.5, alternative="greater").pvalue) for name, n in right.items()}
    adjusted, worst = {}, 0.0
    for rank, name in enumerate(sorted(chances, key=lambda each: chances[each])):
        worst = max(worst, min(1.0, chances[name] * (len(chances) - rank)))
        adjusted[name] = worst
    return [Guessed(name, n, len(arms), adjusted[name]) for name, n in right.items()]


def _guessers(seed: int) -> dict[str, Any]:
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
    from sklearn.feature_selection import SelectKBest
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    # Features are chosen within the sessions that are learned from, never among those that are guessed.
    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000)),
        "best features": make_pipeline(StandardScaler(), SelectKBest(_apart, k=5), LogisticRegression()),
        "support vectors": make_pipeline(StandardScaler(), SVC()),
        "neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier(3)),
        "forest": RandomForestClassifier(60, random_state=seed),
        "extra trees": ExtraTreesClassifier(60, random_state=seed),
        "one split": make_pipeline(SelectKBest(_apart, k=1), DecisionTreeClassifier(max_depth=1)),
    }


def _apart(table: Floats, arms: npt.NDArray[np.int64]) -> Floats:
    """How far the arms are apart in each feature, in spreads within them; 0 where it is constant."""
    one, other = table[arms == 1], table[arms == 0]
    within = np.sqrt((one.var(axis=0) + other.var(axis=0)) / 2)
    between = np.abs(one.mean(axis=0) - other.mean(axis=0))
    return np.asarray(between / (within + 1e-9 + 1e-9 * np.abs(table).max(axis=0)), np.float64)


# -- what must be found ---------------------------------------------------------------------------------------------


def _leak_size(at: int, sent: Sent) -> Sent:
    return msgspec.structs.replace(sent, data=sent.data[:-1] + b" " * 64 + b"}") if at % 20 == 7 else sent


def _leak_time(at: int, sent: Sent) -> Sent:
    return msgspec.structs.replace(sent, t_ns=sent.t_ns + 3_000_000) if at % 20 == 7 else sent


def _leak_value(at: int, sent: Sent) -> Sent:
    return msgspec.structs.replace(sent, data=sent.data.replace(b'"level":0.6,', b'"level":0.55,'))


#: By name, what happens to messages of the active arm alone, each small: 64 blanks more in every twentieth message,
#: one that comes 3 ms late, a level that is a step lower.
LEAKS: Final[dict[str, Callable[[int, Sent], Sent]]] = {"size": _leak_size, "time": _leak_time, "value": _leak_value}


def planted(traffic: Sequence[SessionTraffic], leak: str) -> list[SessionTraffic]:
    """The same traffic, with a leak in the operator's of the active arm."""
    change = LEAKS[leak]
    return [
        msgspec.structs.replace(
            each,
            sent={**each.sent, "operator": tuple(change(at, sent) for at, sent in enumerate(each.sent["operator"]))},
        )
        if each.arm == ACTIVE
        else each
        for each in traffic
    ]


def words_in(traffic: SessionTraffic, words: Sequence[str] = WORDS) -> list[tuple[str, str]]:
    """Words that must stand nowhere, found in what a session's pages were sent or in the names of its files."""
    found = [
        (screen, word)
        for screen, sent in traffic.sent.items()
        for word in words
        if any(word.encode() in each.data.lower() for each in sent)
    ]
    names = "\n".join(traffic.names).lower()
    return found + [("file names", word) for word in words if word in names and word != "allocation"]
