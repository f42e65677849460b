"""What is masked in a text, and what is left as it is."""

import string
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.errors import TrackingError
from mfsweep.masking import is_masked, masked

SCHEMES = st.sampled_from(["http", "https", "postgresql", "postgresql+psycopg2", "mysql+pymysql", "redis", "s3"])
SECRETS = st.text(string.ascii_letters + string.digits + "!$%*()_+-=.,~^{}[]|@/?&;:`", min_size=6, max_size=30).map(
    # One that no other part of the text happens to hold.
    lambda drawn: f"Zq{drawn}qZ"
)
AROUND = st.sampled_from(
    [
        "{}",
        "uri: {}\n",
        'uri: "{}" # the lab\'s',
        "tracking: {{uri: '{}'}}",
        "<a href='{}'>",
        '{{"uri": "{}"}}',
        "at {}: refused",
    ]
)


@given(scheme=SCHEMES, user=st.sampled_from(["", "anna", "anna%40lab"]), secret=SECRETS, around=AROUND)
def test_no_password_is_left_in_any_text(scheme, user, secret, around):
    for written in (secret, quote(secret, safe="")):
        said = masked(around.format(f"{scheme}://{user}:{written}@db.lab.edu:5432/sweeps?sslmode=require"))
        assert written not in said
        assert "qZ" not in said
        assert f"{scheme}://***@" in said
        assert "db.lab.edu:5432/sweeps?sslmode=require" in said


@given(
    scheme=st.sampled_from(["postgresql", "postgresql+psycopg", "mysql+pymysql", "mssql"]),
    digits=st.text(string.digits, min_size=1, max_size=5),
    mark=st.sampled_from(["/", "/?", "#", "@", ":"]),
    around=AROUND,
)
def test_no_password_of_a_database_is_left_that_looks_like_a_port_and_a_path(scheme, digits, mark, around):
    said = masked(around.format(f"{scheme}://anna:{digits}{mark}hunter2@db.lab.edu:5432/sweeps"))
    assert "hunter2" not in said
    assert f"{scheme}://***@db.lab.edu:5432/sweeps" in said


@given(
    # As SQLAlchemy, psycopg and urllib read it, where marks of an address stand in a password as they are.
    parts=st.lists(st.sampled_from(["hunter2", "S3cr%40t", "qwertz"]), min_size=1, max_size=3, unique=True),
    mark=st.sampled_from("@/?#:"),
    said=st.sampled_from(["failed to resolve host '{}@db.lab'", 'invalid port number: "{}"', "{}", "got '{}' in it"]),
)
def test_no_part_of_a_password_is_left_in_what_a_client_makes_of_it(parts, mark, said):
    uri = f"postgresql://anna:{mark.join(parts)}@db.lab/sweeps"
    for shown in (*parts, mark.join(parts), mark.join(parts[1:]), unquote(mark.join(parts))):
        left = masked(said.format(shown), uri)
        assert not any(part in left or unquote(part) in left for part in parts)
    assert masked("connection to db.lab failed: anna", uri) == "connection to db.lab failed: anna"


@given(
    name=st.sampled_from(
        ["token", "password", "PASSWORD", "api_key", "access_token", "sslpassword", "auth", "X-Amz-Signature"]
    ),
    secret=st.text(string.ascii_letters + string.digits + "!$%*()_+-.,~", min_size=1, max_size=30).map(
        lambda drawn: f"Zq{drawn}qZ"
    ),
    before=st.sampled_from(["?", "?a=1&", "?a=1;", "?a=1&amp;"]),
    around=AROUND,
)
def test_no_token_is_left_in_any_parameter(name, secret, before, around):
    said = masked(around.format(f"https://mlflow.lab.edu/api{before}{name}={secret}&b=2"))
    assert secret not in said
    assert "qZ" not in said
    assert "&b=2" in said


def test_a_token_in_the_place_of_a_user_is_masked_too():
    assert masked("https://hf_abcdef@mlflow.lab.edu") == "https://***@mlflow.lab.edu"


def test_a_password_with_a_space_is_masked_too():
    assert masked("at postgresql://anna:my hunter2@db.lab/x: refused") == "at postgresql://***@db.lab/x: refused"


def test_an_odbc_string_is_masked_as_a_whole():
    assert "hunter2" not in masked("mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BUID%3Danna%3BPWD%3Dhunter2")


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:////data/store/mlflow.db",
        "http://localhost:5000",
        "http://localhost:5000/#/experiments/1?searchFilter=&orderByKey",
        "see https://host:8080/@anna/page",
        "mail anna@lab.edu, see https://lab.edu",
        "http://mlflow.lab:5000 does not answer; mail anna@lab.edu",
        "sqlite:////data/a:b@c/mlflow.db",
        "data: {source: /shared/a@b.h5}\nsplits: {a: {size: 40}}",
        "postgresql://db.lab.edu/sweeps?sslmode=require",
        "name: x\nkey=value",
    ],
)
def test_what_holds_no_secret_stays_as_it_is(text):
    assert masked(text) == text
    assert not is_masked(text)


@given(st.text(max_size=200))
def test_masking_again_changes_nothing(text):
    once = masked(f"https://{text}@host/?token={text}")
    assert masked(once) == once


def test_every_error_for_a_user_is_masked():
    error = TrackingError("postgresql://anna:hunter2@host/db cannot be used")
    assert str(error) == "postgresql://***@host/db cannot be used"
    assert "hunter2" not in repr(error)


def test_a_masked_address_is_known_as_such():
    assert is_masked(masked("postgresql://anna:hunter2@host/db"))
    assert is_masked(masked("https://host/?token=hunter2"))
