"""Turn a MACE of mace-torch, read as plain data, into our spec, shape and weights.

Our `MacePotential` has scale 1 and shift 0: a file's scale goes into the last weights of its readouts, its shift into
`shifts`. Everything else is copied, or refused with its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from mfsweep.errors import TrainingError
from mfsweep.models import overlay
from mfsweep.models.architecture import Architecture, Shape
from mfsweep.models.mace import Mace
from mfsweep.models.pickled import StandIn

_RESIDUAL, _AGNOSTIC = "RealAgnosticResidualInteractionBlock", "RealAgnosticInteractionBlock"
_TRANSFORMS: dict[str | None, Any] = {None: None, "AgnesiTransform": "Agnesi", "SoftTransform": "Soft"}
_REFUSED_PARTS = {
    "pair_repulsion_fn": "a pair repulsion (ZBL)",
    "joint_embedding": "embeddings of charge, spin or the like",
    "embedding_readout": "a readout of the embedding",
}
_REFUSED_OPTIONS = ("use_so3", "use_agnostic_product", "use_last_readout_only", "use_edge_irreps_first")


class Outside(NamedTuple):
    """A model from outside, to start from."""

    model: Architecture
    shape: Shape
    precision: str
    """`float32` or `float64`."""
    offsets: dict[str, dict[int, float]]
    """Head -> atomic number -> E0, eV."""
    state: dict[str, Tensor]
    """The `state_dict()` of our model of that spec and shape."""
    reference: Literal["ours", "its own"]
    """What its energies stand against: offsets fitted as in every training, or those of the file's makers."""


def convert(network: StandIn, path: Path) -> Outside:
    """Return the model with the original's interaction energies, shift included.

    Args:
        network: a ScaleShiftMACE or MACE.
        path: where it was read, for errors.

    Raises:
        TrainingError: it has parts that ours has not; the text lists them.
    """
    refusals = _refusals(network)
    if refusals:
        raise _refusal(path, refusals)
    parameters, buffers = dict(network.tensors("_parameters")), dict(network.tensors("_buffers"))
    heads = tuple(str(head) for head in network.get("heads") or ("Default",))
    elements = tuple(buffers["atomic_numbers"].tolist())
    spec = _spec(network, parameters, buffers, len(heads), len(elements))
    neighbours = float(_list(network, "interactions")[0].get("avg_num_neighbors"))
    shape = Shape(heads, elements, neighbours)
    table = torch.atleast_2d(buffers["atomic_energies_fn.atomic_energies"]).double().expand(len(heads), -1)
    offsets = {head: dict(zip(elements, row, strict=True)) for head, row in zip(heads, table.tolist(), strict=True)}
    precision = str(parameters["node_embedding.linear.weight"].dtype).removeprefix("torch.")
    state = _state(spec, shape, offsets, {**buffers, **parameters}, path)
    return Outside(spec, shape, precision, offsets, state, "its own")


def _refusal(path: Path, refusals: list[str]) -> TrainingError:
    return TrainingError(
        f"no training can start from the MACE in {path}: it has {'; '.join(refusals)}. Expected the first block "
        f"{_RESIDUAL} or {_AGNOSTIC} and the others {_RESIDUAL}, with a Bessel basis and SiLU in its readout"
    )


def _refusals(network: StandIn) -> list[str]:
    """Return what of a model ours cannot express, as far as its class names and options tell."""
    interactions, readouts = _list(network, "interactions"), _list(network, "readouts")
    radial = network.child("radial_embedding") or StandIn()
    found = [text for part, text in _REFUSED_PARTS.items() if network.child(part)]
    found += [f"the option {name}" for name in _REFUSED_OPTIONS if network.get(name)]
    found += [f"the option {name}: {network.get(name)}" for name in ("edge_irreps",) if network.get(name) is not None]
    if radial.get("apply_cutoff", True) is False:
        found.append("the option apply_cutoff: False")
    if _kind(radial.child("bessel_fn")) != "BesselBasis":
        found.append(f"the radial basis {_kind(radial.child('bessel_fn'))}")
    if _kind(radial.child("distance_transform")) not in _TRANSFORMS:
        found.append(f"the distance transform {_kind(radial.child('distance_transform'))}")
    blocks = [_kind(block) for block in interactions]
    found += [
        f"the interaction block {block}"
        for number, block in enumerate(blocks)
        if block != _RESIDUAL and (number or block != _AGNOSTIC)
    ]
    if len(readouts) != len(interactions) or len(interactions) < 2:
        found.append(f"{len(readouts)} readouts and {len(interactions)} layers")
    expected = ["LinearReadoutBlock"] * (len(readouts) - 1) + ["NonLinearReadoutBlock"]
    found += [f"the readout {_kind(one)}" for one, kind in zip(readouts, expected, strict=False) if _kind(one) != kind]
    if not found and _gate(readouts[-1]) != "silu":
        found.append(f"the readout's activation {_gate(readouts[-1])}")
    if any(not _contractions(product) for product in _list(network, "products")):
        found.append("a product basis of another library (convert a cuEquivariance model with mace's own tool first)")
    if len({str(block.get("avg_num_neighbors")) for block in interactions}) > 1:
        found.append("a different mean number of neighbours for each layer")
    return found


def _spec(
    network: StandIn, parameters: dict[str, Tensor], buffers: dict[str, Tensor], heads: int, elements: int
) -> Mace:
    """Return the spec, read off class names and the sizes of tensors."""
    interactions, products = _list(network, "interactions"), _list(network, "products")
    channels = parameters["node_embedding.linear.weight"].numel() // elements
    radial = network.child("radial_embedding") or StandIn()
    last = len(interactions) - 1
    widths = []
    while (weight := parameters.get(f"interactions.0.conv_tp_weights.layer{len(widths)}.weight")) is not None:
        widths.append(weight.shape[1])
    return Mace(
        channels=channels,
        max_L=len(_contractions(products[0])) - 1,
        max_ell=(network.child("spherical_harmonics") or StandIn()).get("_lmax"),
        correlation=1 + len((_contractions(products[0])[0].child("weights") or StandIn()).get("_parameters", {})),
        layers=len(interactions),
        r_max=round(buffers["r_max"].item(), 6),  # kept in float32 in most files; the basis' own buffers are copied
        bessel=len(buffers["radial_embedding.bessel_fn.bessel_weights"]),
        cutoff_order=int(buffers["radial_embedding.cutoff_fn.p"]),
        radial_hidden=tuple(widths[:-1]),
        readout_hidden=parameters[f"readouts.{last}.linear_1.weight"].numel() // channels // heads,
        interaction_first="residual" if _kind(interactions[0]) == _RESIDUAL else None,
        distance_transform=_TRANSFORMS[_kind(radial.child("distance_transform"))],
    )


@torch.no_grad()
def _state(
    spec: Mace, shape: Shape, offsets: dict[str, dict[int, float]], tensors: dict[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """Return the `state_dict()` of our model of that spec with the file's tensors."""
    overlay.enter(spec.architecture)
    from mfsweep.models.mace.network import MacePotential

    dtype = tensors["node_embedding.linear.weight"].dtype
    model = MacePotential(spec, shape, offsets, seed=0, dtype=dtype)
    own = dict(model.network.named_parameters())
    wrong = sorted(
        f"{name} of shape {tuple(tensors[name].shape) if name in tensors else None}, expected {tuple(tensor.shape)}"
        for name, tensor in [*own.items(), *model.network.named_buffers()]
        if (name not in tensors and name in own) or (name in tensors and tensors[name].numel() != tensor.numel())
    )
    if wrong:
        raise _refusal(path, wrong)
    scale, shift = (
        torch.atleast_1d(tensors.get(f"scale_shift.{part}", torch.tensor(default))).to(dtype).expand(len(shape.heads))
        for part, default in (("scale", 1.0), ("shift", 0.0))
    )
    model.copy_weights(
        {f"network.{name}": tensor for name, tensor in tensors.items()}, shape, {head: head for head in shape.heads}
    )
    model.scale_readouts(scale)
    model.shifts.copy_(shift[:, None])
    return model.state_dict()


def _list(network: StandIn, name: str) -> list[StandIn]:
    return (network.child(name) or StandIn()).children()


def _contractions(product: StandIn) -> list[StandIn]:
    return _list(product.child("symmetric_contractions") or StandIn(), "contractions")


def _kind(module: StandIn | None) -> str | None:
    return None if module is None else type(module).__name__


def _gate(readout: StandIn) -> str | None:
    """Return the name of a readout's activation function."""
    activations = _list(readout.child("non_linearity") or StandIn(), "acts")
    function = activations[0].get("f") if activations else None
    if isinstance(function, StandIn):  # a built-in is saved as getattr(torch, "tanh")
        return str(function.arguments[-1]) if function.arguments else _kind(function)
    return getattr(function, "__name__", None)
