"""What the store holds of trainings, evaluations, cells and rounds: typed records, as they lie on disk."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from mfsweep.quantities import HOUR
from mfsweep.record_shapes import EvaluationShape, Metrics, TrainingShape, Whole, holds
from mfsweep.usage_record import UsageRecord

RECORD_SCHEMA: Literal[1] = 1


class Plain(BaseModel):
    """Base of the records: immutable, and tolerant of fields that a later version adds."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Finite(Plain):
    """Base of what a stage measured: every number is finite, or there is no record. JSON has no other numbers."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Share(Finite):
    """What one labelled set got of a training, requested and realised."""

    labels: str
    subset: str
    size: Whole
    """Training structures in the set."""
    requested: float
    """Probability of a batch."""
    batches: Whole
    structures: Whole
    atoms: Whole
    """Realised totals over the training, repeats over passes counted."""
    passes: float
    """Passes over the set."""
    head: str | None = None
    """Readout head that learned it; None, in records of before heads had names: that of the labels."""


class BestCheckpoint(Finite):
    """A checkpoint kept because a metric was lowest at its step."""

    metric: str
    step: Whole
    value: float
    file: str
    """Relative to the stage's folder."""
    sha256: str | None = None
    """sha256 of the file; None in records of before it was kept."""


class Machine(Finite):
    """What a process computed on."""

    device: Literal["cpu", "cuda"]
    name: str
    """Model of the GPU, or of the CPU."""
    driver: str | None = None
    """Version of the GPU's driver."""
    cuda: str | None = None
    """Version of CUDA that torch was built for."""
    threads: Whole
    """CPU threads of torch."""
    memory_gib: float | None = None
    """Memory of the GPU."""
    capability: str | None = None
    """Compute capability of the GPU, for example 9.0."""


class ExecutionRecord(Plain):
    """How the steps of a training were computed (train/execution.py)."""

    backend: str
    tf32: bool
    cuda_graphs: bool
    pad: str
    fallback: str | None = None
    """Why it was not what the spec asked for."""


class Interruption(Plain):
    """Something that cut a training short; it went on from its last checkpoint."""

    time: float
    """Unix time, seconds."""
    step: Whole | None
    """Step of the last validation that the process which writes this has seen; None: it has seen none yet."""
    what: str
    """Which worker was lost, where, and why."""


class Pruning(Plain):
    """That a search has given up the point of a stage before the stage was trained to its end."""

    time: float
    """Unix time, seconds."""
    study: str
    """Optuna study of the point."""
    step: Whole
    """Step of the validation by which it was given up, in whichever training of the point that was."""
    reason: str


class InheritanceRecord(Finite):
    """How far a model was from its parent before its first step (train/inheritance.py)."""

    energy: float
    """Largest difference of energies, eV/atom."""
    forces: float
    """Largest difference of a component of the forces, eV/angstrom."""
    structures: Whole
    heads: Whole
    """Heads that were compared."""


class Record(Finite):
    """What one finished training was and gave. Metrics are keyed `validation.<method>.<quantity>` (quantities.py)."""

    schema_number: Literal[1] = RECORD_SCHEMA
    key: str
    training: Annotated[dict[str, Any], holds(TrainingShape)]
    """`Training.identity()`."""
    parent: str | None
    started: float
    """Unix time, seconds."""
    seconds: float
    """Wall time in training, resumed parts summed."""
    steps: Whole
    stop_reason: Literal["converged", "max_steps"]
    selected: BestCheckpoint
    """The checkpoint that children start from."""
    heads: dict[str, BestCheckpoint]
    """Per readout head, the checkpoint that was best for it; of an only head the selected one."""
    head_reasons: dict[str, Literal["converged", "max_steps", "improving"]] = {}
    """Per readout head, how far it had come when the stage ended; `improving`: the stage's criterion was met while the
    head's own was still falling (train/schedule.py). Empty in records of before heads had one."""
    metrics: Metrics
    """Validation metrics at the selected checkpoint."""
    best_metrics: Metrics = {}
    """Validation metrics of each method at the checkpoint best for its head. Empty in records of before, of which
    `metrics` holds these."""
    offsets: dict[str, dict[str, float]]
    """Label method -> element symbol -> energy offset E0, eV."""
    shares: list[Share]
    parameters: Whole
    """Trainable parameters."""
    inherited: InheritanceRecord | None = None
    """None without a parent, where every head starts fresh, and in records of before it was looked at."""
    workers: Whole
    device_share: float = 1.0
    """Part of a device that each of them held; 1 also in records of before it was kept."""
    host: str
    versions: dict[str, str]
    """Package -> version, and Python's (models/versions.py)."""
    machines: list[Machine] = []
    """The different ones of the group that finished the training; none in records of before they were kept."""
    execution: ExecutionRecord | None = None
    """How the group that finished the training ran; None in records of before it was kept."""
    usage: UsageRecord | None = None
    """What it used of its devices; None where no counter was watched, and in records of before they were."""
    interruptions: list[Interruption] = []
    """Lost workers and nodes, in time order."""

    @model_validator(mode="after")
    def _require_one_parent(self) -> Self:
        if self.parent != self.training.get("parent"):
            raise ValueError(f"parent: {self.parent!r} here, {self.training.get('parent')!r} in training")
        return self

    @property
    def device_hours(self) -> float:
        """Return the hours of a device that the training took."""
        return self.seconds * self.workers * self.device_share / HOUR

    def converged(self, head: str | None = None) -> bool:
        """Return whether the schedule, not the step limit, ended the training, with nothing left to improve.

        Args:
            head: readout head that is meant; None: every one.
        """
        improving = self.improving if head is None else {head}.intersection(self.improving)
        return self.stop_reason == "converged" and not improving

    @property
    def improving(self) -> tuple[str, ...]:
        """Return the heads that were still improving when the schedule ended the training."""
        return tuple(head for head, reason in self.head_reasons.items() if reason == "improving")

    @property
    def own_best(self) -> dict[str, float]:
        """Return `best_metrics`, of a record of before too; without the loss over all methods, which no head has."""
        found = self.best_metrics or self.metrics
        return {path: value for path, value in found.items() if path.count(".") == 2}

    @property
    def kept(self) -> tuple[BestCheckpoint, ...]:
        """Return the checkpoints that were kept, one for each file."""
        return tuple({best.file: best for best in (self.selected, *self.heads.values())}.values())


class EvaluationRecord(Finite):
    """One evaluation of a trained stage. Metrics are keyed by the bare quantity, for example `energy_mae`."""

    name: str
    """As `Evaluation.name` was when it was made; what it is called is told by `evaluation`."""
    evaluation: Annotated[dict[str, Any], holds(EvaluationShape)]
    """`Evaluation.identity()`."""
    metrics: dict[str, float]
    offsets_only: dict[str, float]
    """The same metrics of the null model, energy offsets and nothing else."""
    structures: Whole
    step: Whole | None = None
    """Optimiser step of the weights; None in records of before it was written: the selected checkpoint's."""
    versions: dict[str, str] = {}
    """As of the training's record, of the process that made this; empty in records of before they were kept."""
    machine: Machine | None = None
    predictions: str
    """The .npz beside this file: index (S,), formula (S,), atoms (S,), energy_reference and energy_predicted (S,) eV,
    and for a method with forces: forces_reference and forces_predicted (A, 3) eV/angstrom."""


class SetRecord(Plain):
    """One labelled set of a stage, as labels that somebody has to pay for."""

    labels: str
    """Label method."""
    methods: list[str]
    """The methods of the file whose values it takes: itself, or of a derived one its parts."""
    subset: str
    start: Whole
    end: Whole
    """Training structures [start, end) of the subset's one shuffle."""


class CellRecord(Plain):
    """One cell of a spec's grid: its axis values, and the keys of the stages that it needs."""

    values: dict[str, Any]
    """Axis -> value; a bundle by its name; an axis that this cell's block of the union lacks is absent."""
    stages: dict[str, str]
    """Stage name -> stage key, for the stages that did not vanish."""
    result: str
    """Stage name of the result."""
    sizes: dict[str, dict[str, int]]
    """Stage name -> label method -> training structures."""
    evaluations: dict[str, list[dict[str, Any]]]
    """Stage name -> `Evaluation.identity()` of each evaluation of it that the spec asks for, of this cell or another;
    whatever else a shared store holds of the stage is another spec's."""
    sets: dict[str, list[SetRecord]] = {}
    """Stage name -> its labelled sets."""
    axes: dict[str, list[str]] = {}
    """Stage name -> the axes on which it or its ancestors depend; empty in records of before they were kept."""


class LookRecord(Plain):
    """What a run until a condition has seen after a round."""

    cells: Whole
    """That count."""
    value: float | None = None
    """A gradient; of a decision its expected regret, a share."""
    low: float | None = None
    high: float | None = None
    """The ends of the interval of a look; None: without bounds, or no law yet."""
    price: float
    """What all stages that are there have cost."""


class UntilRecord(Plain):
    """How far `mfsweep run --until` is: what it has chosen, seen, and how it ended."""

    condition: str
    named: str
    """What has to lie below a target."""
    options: list[str] = []
    """What of the command line belongs to it beside the condition."""
    chosen: list[dict[str, Any]]
    """Axis values of the cells that were chosen so far."""
    looks: list[LookRecord] = []
    outcome: str = ""
    """How it ended, in words; empty while it has not."""
    met: bool | None = None
