"""The line that an experiment leaves in `experiments.jsonl`, a results file as in results.py.

In: an `Experiment`. Out: its record, with the time, the versions and the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from shelfwalk.evaluation.experiment import Experiment
from shelfwalk.evaluation.results import Machine, installed_versions, this_machine

EXPERIMENTS = "experiments.jsonl"


@dataclass(frozen=True)
class ExperimentRecord:
    """One experiment; `time` in ISO 8601, UTC."""

    time: str
    versions: Mapping[str, str]
    machine: Machine
    experiment: Experiment


def experiment_record(experiment: Experiment) -> ExperimentRecord:
    """Return the record of an experiment made now, on this machine, with the packages installed."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return ExperimentRecord(time, installed_versions(), this_machine(), experiment)
