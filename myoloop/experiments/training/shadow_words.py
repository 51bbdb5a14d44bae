"""What a shadow found, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from myoloop.experiments.training.shadow import ShadowFound
from myoloop.experiments.training.shadow_gate import Gated

_NS_PER_MS = 1e6
_PERCENTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
NOT_ACTED = (
    "It did not act: had it acted, EMG and force would have differed, and so would everything that it was asked after."
)


def as_data(found: ShadowFound) -> dict[str, Any]:
    """The findings, JSON-ready."""
    trains = max(1, found.in_train)
    times_ms = np.asarray(found.inference_ns, dtype=np.float64) / _NS_PER_MS
    return {
        "session": found.session,
        "artefact": found.artefact,
        "replayed": found.replayed,
        "steps": {"asked": found.steps, "followed": found.followed, "in_train": found.in_train},
        "decisions": {
            "count": found.decisions,
            "agree_share": found.actions[0.0] / max(1, found.decisions),
            "differ_share": 1.0 - found.actions[0.0] / max(1, found.decisions),
            "residuals": {f"{value:+.2f}": count for value, count in sorted(found.actions.items())},
        },
        "requests": {
            "differ_share": found.differ / trains,
            "mean_difference_ma": found.difference_ma / trains,
            "most_difference_ma": found.most_ma,
            "asked_mc": found.asked_mc,
            "added_mc": found.added_mc,
            "taken_mc": found.taken_mc,
            "budget_spent_uc": found.budget_spent_uc,
        },
        "gate": {"did": _gated(found.gate_did), "would": _gated(found.gate_would)},
        "fallbacks": {"by_reason": dict(found.fallbacks), "share_of_train": found.fallen_steps / trains},
        "shift": {
            "share_of_train": found.shifted.total() / trains,
            "by_observation": dict(found.shifted.most_common()),
        },
        "inference_ms": {
            "count": len(times_ms),
            **{name: float(np.percentile(times_ms, share)) for name, share in _PERCENTILES.items()},
            "max": float(times_ms.max()),
        },
        "note": NOT_ACTED,
    }


def _gated(gated: Gated) -> dict[str, Any]:
    return {
        "requests": gated.requests,
        "interventions": gated.interventions,
        "by_rule": dict(gated.limited.most_common()),
        "charge_mc": gated.charge_mc,
        "most_ma": gated.most_ma,
    }


def say_shadow(data: Mapping[str, Any]) -> str:
    """The findings in words."""
    steps, decisions, requests = data["steps"], data["decisions"], data["requests"]
    gate, falls, shift, times = data["gate"], data["fallbacks"], data["shift"], data["inference_ms"]
    lines = [
        f"{data['session']} in the shadow of {data['artefact']}",
        f"replayed {data['replayed']}: {steps['asked']} steps, {steps['followed']} followed, "
        f"{steps['in_train']} in trains",
        f"decisions: {decisions['count']}, {100 * decisions['agree_share']:.1f} % as adaptive gain "
        f"({_counts(decisions['residuals'])})",
        f"requests: {100 * requests['differ_share']:.1f} % of the train with another current, by "
        f"{requests['mean_difference_ma']:.2f} mA on average, at most {requests['most_difference_ma']:.2f} mA",
        f"charge asked: {requests['asked_mc']:.3f} mC; {requests['added_mc']:.3f} mC more and "
        f"{requests['taken_mc']:.3f} mC less would have been ({requests['budget_spent_uc']:.0f} uC of its budget)",
    ]
    for who, each in (("did", gate["did"]), ("would have done", gate["would"])):
        lines.append(
            f"the gate {who}: {each['interventions']} of {each['requests']} requests limited "
            f"({_counts(each['by_rule'])}), {each['charge_mc']:.3f} mC, at most {each['most_ma']:.1f} mA"
        )
    lines += [
        f"fallbacks: {100 * falls['share_of_train']:.1f} % of the train ({_counts(falls['by_reason'])})",
        f"outside of its training: {100 * shift['share_of_train']:.1f} % of the train "
        f"({_counts(shift['by_observation'])})",
        f"time of a step: p50 {times['p50']:.3f} ms, p99.9 {times['p999']:.3f} ms, max {times['max']:.3f} ms "
        f"(n {times['count']})",
        data["note"],
    ]
    return "\n".join(lines)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items()) or "none"
