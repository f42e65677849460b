import pytest

from mfsweep.prepare import prepare
from mfsweep.run.databases import MlflowTables
from mfsweep.sweep.tracking import loading


@pytest.fixture
def plan(write_spec, tmp_path):
    made = prepare(write_spec(), tmp_path / "store")
    made.store.prepare()
    return made


def test_the_file_of_a_fresh_store_is_made_beside_something_else(plan):
    with loading(plan, None):
        pass
    assert MlflowTables().state(plan.store.tracking_database) == "whole"


def test_a_file_that_is_there_is_left_to_whoever_says_what_is_wrong_with_it(plan):
    plan.store.tracking_database.write_bytes(b"no database")
    with loading(plan, None):
        pass
    assert plan.store.tracking_database.read_bytes() == b"no database"


def test_with_a_server_of_the_users_no_file_is_made(plan):
    with loading(plan, "http://127.0.0.1:9"):
        pass
    assert not plan.store.tracking_database.exists()


def test_what_the_body_raises_comes_out(plan):
    with pytest.raises(ZeroDivisionError), loading(plan, "http://127.0.0.1:9"):
        raise ZeroDivisionError
