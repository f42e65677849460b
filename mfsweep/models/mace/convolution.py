"""MACE's convolution: sum over an atom's neighbours of (neighbour's feature x harmonic), each path with radial weights.

    out_t[a, m3, c] = sum_n sum_m1 T_t[a, n, m1, m3] R_t[a, n, c] h[sender(a, n), m1, c]
    T_t[m1, m3] = sum_m2 W_t(m1, m2, m3) Y[m2]

T has no channels: it is small. So a path costs one product R h and, for all atoms together, one batched matrix product
over (n, m1), in place of e3nn's message of every edge, component and channel.

Legend: A atoms, N slots of an atom, S = A N, P pairs, C channels, l1, l2, l3 orders of feature, harmonic and output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mfsweep.models.slots import Slots


class Convolution(nn.Module):
    """The tensor product of one layer and the sum over neighbours, in one; it has no parameters."""

    def __init__(self, product: Any, wigner_3j: Callable[..., Tensor], dtype: torch.dtype) -> None:
        """Tabulate the paths' coupling.

        Args:
            product: e3nn's `o3.TensorProduct` with one path for each output.
            wigner_3j: e3nn's `o3.wigner_3j`.
            dtype: of the features to come.
        """
        super().__init__()
        self._orders: list[tuple[int, int]] = []
        """(l1, l3) of each path."""
        highest = max(irrep.l for _, irrep in product.irreps_in2)
        for number, path in enumerate(product.instructions):
            first, second, third = (
                irreps[place].ir.l
                for irreps, place in (
                    (product.irreps_in1, path.i_in1),
                    (product.irreps_in2, path.i_in2),
                    (product.irreps_out, path.i_out),
                )
            )
            coupling = torch.zeros((highest + 1) ** 2, 2 * first + 1, 2 * third + 1, dtype=torch.float64)
            symbol = wigner_3j(first, second, third, dtype=torch.float64)
            coupling[second**2 : (second + 1) ** 2] = path.path_weight * symbol.transpose(0, 1)
            # Not in a state: they follow from the orders.
            self.register_buffer(f"_coupling{number}", coupling.flatten(1).to(dtype), persistent=False)
            self._orders.append((first, third))

    def forward(
        self, features: Sequence[Tensor], harmonics: Tensor, weights: Tensor, slots: Slots
    ) -> list[list[Tensor]]:
        """Return what each path sums, the paths gathered by the order of their output.

        Args:
            features: order -> (A, 2l+1, C).
            harmonics: (S, (highest + 1)^2), zero in empty slots.
            weights: (P, paths x C) radial weights.
            slots: where the pairs stand.
        """
        width, atoms, channels = slots.width, len(features[0]), features[0].shape[2]
        radial = slots.of_pairs(weights).view(len(slots.pair), len(self._orders), channels).unbind(1)
        sizes = [feature.shape[1] for feature in features]
        sent = slots.of_senders(torch.cat([feature.flatten(1) for feature in features], 1))
        sent = sent.view(len(slots.pair), sum(sizes), channels).split(sizes, 1)
        made: list[list[Tensor]] = [[] for _ in range(1 + max(third for _, third in self._orders))]
        for number, (first, third) in enumerate(self._orders):
            angular = harmonics @ self.get_buffer(f"_coupling{number}")
            message = (radial[number].unsqueeze(1) * sent[first]).view(atoms, -1, channels)
            made[third].append(angular.view(atoms, width * (2 * first + 1), -1).transpose(1, 2) @ message)
        return made
