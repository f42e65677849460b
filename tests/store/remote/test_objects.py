"""The calls that a store needs, on a real server of S3's protocol; and what is said where they fail."""

from __future__ import annotations

import json
import os

import fsspec
import pytest
from object_storage import BUCKET, KEYS, begin, contents, forget_clients, storage, train

from mfsweep.cli.main import main
from mfsweep.errors import StoreError
from mfsweep.store import StoreFolder, removal
from mfsweep.store.lease import Observer, read, take
from mfsweep.store.remote import RemoteStore, remote_verify, urls, working_copy
from mfsweep.store.remote.objects import Objects
from mfsweep.store.remote.remote_store import ASIDE, MARK
from mfsweep.store.remote.units import snapshot, state_unit
from mfsweep.store.remote.urls import StoreUrl, parsed
from mfsweep.sweep.store import Store

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(botocore|aiobotocore|moto).*")


@pytest.fixture(scope="module")
def address():
    with storage() as made:
        yield made


@pytest.fixture
def url(address, request, tmp_path, monkeypatch):
    """Give the URL of an empty store of its own."""
    monkeypatch.setenv(urls.VARIABLE, str(tmp_path / "copies"))
    return f"s3://{BUCKET}/{request.node.name.split('[')[0][:40]}"


def stage_of(folder, name="k"):
    made = StoreFolder(folder)
    made.prepare()
    return train(made.stage(name))


def test_an_object_is_made_once_and_replaced_and_removed(url):
    objects = Objects(parsed(url))
    assert objects.create("a/one", b"1")
    assert not objects.create("a/one", b"2")
    assert objects.create("a/one", b"1"), "a put that is answered too late meets itself"
    assert objects.get("a/one") == b"1"
    objects.put("a/one", b"2")
    assert objects.names("a") == {"a/one": 1}
    objects.remove("a/one")
    objects.remove("a/one")
    assert objects.names("a") == {}
    with pytest.raises(FileNotFoundError):
        objects.get("a/one")


def test_leases_are_as_in_folders(url):
    remote = RemoteStore.at(url)
    remote.prepare()
    place = remote.lease_place("k")
    assert read(place) is None
    first = take(place, None)
    assert first
    assert take(place, None) is None
    sign = read(place)
    assert first.beat()
    assert read(place) != sign
    assert take(place, read(place)), "whoever takes it for dead"
    assert not first.beat()


def test_stages_are_pushed_and_pulled_whole_and_only_what_is_missing(url, tmp_path, capsys):
    here, there = tmp_path / "here", tmp_path / "there"
    folders = [stage_of(here, name) for name in ("k1", "k2")]
    assert code(main, ["store", "push", url, "k1", "--store", str(here)]) == 0
    assert "1 of 1 trained stage copied" in capsys.readouterr().out
    assert code(main, ["store", "push", url, "--store", str(here)]) == 0
    assert "1 of 2 trained stages copied" in capsys.readouterr().out
    assert code(main, ["store", "pull", url, "--store", str(there), "--json"]) == 0
    assert '"copied": 2' in capsys.readouterr().out
    assert [contents(StoreFolder(there).stage(name)) for name in ("k1", "k2")] == list(map(contents, folders))
    assert code(main, ["store", "pull", url, "--store", str(there)]) == 0
    assert "0 of 2 trained stages copied" in capsys.readouterr().out
    assert code(main, ["store", "pull", url, "nothing", "--store", str(there)]) == 2
    assert "has no run of a spec of this name, and no trained stage whose key begins so" in capsys.readouterr().err


def test_what_is_damaged_at_the_url_is_found_set_aside_and_put_again(url, tmp_path, capsys):
    folder = stage_of(tmp_path / "here")
    Store(tmp_path / "here").push(url)
    remote = RemoteStore.at(url)
    assert remote_verify.verify(remote).findings == []
    (name,) = (one for one in remote.objects.names("files") if one.endswith("-selected.pt"))
    remote.objects.put(name, b"other bytes")
    assert code(main, ["store", "verify", "--store", url]) == 1
    assert f"{name} is damaged (sha256" in capsys.readouterr().out
    assert code(main, ["store", "verify", "--store", url, "--mend"]) == 0
    assert "trained" not in remote.stages()["k"]
    Store(tmp_path / "here").push(url)
    assert remote_verify.verify(remote).findings == []
    there = StoreFolder(tmp_path / "there")
    Store.pull(url, there.root)
    assert contents(there.stage("k")) == contents(folder)


def test_what_a_store_takes_is_told_by_kind(url, tmp_path, capsys):
    folder = stage_of(tmp_path / "here")
    Store(tmp_path / "here").push(url)
    held = Store(url).usage()
    assert held.trained == 1
    weights = list(folder.checkpoints.iterdir())
    assert held.kinds["weights"] == (2, sum(path.stat().st_size for path in weights))
    assert code(main, ["store", "du", "--store", url]) == 0
    assert "weights" in capsys.readouterr().out


def test_what_nobody_needs_goes_from_the_storage_and_from_the_working_copy(url, tmp_path, capsys, monkeypatch):
    here = StoreFolder(tmp_path / "here")
    for name in ("k1", "k2", "k3"):
        stage_of(here.root, name)
    Store(here.root).push(url)
    remote, copy = RemoteStore.at(url), Store(url)
    remote.push_state(begin(StoreFolder(tmp_path / "other").stage("k4"), 3), 1)
    taken = {one.key: one.bytes for one in Store(url).contents().stages.values()}
    assert taken.keys() == {"k1", "k2", "k3", "k4"}
    assert sum(taken.values()) == sum(size for name, size in remote.objects.names("").items() if name != MARK)
    remote.objects.put(f"{ASIDE}/files/k1/x", b"damaged once")
    assert code(main, ["store", "prune", "--store", url, "--keep", "k1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert ([one["name"] for one in said["stages"]], said["removed"]) == (["k2", "k3", "k4"], False)
    assert said["bytes"] == taken["k2"] + taken["k3"] + taken["k4"] + len(b"damaged once")
    place = remote.lease_place("k3")
    lease = take(place, read(place))
    assert lease, "another machine evaluates it"
    monkeypatch.setattr(removal, "Observer", lambda: Observer(sleep=lambda _: lease.beat()))
    assert code(main, ["store", "prune", "--store", url, "--keep", "k1", "--yes"]) == 0
    assert "1 stage not removed: a run is at work there" in capsys.readouterr().out
    assert remote.stages().keys() == {"k1", "k3"}
    assert {name.split("/")[1] for name in remote.objects.names("files")} == {"k1", "k3"}
    assert remote.objects.names(ASIDE) == {}
    assert StoreFolder(copy.root).keys() >= {"k1", "k3"}
    assert not StoreFolder(copy.root).keys() & {"k2", "k4"}
    now = iter(range(0, 999, 9))  # the machine has died
    monkeypatch.setattr(removal, "Observer", lambda: Observer(lambda: next(now), sleep=lambda _: None))
    assert [one.name for one in Store(url).prune("k1", remove=True).stages] == ["k3"]
    there = StoreFolder(tmp_path / "there")
    Store.pull(url, there.root)
    assert contents(there.stage("k1")) == contents(here.stage("k1"))
    assert remote_verify.verify(remote).findings == []


def test_what_nothing_reads_any_more_goes_from_the_storage(url, tmp_path, capsys):
    """What earlier versions left of each stage that was put while it was trained, and what a killed put leaves."""
    here, remote = StoreFolder(tmp_path / "here"), RemoteStore.at(url)
    for name in ("k1", "k2"):
        stage_of(here.root, name)
    Store(here.root).push(url)
    before = remote.objects.names("")
    with snapshot(state_unit(begin(StoreFolder(tmp_path / "other").stage("k1"), 3)), 3) as (folder, manifest):
        for path, place in manifest.places("files/k1").items():
            remote.objects.put_file(place, folder / path)
    remote.objects.put("stages/k1/state.json", manifest.dump())
    remote.objects.put("files/k2/000001/0-last.pt", b"killed before its manifest")
    remote.objects.put("files/k3/0-last.pt", b"likewise")
    remote.objects.put("sweep-files/s/0a/0-report.html", b"likewise")
    Store(url)
    left = {name: size for name, size in remote.objects.names("").items() if name not in before}
    assert code(main, ["store", "prune", "--store", url, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["stages"] == []
    assert {one["name"]: one["why"] for one in said["leftovers"]} == {
        "files/k1": "4 objects that nothing reads any more", "files/k2": "1 object that nothing reads any more",
        "files/k3": "1 object that nothing reads any more", "sweep-files/s": "1 object that nothing reads any more",
    }  # fmt: skip
    assert said["bytes"] == sum(left.values())
    lease = take(remote.lease_place("k3"), None)
    assert lease, "another machine trains it"
    assert code(main, ["store", "prune", "--store", url, "--yes"]) == 0
    assert "files/k3 not removed: a run holds its stage at this moment" in capsys.readouterr().out
    assert {name for name in remote.objects.names("") if not name.startswith("leases/")} == {
        *before,
        "files/k3/0-last.pt",
    }
    lease.release()
    assert [one.name for one in Store(url).prune(remove=True).leftovers] == ["files/k3"]
    assert Store(url).prune().leftovers == []
    assert remote_verify.verify(remote).findings == []


def test_nothing_goes_of_a_stage_that_a_later_version_has_put(url, tmp_path):
    stage_of(tmp_path / "here")
    Store(tmp_path / "here").push(url)
    remote = RemoteStore.at(url)
    later = remote.objects.get("stages/k/trained.json").replace(b'"format": 1', b'"format": 2')
    remote.objects.put("stages/k/trained.json", later)
    assert Store(url).prune().leftovers == []


def code(command, words):
    """Return the exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        command(words)
    return ended.value.code or 0


WRONG = {
    f"s3://{KEYS['AWS_ACCESS_KEY_ID']}:hidden@lab/x": "without keys or passwords",
    "s4://lab/x": "no storage is known by 's4': expected s3://bucket/prefix, or one of s3://, gs://, gcs://, az://",
    "file:///data/x": "a folder is named by its path: --store /data/x",
    "s3://lab/../x": "of letters, digits and . _ - = +, got '..' in it",
    "s3:///x": "expected s3://bucket/prefix",
    "s3://lab/x?versionId=3": "expected s3://bucket/prefix",
}


@pytest.mark.parametrize("url_", WRONG)
def test_a_url_that_no_store_has_is_said_in_a_sentence(url_, capsys):
    assert code(main, ["store", "du", "--store", url_]) == 2
    said = capsys.readouterr().err
    assert WRONG[url_] in said
    assert "hidden" not in said
    assert KEYS["AWS_ACCESS_KEY_ID"] not in said


@pytest.mark.parametrize("command", [["store", "du"], ["store", "verify"], ["run", "SPEC"], ["status", "SPEC"]])
def test_a_bucket_that_is_not_there_is_said_before_anything_is_done(
    address, write_spec, tmp_path, monkeypatch, capsys, command
):
    monkeypatch.setenv(urls.VARIABLE, str(tmp_path))
    words = [str(write_spec()) if word == "SPEC" else word for word in command]
    assert code(main, [*words, "--store", "s3://no-such-bucket/x"]) == 2
    assert f"there is no bucket 'no-such-bucket' at {address}: make it first" in capsys.readouterr().err


def test_a_store_that_is_not_there_is_said(url, capsys):
    assert code(main, ["store", "du", "--store", url]) == 2
    assert f"--store {url}: no store there. `mfsweep run` and `mfsweep store push` make one" in capsys.readouterr().err


def test_without_credentials_it_is_said_where_they_are_read(url, monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    forget_clients()
    try:
        with pytest.raises(StoreError, match=r"no credentials \(.*\)\. S3 keys are read from AWS_ACCESS_KEY_ID"):
            RemoteStore.at(url).is_there()
    finally:
        forget_clients()


def test_a_storage_that_does_not_answer_is_said(url, monkeypatch):
    with pytest.raises(StoreError, match=r"the storage at http://127\.0\.0\.1:9 cannot be used: Could not connect"):
        RemoteStore.at(StoreUrl("s3", "lab/x", "http://127.0.0.1:9")).is_there()


def test_a_storage_without_conditional_puts_is_refused(url, monkeypatch):
    monkeypatch.setattr(Objects, "create", lambda self, name, content: self.put(name, content) or True)
    with pytest.raises(StoreError, match="does not keep conditional puts"):
        RemoteStore.at(url).prepare()


def test_a_missing_package_is_named(monkeypatch):
    def missing(*_, **__):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    forget_clients()
    with pytest.raises(StoreError, match=r'not installed \(Install s3fs to access S3\): pip install "mfsweep\[s3\]"'):
        RemoteStore.at("s3://lab/x").is_there()


def test_a_working_copy_knows_its_store_and_where_that_is(url, address):
    copy = working_copy(url)
    assert urls.origin(copy) == StoreUrl("s3", url.removeprefix("s3://"), address)
    assert working_copy(f"{url}/") == copy
    assert StoreFolder(copy).name == url
    assert urls.origin(copy.parent) is None
