"""What computes: energies and forces of a batch by one readout head, and which parameters are the head's.

E(R; method) = sum_i head_method(backbone(env_i)) + E0_method(Z_i). A `Potential` computes the first term, the
interaction energy; the offsets E0 are added in float64 outside of it, because 1e3 eV in float32 is worth meV.

Legend: S structures, A atoms, E edges, H heads, Z elements.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mfsweep.errors import TrainingError
from mfsweep.models import lora as low_rank
from mfsweep.models.architecture import Architecture, Lora, Shape


class AtomGraph(NamedTuple):
    """One batch of structures as a model sees it, on the model's device.

    One water molecule (O, H, H) in a model of the elements (1, 6, 7, 8), all pairs within the cutoff:
    `species = [3, 0, 0]`, `structure = [0, 0, 0]`, `edges = [[0, 0, 1, 1, 2, 2], [1, 2, 2, 0, 0, 1]]`, `size = 1`.
    """

    species: Tensor
    """(A,) int64, index into the model's `elements`."""
    positions: Tensor
    """(A, 3) angstrom, in the model's precision."""
    structure: Tensor
    """(A,) int64, the structure that each atom belongs to."""
    edges: Tensor
    """(2, E) int64, sender and receiver: every pair within the cutoff once, then in the same order turned round."""
    size: int
    """S."""
    shifts: Tensor | None = None
    """(E / 2, 3) angstrom, from where a pair's second atom stands to its periodic image; None without any."""

    def vectors(self) -> Tensor:
        """Return the (E / 2, 3) vectors of the pairs, from sender to receiver; turned round, they are the others."""
        sender, receiver = self.edges[:, : self.edges.shape[1] // 2]
        vectors = self.positions.index_select(0, receiver) - self.positions.index_select(0, sender)
        return vectors if self.shifts is None else vectors + self.shifts


class ModelOutput(NamedTuple):
    """What a model says of a `AtomGraph`."""

    energy: Tensor
    """(S,) interaction energies without offsets, eV."""
    forces: Tensor | None
    """(A, 3) eV/angstrom; None where they were not asked for, and then never computed."""


Forward = Callable[..., ModelOutput]
"""Called as a `Potential` is: graph, head, forces=."""


class Potential(nn.Module, ABC):
    """A model with several readout heads over a shared backbone."""

    spec: Architecture
    shape: Shape
    cutoff: float
    """Radius within which atoms are neighbours, angstrom."""
    method_vectors: nn.Parameter | None
    """(H, F) what each head adds to every atom's F features before the first layer (`conditioning: embedding`), zeros
    at first; None: heads differ by their readouts."""
    shifts: Tensor
    """(H, Z) eV, added for each atom of element z by head h. Zero, unless the model started from a file whose energies
    stand against another reference."""

    fixed_shapes: bool = False
    """Whether the shapes of what is computed may depend on those of the graph alone, as compilers and CUDA graphs want;
    it may be slower then."""

    def __init__(self, spec: Architecture, shape: Shape, *, seed: int, dtype: torch.dtype) -> None:
        """Keep what all architectures share; a subclass adds its modules.

        Args:
            spec: architecture and size.
            shape: heads, elements, mean number of neighbours.
            seed: of the initial weights.
            dtype: of the weights.
        """
        super().__init__()
        self.spec = spec
        self.shape = shape
        self.cutoff = spec.r_max
        self._seed = seed
        rows = torch.zeros(len(shape.heads), spec.method_width, dtype=dtype)
        self.method_vectors = nn.Parameter(rows) if spec.conditioning else None
        self.register_buffer("shifts", torch.zeros(len(shape.heads), len(shape.elements), dtype=dtype))

    @abstractmethod
    def atomic_energies(self, graph: AtomGraph, head: str) -> Tensor:
        """Return the (A,) atoms' interaction energies by one head, eV, differentiable in `graph.positions`."""

    @abstractmethod
    def readout_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the readouts, and the methods' vectors where there are any."""

    @abstractmethod
    def copy_weights(self, state: Mapping[str, Tensor], parent: Shape, sources: Mapping[str, str]) -> None:
        """Copy a parent's backbone, and its readouts into those that start from them (see `adopt`)."""

    def shift_elements(self, vector: Tensor) -> None:
        """Add (F,) to the features that atoms of every element have before the first layer, in the model's weights."""
        raise NotImplementedError(f"{self.spec.architecture} states no FIRST_FEATURES")

    def linear_maps(self) -> list[low_rank.LinearMap]:
        """Return the backbone's linear maps, which `adapt` gives adapters; none where an architecture has no such."""
        return []

    @classmethod
    def has_kernels(cls, library: str) -> bool:  # noqa: ARG003
        """Return whether a library of kernels (a backend of spec/execution.py) can compute such models here."""
        return False

    def by_kernels(self, library: str) -> Forward:
        """Return what computes as this model does, with its parameters, by a library's kernels.

        Raises:
            ImportError: there are none for this architecture, or they are not installed.
        """
        raise ImportError(f"{library} has no kernels for the architecture {self.spec.architecture}")

    def energy(self, graph: AtomGraph, head: str) -> Tensor:
        """Return the (S,) interaction energies by one head, eV, differentiable in `graph.positions`."""
        return self.summed(self.atomic_energies(graph, head), graph, head)

    def summed(self, atomic: Tensor, graph: AtomGraph, head: str) -> Tensor:
        """Return the (S,) sums over structures of (A,) atoms' energies by one head, its shifts added."""
        shifts = self.shifts[self.shape.heads.index(head)]
        atomic = atomic + shifts.index_select(0, graph.species)
        return atomic.new_zeros(graph.size).index_add(0, graph.structure, atomic)

    def readout_of(self, head: str) -> int:
        """Return the place of a head's readout among the model's."""
        return 0 if self.method_vectors is not None else self.shape.heads.index(head)

    def vector_of(self, head: str) -> Tensor | None:
        """Return the (F,) vector of a head, or None where heads differ by their readouts."""
        return None if self.method_vectors is None else self.method_vectors[self.shape.heads.index(head)]

    def method_parameters(self) -> list[nn.Parameter]:
        """Return the parameter that holds the methods' vectors, if there is one."""
        return [] if self.method_vectors is None else [self.method_vectors]

    def readouts_from(self, parent: Shape, sources: Mapping[str, str]) -> dict[int, int]:
        """Return the place of each readout that starts from one of a parent's -> the place of that one.

        Args:
            parent: the parent's shape; its spec is this model's.
            sources: own head -> the parent's head that it starts from.
        """
        if self.method_vectors is not None:
            return {0: 0}
        return {self.shape.heads.index(head): parent.heads.index(source) for head, source in sources.items()}

    @torch.no_grad()
    def alone(self, head: str) -> Potential:
        """Return a model of `conditioning: heads` with one head, that computes what this model does by that head.

        The vector of the head goes into the features that atoms begin with. It needs a model without adapters.
        """
        vector = self.vector_of(head)
        assert vector is not None, "heads that differ by their readouts stand alone already"
        shape = Shape((head,), self.shape.elements, self.shape.avg_num_neighbors)
        spec, dtype = self.spec.but(conditioning=None), self.shifts.dtype
        model = spec.potential()(spec, shape, {head: {}}, seed=self._seed, dtype=dtype)
        # The one readout that all heads of this model share stands where that of a model of one head does.
        model.copy_weights(self.state_dict(), shape, {head: head})
        model.shifts[0] = self.shifts[self.shape.heads.index(head)]
        model.shift_elements(vector)
        return model

    def adapter_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the low-rank adapters; none before `adapt` and after `merge`."""
        return low_rank.adapters(self)

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Return the parameters before the readouts, without adapters and the methods' vectors."""
        others = {id(parameter) for parameter in [*self.readout_parameters(), *self.adapter_parameters()]}
        return [parameter for parameter in self.parameters() if id(parameter) not in others]

    @torch.no_grad()
    def adopt(self, state: Mapping[str, Tensor], parent: Shape, sources: Mapping[str, str]) -> None:
        """Copy a parent's weights into this model, which then computes by each head what the parent did by its source.

        Args:
            state: the parent's `state_dict()`; its spec and elements are this model's.
            parent: the parent's shape.
            sources: own head -> the parent's head that it starts from; a head that is absent keeps its fresh weights,
                and a readout that all heads share is the parent's even so.

        Raises:
            TrainingError: a head is not as wide as its source.
        """
        assert parent.elements == self.shape.elements
        for head, source in sources.items():
            own, theirs = self.shape.widths(self.spec, head), parent.widths(self.spec, source)
            if own != theirs:
                raise TrainingError(
                    f"the readout head {head!r} with hidden widths {list(own)} cannot start from the parent's head "
                    f"{source!r} with {list(theirs)}: leave `hidden` out, or let the head start fresh (`from: fresh`)"
                )
            if "shifts" in state:  # files of older versions have none: they were zero
                self.shifts[self.shape.heads.index(head)] = state["shifts"][parent.heads.index(source)]
            if self.method_vectors is not None:
                self.method_vectors[self.shape.heads.index(head)] = state["method_vectors"][parent.heads.index(source)]
        self.copy_weights(state, parent, sources)

    def adapt(self, lora: Lora) -> None:
        """Freeze the backbone and give its linear maps low-rank adapters, which change nothing until they train.

        Raises:
            TrainingError: the architecture has none that could take them.
        """
        maps = self.linear_maps()
        if not maps:
            raise TrainingError(
                f"the architecture {self.spec.architecture!r} takes no low-rank adapters: "
                "expected `trainable: all` or `trainable: readouts`"
            )
        for parameter in self.backbone_parameters():
            parameter.requires_grad_(False)
        with building(self._seed, self.shifts.dtype):
            low_rank.attach(maps, lora)

    def merge(self) -> None:
        """Write the adapters into the backbone's plain weights, which can be trained again, and remove them."""
        low_rank.detach(self)
        for parameter in self.backbone_parameters():
            parameter.requires_grad_(True)

    def merged_state(self) -> dict[str, Tensor]:
        """Return the `state_dict()` that the model would have after `merge`, leaving it as it is."""
        return low_rank.merged_state(self)

    def forward(self, graph: AtomGraph, head: str, *, forces: bool) -> ModelOutput:
        """Return energies and, if asked, forces = -dE/dR by one head.

        While the model is in training mode the forces can be differentiated once more, for a loss on them.
        """
        return predict(self.energy, graph, head, forces=forces, differentiable=self.training)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # Files of older versions hold no shifts: they were zero.
        state_dict.setdefault(f"{prefix}shifts", torch.zeros_like(self.shifts))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def predict(
    energy: Callable[[AtomGraph, str], Tensor], graph: AtomGraph, head: str, *, forces: bool, differentiable: bool
) -> ModelOutput:
    """Return energies and, if asked, forces = -dE/dR of a function that gives (S,) energies by one head.

    Args:
        energy: of a graph and a head, differentiable in the graph's positions.
        graph: the structures.
        head: readout head.
        forces: whether to compute forces.
        differentiable: whether the forces can be differentiated once more, for a loss on them.
    """
    if not forces:
        return ModelOutput(energy(graph, head), None)
    with torch.enable_grad():
        positions = graph.positions.detach().requires_grad_()
        found = energy(graph._replace(positions=positions), head)
        (gradient,) = torch.autograd.grad(found.sum(), positions, create_graph=differentiable)
    return ModelOutput(found, -gradient)


@contextlib.contextmanager
def building(seed: int, dtype: torch.dtype) -> Iterator[None]:
    """Draw weights on the CPU from `seed` alone and make them in `dtype`; torch's own generator and default stay."""
    previous = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(previous)
