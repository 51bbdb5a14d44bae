"""What the files of a training and of its evaluation are called, and of which versions they are."""

from __future__ import annotations

TRAINING, COMPUTE, ARTEFACT, WORK = "training.json", "compute.json", "artefact", "work"
EVALUATION, TIMING = "evaluation.json", "timing.json"
#: 99.9 % of the steps of a learned controller must be decided within this.
BUDGET_MS = 2.0
TRAINING_FORMAT, EVALUATION_FORMAT = "myoloop-training-1", "myoloop-evaluation-1"
