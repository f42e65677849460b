"""An sqlite file is found by its address whatever letters its path has."""

from pathlib import Path

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.masking import masked
from mfsweep.store.sqlite_uris import is_relative, placed, sqlite_uri

FOLDERS = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)


@given(st.lists(FOLDERS, min_size=1, max_size=3))
def test_sqlalchemy_reads_the_path_that_was_meant(names):
    path = Path("/", *names, "mlflow.db")
    assert sqlalchemy.make_url(sqlite_uri(path)).database == str(path)
    assert sqlalchemy.make_url(sqlite_uri(path)).get_backend_name() == "sqlite"
    assert not is_relative(sqlite_uri(path))
    assert placed(sqlite_uri(path), Path("/other")) == sqlite_uri(path)


@given(st.lists(FOLDERS, min_size=1, max_size=3))
def test_a_relative_path_begins_at_the_folder(names):
    relative = Path(*names)
    assert is_relative(sqlite_uri(relative))
    made = placed(sqlite_uri(relative), Path("/spec's folder/50%"))
    assert sqlalchemy.make_url(made).database == str(Path("/spec's folder/50%") / relative)


@pytest.mark.parametrize("name", ["a?b", "a%20b", "~x", "a b", "a#b", "a;b&c=d", "ä'\"x", "a:b@c", "***"])
def test_the_file_lies_where_it_should(tmp_path, name):
    path = tmp_path / name / "x.db"
    path.parent.mkdir()
    engine = sqlalchemy.create_engine(sqlite_uri(path))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table t (x int)"))
    engine.dispose()
    assert [own.relative_to(tmp_path) for own in tmp_path.rglob("*.db")] == [Path(name, "x.db")]
    assert masked(sqlite_uri(path)) == sqlite_uri(path)


@pytest.mark.parametrize(
    "uri", ["http://host:5000", "postgresql://host/db", "sqlite://", "sqlite:///:memory:", "databricks"]
)
def test_what_is_no_sqlite_file_stays_as_it_is(uri):
    assert not is_relative(uri)
    assert placed(uri, Path("/x")) == uri


def test_settings_of_the_database_are_kept():
    assert placed("sqlite:///mlflow.db?timeout=30", Path("/lab")) == "sqlite:////lab/mlflow.db?timeout=30"
