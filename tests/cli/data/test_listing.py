import json

import pytest

from mfsweep.cli.main import main


@pytest.fixture
def listed(capsys):
    """Give a function that runs the command; it returns what it printed."""

    def run(*args):
        with pytest.raises(SystemExit) as ended:
            main(["data", "list", *args])
        assert ended.value.code == 0
        return capsys.readouterr().out

    return run


def test_the_bundled_sets_are_listed_with_what_their_labels_are(listed):
    text = " ".join(listed().split())  # a narrow terminal breaks the sentences
    assert "bundled:mini-ani" in text
    assert "predictions of two public neural potentials" in text
    assert "bundled:mini-ccx" in text
    assert "conclusions for chemistry rest on this set" in text
    assert "mfsweep data fetch ani1ccx" in text


def test_the_list_as_json_names_each_source_as_a_spec_does(listed):
    found = json.loads(listed("--json"))
    assert [one["source"] for one in found["bundled"]] == ["bundled:mini-ani", "bundled:mini-ccx", "bundled:mini-ccx-2"]
    assert [one["structures"] for one in found["bundled"]] == [8451, 5477, 5477]
