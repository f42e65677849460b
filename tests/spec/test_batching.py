from __future__ import annotations

import pytest

from mfsweep.errors import SpecError
from mfsweep.spec.batching import Batching, CostAwareBatching
from mfsweep.spec.load import Document
from mfsweep.spec.stage import Recipe


@pytest.fixture
def recipe(tmp_path):
    def read(batch):
        path = tmp_path / "recipe.yaml"
        path.write_text(f"stage:\n  batch: {batch}\n")
        document = Document(path)
        return document.build(Recipe, document.tree["stage"], ("stage",))

    return read


def test_a_batching_that_names_no_packer_is_worst_fit(recipe):
    assert recipe("{bins: 4}").batch == Batching(bins=4)
    assert recipe("{packer: worst_fit}").key == recipe("{}").key == Recipe().key


def test_coefficients_are_identity_and_defaults_written_out_are_the_same(recipe):
    default = recipe("{packer: cost_aware}")
    assert isinstance(default.batch, CostAwareBatching)
    time = default.batch.step_time
    written = f"{{constant: {time.constant}, atom: {time.atom}, edge: {time.edge}}}"
    assert recipe(f"{{packer: cost_aware, step_time: {written}}}").key == default.key
    others = ["constant: 1.5", "atom: 1.5", "edge: 1.5"]
    keys = {recipe(f"{{packer: cost_aware, step_time: {{{other}}}}}").key for other in others}
    assert len(keys | {default.key, recipe("{packer: cost_aware, max_edges: 4000}").key, Recipe().key}) == 6


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        ("{packer: cost_aware, bins: 8}", "batch.bins: got 'bins', expected one of packer, max_atoms, max_edges"),
        ("{packer: cost_aware, step_time: {atom: 0, edge: 0}}", "expected `atom` or `edge` above 0"),
        ("{packer: cost_aware, max_edges: 0}", "batch.max_edges: got 0, expected a number above 0"),
        ("{packer: cost_aware, max_edge: 9}", "Did you mean 'max_edges'?"),
        ("{max_edges: 4000}", "batch.max_edges: got 'max_edges', expected one of packer, max_atoms, bins"),
        ("{packer: best_fit}", "batch.packer: got 'best_fit', expected one of worst_fit, cost_aware"),
        ("{packer: }", "batch.packer: got nothing, expected 'worst_fit'"),
    ],
)
def test_what_does_not_belong_to_a_packer_is_refused_at_its_place(recipe, batch, says):
    with pytest.raises(SpecError) as caught:
        recipe(batch)
    assert says in str(caught.value)
