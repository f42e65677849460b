import pytest

from mfsweep.errors import SpecError
from mfsweep.spec.axes import cells
from mfsweep.spec.load import load


def test_a_spec_loads(write_spec):
    spec = load(write_spec())
    assert spec.experiment.name == "small"
    assert spec.blocks == [{"pretrain_size": {0: 0, 20: 20, 40: 40}, "finetune_size": {20: 20, 60: 60}}]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("needs: [dft]}", "nedes: [dft]}", 11, "data.splits.b.nedes: got 'nedes', expected one of size, validation, source, needs, given, given_validation. Did you mean 'needs'?"),
        ("workers: 1", "workers: 0", 31, "resources.workers: got 0, expected a number above 0"),
        ("{workers: 1, gpus_per_worker: 0}", "{workers: 4, gpus_per_worker: 0.5}", 31, "cannot share a GPU"),
        ("name: small\n", "", 1, "the top level: got nothing, expected the field 'name'"),
        ("source:", "sorce:", 3, "data.sorce: got 'sorce', expected one of"),
        ("size: 60", "size: lots", 9, "data.splits.a.size: got 'lots', expected a whole number or 'rest'"),
        ("name: small", "name: my sweep", 1, "name: got 'my sweep', expected a name of letters"),
        ("resources:", "search: {trials: 3, objective: validation.loss}\nresources:", 31, "search: got 'a search', expected an axis that is a distribution"),
        ("[0, 20, 40]", "{low: 1, high: 10, log: true}", 14, "axes.pretrain_size: got 'a distribution', expected a `search:` block beside it"),
        ("[20, 60]", "[20, 20]", 15, "axes.finetune_size[1]: got 20, expected a value that the axis does not have already"),
        ("[20, 60]", "[]", 15, "axes.finetune_size: got [], expected a list of values"),
        ("[20, 60]", "[20, 60]\n  seed: [-1]", 16, "axes.seed[0]: got -1, expected a whole number"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_path_got_and_expected(write_spec, old, new, line, says):
    path = write_spec((old, new))
    with pytest.raises(SpecError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert says in str(caught.value)


def test_a_repeated_key_is_refused_because_yaml_would_keep_the_last(write_spec):
    with pytest.raises(SpecError, match=r":31: the key 'name' stands here again, after line 1"):
        load(write_spec(("resources:", "name: other\nresources:")))


def test_what_is_not_yaml_is_refused_with_its_line(write_spec):
    with pytest.raises(SpecError, match=r":\d+: not YAML"):
        load(write_spec(("axes:", "axes: [")))


def test_a_list_is_no_spec(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n")
    with pytest.raises(SpecError, match="expected a mapping with name, data"):
        load(path)


def test_a_missing_file_names_the_nearest(write_spec):
    path = write_spec()
    with pytest.raises(SpecError, match=r"smal\.yaml: no such file\. Did you mean '.*small\.yaml'\?"):
        load(path.with_name("smal.yaml"))


def test_a_folder_is_no_spec(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        load(tmp_path)


def test_numbers_in_exponent_notation_are_numbers(write_spec):
    spec = load(write_spec(("[20, 60]", "[2e1, 60]")))
    assert list(spec.blocks[0]["finetune_size"]) == [20.0, 60]


def test_loading_runs_no_code(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text("name: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(SpecError, match="not YAML"):
        load(path)


def test_overrides_come_in_place_of_the_files_fields(write_spec):
    resources = load(write_spec(), {"resources": {"workers": 2}}).experiment.resources
    assert (resources.workers, resources.gpus_per_worker) == (2, 0)


SEARCH = ("resources:", "search: {trials: 3, objective: validation.loss}\nresources:")


def test_a_search_has_a_study_for_each_combination_of_the_other_axes_but_the_seeds(write_spec):
    axes = ("[0, 20, 40]", "{low: 1, high: 10, log: true}\n  seed: [0, 1]")
    spec = load(write_spec(axes, SEARCH))
    assert set(spec.searched) == {"pretrain_size"}
    assert spec.studies() == [{"finetune_size": 20}, {"finetune_size": 60}]


def test_a_search_at_some_points_is_a_grid_of_them_and_the_seeds(write_spec):
    axes = ("[0, 20, 40]", "{low: 1, high: 10, log: true}\n  seed: [0, 1]")
    spec = load(write_spec(axes, SEARCH)).at([{"finetune_size": 20, "pretrain_size": 3}])
    assert list(cells(spec.blocks)) == [
        {"finetune_size": 20, "pretrain_size": 3, "seed": 0},
        {"finetune_size": 20, "pretrain_size": 3, "seed": 1},
    ]


def test_a_source_that_is_not_declared_is_refused(write_spec):
    with pytest.raises(
        SpecError, match=r":5: data\.labels\.cc\.source: got 'x', expected no source: the spec has one file only"
    ):
        load(write_spec(('cc: {energy: "ccsd(t)_631gd.energy"}', 'cc: {energy: "ccsd(t)_631gd.energy", source: x}')))
