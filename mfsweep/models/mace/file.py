"""A trained MACE as mace-torch's own module: what its calculators, converters and command lines load.

Training replaces what mace-torch's blocks compute by layers of ours, but the parameters stay in its blocks, so a whole
ScaleShiftMACE is there to be saved (network.py). What differs from it is put right here:

    shifts      (foundation models) are energies per head and element beside the network: they go into the E0
    enlarged heads      are blocks of ours: they become mace-torch's block of the greatest width, filled up with zeros,
                whose hidden units add nothing. A head of several hidden layers has no such block, and is refused
    elements    that a head never saw have no E0: they leave the model, so that nothing is predicted of them in silence
    vectors     of methods (`conditioning: embedding`): mace-torch has no block for them. That of the one head goes into
                the features that atoms of each element begin with
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mfsweep.errors import TrainingError
from mfsweep.models.architecture import Shape
from mfsweep.models.base import building
from mfsweep.models.mace import Mace
from mfsweep.models.mace.building import quickly
from mfsweep.models.mace.network import MacePotential, mace, new_network
from mfsweep.models.mace.readout import HeadMLPs, is_shared, matrices


@torch.no_grad()
def module(
    spec: Mace,
    shape: Shape,
    state: Mapping[str, Tensor],
    offsets: Mapping[str, Mapping[int, float]],
    heads: Sequence[str],
    elements: Sequence[int],
    dtype: torch.dtype,
) -> mace.ScaleShiftMACE:
    """Return mace-torch's module, in evaluation mode on the CPU, that gives the total energies of some heads.

    Args:
        spec: of the trained model.
        shape: of the trained model.
        state: its `state_dict()`.
        offsets: head -> atomic number -> E0, eV.
        heads: those of the model to keep, in this order.
        elements: atomic numbers to keep, ascending; each of these heads has an E0 of each.
        dtype: of the weights. In float32 the E0 too are of float32, as mace-torch asks: total energies then lose 1e-4
            eV or so.

    Raises:
        TrainingError: a head's readout is none that mace-torch has a block for, or there are several heads and one
            readout.
    """
    if spec.conditioning and len(heads) > 1:
        raise TrainingError(
            f"with `conditioning: embedding` the methods {', '.join(heads)} share one readout, and a module of "
            "mace-torch tells methods apart by readouts alone: name one with --head, or export as `--format ase`"
        )
    widths = {head: shape.widths(spec, head) for head in heads}
    deep = {head: list(hidden) for head, hidden in widths.items() if len(hidden) > 1}
    if deep:
        raise TrainingError(
            f"mace-torch has no readout block of several hidden layers, as {deep} (head: hidden widths): expected one "
            "layer. Leave these heads out with --head, or export as `--format ase`"
        )
    width = max(hidden[0] for hidden in widths.values())
    theirs: Any = MacePotential(spec, shape, offsets, seed=0, dtype=dtype)
    theirs.load_state_dict(dict(state))
    if spec.conditioning:
        theirs = theirs.alone(heads[0])
        spec, shape = theirs.spec, theirs.shape
    part = Shape(tuple(heads), tuple(elements), shape.avg_num_neighbors)
    table = torch.tensor([[offsets[head][z] for z in elements] for head in heads], dtype=torch.float64)
    with building(0, dtype), quickly(own_layers=False):  # here mace-torch's layers are to run, as quickly as they can
        network: Any = new_network(spec.but(readout_hidden=width), part, table.numpy())
    keep = torch.tensor([shape.elements.index(z) for z in elements])
    columns = [shape.heads.index(head) for head in heads]
    _copy_backbone(theirs.network, network, keep)
    _copy_readouts(theirs.network, network, columns, len(shape.heads))
    energies = table + theirs.shifts[columns][:, keep].double()
    network.atomic_energies_fn.atomic_energies = energies.to(dtype)
    _require_no_code_of_ours(network)
    return network.eval()


def lammps(network: mace.ScaleShiftMACE, head: str) -> Any:
    """Return the TorchScript of `pair_style mace`, as mace_create_lammps_model makes it."""
    from e3nn.util import jit
    from mace.calculators import LAMMPS_MACE

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and mace-torch's converter uses it
        return jit.compile(LAMMPS_MACE(network, head=head))


def mliap(network: mace.ScaleShiftMACE, head: str) -> Any:
    """Return what `pair_style mliap unified` loads, as mace_create_lammps_model makes it, by e3nn's kernels.

    mace-torch's own command turns the model into one of cuEquivariance first, which is quicker on GPUs and has to be
    installed wherever the file is loaded.
    """
    from mace.calculators.lammps_mliap_mace import LAMMPS_MLIAP_MACE

    setattr(network, "lammps_mliap", True)  # noqa: B010 (a flag that mace-torch looks for, no parameter)
    return LAMMPS_MLIAP_MACE(network, head=head)


def _copy_backbone(theirs: Any, ours: Any, keep: Tensor) -> None:
    """Copy all that heads share, of the elements whose places are `keep`."""
    done = {"node_embedding.linear.weight", "atomic_numbers"}
    _copy_paths(theirs.node_embedding.linear, ours.node_embedding.linear, 0, keep)
    for number, (layer, own) in enumerate(zip(theirs.interactions, ours.interactions, strict=True)):
        _copy_paths(layer.skip_tp, own.skip_tp, 1, keep)
        done.add(f"interactions.{number}.skip_tp.weight")
    source = {**dict(theirs.named_parameters()), **dict(theirs.named_buffers())}
    for name, tensor in [*ours.named_parameters(), *ours.named_buffers()]:
        if name in done or name.startswith(("readouts.", "atomic_energies_fn.", "scale_shift.")):
            continue
        by_element = ".symmetric_contractions." in name and ".weights" in name and not name.endswith("_zeroed")
        tensor.copy_(source[name][keep] if by_element else source[name])


def _copy_paths(theirs: Any, ours: Any, axis: int, keep: Tensor) -> None:
    """Copy the weight of an e3nn layer one of whose axes is the elements; its paths are normalised by their number."""
    parts, start = [], 0
    for path, own in zip(theirs.instructions, ours.instructions, strict=True):
        size = int(torch.tensor(path.path_shape).prod())
        block = theirs.weight[start : start + size].view(path.path_shape).index_select(axis, keep)
        parts.append((block * (path.path_weight / own.path_weight)).flatten())
        start += size
    ours.weight.copy_(torch.cat(parts))


def _copy_readouts(theirs: Any, ours: Any, columns: Sequence[int], heads: int) -> None:
    """Copy the readouts of the heads at some columns of `heads`."""
    *linear, last = zip(theirs.readouts, ours.readouts, strict=True)
    for source, own in linear:
        own.linear.weight.view(-1, len(columns)).copy_(source.linear.weight.view(-1, heads)[:, columns])
    source, own = (dict(block.named_parameters()) for block in last)
    for tensor in own.values():
        tensor.zero_()
    for place, column in enumerate(columns):
        inward, outward = matrices(source, column, heads)
        wide_in, wide_out = matrices(own, place, len(columns))
        hidden = len(outward)
        wide_in[:, :hidden] = inward
        # Each block divides by the root of what it sums over: the hidden units, in mace-torch's those of all heads.
        summed = len(wide_out) * len(columns) / (hidden * (heads if is_shared(source) else 1))
        wide_out[:hidden] = outward * summed**0.5


def _require_no_code_of_ours(network: nn.Module) -> None:
    assert not any(isinstance(module, HeadMLPs) for module in network.modules())
    assert not any(type(module).__module__.startswith("mfsweep") for module in network.modules())
