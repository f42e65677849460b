"""MACE's product basis: for each atom and channel, polynomials of its components that are equivariant themselves.

    out[m] = sum_i c1[m, i] x_i + sum_ij c2[m, i, j] x_i x_j + sum_ijk c3[m, i, j, k] x_i x_j x_k

c are the couplings U of mace-torch times the weights of the atom's element. mace-torch contracts the dense U, 16^3 x
paths numbers, with the elements as one-hot vectors. Here the coefficients are made symmetric, so that each product of
two components is taken once; parity leaves half of them; and they are made once for each element, whose atoms stand
together:

    out[m] = sum_k x_k (sum_p c3[m, k, p] (x_i x_j)_p) + ...    p: pairs i <= j

which are matrix products of the (rows, pairs) coefficients of a channel and element with its (pairs, atoms) products.

Legend: A atoms, C channels, Z elements, M = (highest + 1)^2 components, r paths that differ once c is symmetric.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

HIGHEST_CORRELATION = 3
NEGLIGIBLE = 1e-5
"""Share of the greatest singular value below which one counts as zero: couplings of symmetric paths have none so small,
roundings of float32 have."""


class _Target(NamedTuple):
    """The outputs of one order."""

    parity: int
    """Parity of the order."""
    size: int
    """m: its 2l+1 components."""


class ProductBasis(nn.Module):
    """The products of one layer up to the third order. mace-torch's modules hold couplings and weights."""

    def __init__(self, contractions: Sequence[Any], orders: Sequence[int], dtype: torch.dtype) -> None:
        """Make room for the tables; `derive` fills them.

        Args:
            contractions: mace-torch's `Contraction` of each order of the output.
            orders: of the features that come in.
            dtype: of the features to come.
        """
        super().__init__()
        self._correlation: int = contractions[0].correlation
        assert self._correlation <= HIGHEST_CORRELATION
        self._dtype = dtype
        parity = torch.tensor([order % 2 for order in orders for _ in range(2 * order + 1)])
        left, right = torch.triu_indices(len(parity), len(parity))
        odd = parity[left] != parity[right]
        for own, chosen in enumerate((~odd, odd)):
            self._keep(f"_left{own}", left[chosen])
            self._keep(f"_right{own}", right[chosen])
            self._keep(f"_third{own}", torch.nonzero(parity == own)[:, 0])
        self._targets: list[_Target] = []
        self.derive(contractions)

    @torch.no_grad()
    def derive(self, contractions: Sequence[Any]) -> None:
        """Tabulate mace-torch's couplings, which a state that was loaded may have changed."""
        self._targets = []
        for number, contraction in enumerate(contractions):
            couplings = [contraction.U_tensors(order).double() for order in range(1, self._correlation + 1)]
            size = len(couplings[0]) if couplings[0].dim() == 3 else 1
            target = _Target((size - 1) // 2 % 2, size)
            self._targets.append(target)
            linear, *others = (
                coupling.reshape(size, *coupling.shape[-1 - order : -1], -1)
                for order, coupling in enumerate(couplings, 1)
            )
            self._tabulate(f"{number}_1", linear)
            if others:
                self._tabulate(f"{number}_2", self._of_pairs(_symmetric(others[0]), target.parity))
            if len(others) > 1:
                cubic = _symmetric(others[1])
                columns = []
                for parity in (0, 1):
                    third = cubic.index_select(1, self._third(target.parity, parity))
                    columns.append(self._of_pairs(third, parity).flatten(0, -2))
                self._tabulate(f"{number}_3", torch.cat(columns))

    def forward(self, features: Tensor, contractions: Sequence[Any], counts: Sequence[int]) -> list[Tensor]:
        """Return the products of each order, (C, 2l+1, A).

        Args:
            features: (C, M, A), the atoms sorted by element.
            contractions: those of `__init__`.
            counts: (Z,) atoms of each element.
        """
        present = [element for element, count in enumerate(counts) if count]
        sizes = [counts[element] for element in present]
        weights = [
            [weight if len(present) == len(counts) else weight[present] for weight in reversed(_weights(contraction))]
            for contraction in contractions
        ]
        linear = torch.cat([self._coefficients(f"{number}_1", own[0]) for number, own in enumerate(weights)], 2)
        linear = linear.unflatten(2, (-1, features.shape[1]))
        sums = list(_by_element(linear, features, sizes).split([target.size for target in self._targets], 1))
        rows = self._rows(weights) if self._correlation > 1 else []
        for parity, (table, kinds) in enumerate(rows):
            contracted = _by_element(table, self._pairs(features, parity), sizes)
            for (target, order, _), part in zip(kinds, contracted.split([kind.rows for kind in kinds], 1), strict=True):
                if order == 3:
                    third = features.index_select(1, self._third(self._targets[target].parity, parity)).unsqueeze(1)
                    part = (part.unflatten(1, (-1, third.shape[2])) * third).sum(2)  # noqa: PLW2901
                sums[target] = sums[target] + part
        return sums

    def _rows(self, weights: Sequence[Sequence[Tensor]]) -> list[tuple[Tensor, list[_Rows]]]:
        """Return for the pairs of each parity their (Z, C, rows, pairs) coefficients, and what the rows are."""
        pairs = [len(self.get_buffer(f"_left{parity}")) for parity in (0, 1)]
        tables: list[list[Tensor]] = [[], []]
        kinds: list[list[_Rows]] = [[], []]
        for number, (target, own) in enumerate(zip(self._targets, weights, strict=True)):
            tables[target.parity].append(self._coefficients(f"{number}_2", own[1]))
            kinds[target.parity].append(_Rows(number, 2, target.size))
            if self._correlation > 2:
                rows = [target.size * len(self._third(target.parity, parity)) for parity in (0, 1)]
                cubic = self._coefficients(f"{number}_3", own[2])
                parts = cubic.split([one * other for one, other in zip(rows, pairs, strict=True)], 2)
                for parity in (0, 1):
                    tables[parity].append(parts[parity])
                    kinds[parity].append(_Rows(number, 3, rows[parity]))
        return [
            (torch.cat([table.unflatten(2, (-1, pairs[parity])) for table in tables[parity]], 2), kinds[parity])
            for parity in (0, 1)
            if tables[parity]
        ]

    def _third(self, target: int, pair: int) -> Tensor:
        """Return the components that make, with a pair of one parity, a product of the target's."""
        return self.get_buffer(f"_third{(target + pair) % 2}")

    def _pairs(self, features: Tensor, parity: int) -> Tensor:
        """Return (C, pairs, A): the products of two components, of one parity."""
        left, right = (self.get_buffer(f"_{side}{parity}") for side in ("left", "right"))
        return features.index_select(1, left) * features.index_select(1, right)

    def _coefficients(self, name: str, weights: Tensor) -> Tensor:
        """Return the (Z, C, X) coefficients that some weights (Z, paths, C) give."""
        return (self.get_buffer(f"_mix{name}") @ weights).transpose(1, 2) @ self.get_buffer(f"_table{name}")

    def _of_pairs(self, coupling: Tensor, parity: int) -> Tensor:
        """Return (..., pairs, paths) of a symmetric coupling (..., M, M, paths): both orders of a pair in one."""
        left, right = (self.get_buffer(f"_{side}{parity}") for side in ("left", "right"))
        twice = torch.where(left == right, 1.0, 2.0).to(coupling)
        return coupling[..., left, right, :] * twice.unsqueeze(-1)

    def _tabulate(self, name: str, coupling: Tensor) -> None:
        """Keep a coupling (..., paths) as (r, paths) times (r, X): once symmetric, many of the paths are one."""
        left, singular, right = torch.linalg.svd(coupling.flatten(0, -2).T, full_matrices=False)
        kept = singular > NEGLIGIBLE * singular[0]
        self._keep(f"_mix{name}", (left[:, kept] * singular[kept]).T.contiguous().to(self._dtype))
        self._keep(f"_table{name}", right[kept].contiguous().to(self._dtype))

    def _keep(self, name: str, table: Tensor) -> None:
        self.register_buffer(name, table, persistent=False)  # not in a state: it follows from the couplings


class _Rows(NamedTuple):
    """Rows of a table of coefficients."""

    target: int
    order: int
    """2: they are added as they are; 3: each is multiplied by a third component."""
    rows: int


def _by_element(table: Tensor, values: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return (C, rows, A): each atom's values (C, X, A) times the coefficients (Z, C, rows, X) of its element."""
    parts = zip(table.unbind(), values.split(list(sizes), 2), strict=True)
    return torch.cat([own @ part for own, part in parts], 2)


def _weights(contraction: Any) -> list[Tensor]:
    """Return the (Z, paths, C) weights, of the highest order first."""
    return [contraction.weights_max, *contraction.weights]


def _symmetric(coupling: Tensor) -> Tensor:
    """Return the mean of a coupling (m, M, ... M, paths) over the orders of its components."""
    places = range(1, coupling.dim() - 1)
    orders = list(itertools.permutations(places))
    return torch.stack([coupling.permute(0, *order, coupling.dim() - 1) for order in orders]).mean(0)
