from __future__ import annotations

import dataclasses
import hashlib
import re
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from mfsweep.data.fetch import BLOCK, PUBLISHED, Published, fetch
from mfsweep.errors import DataError

CONTENT = bytes(range(256)) * (3 * BLOCK // 256) + b"end"


class Server:
    """A server of one file; `behave` says how it answers the n-th request."""

    def __init__(self):
        self.requests: list[str | None] = []
        self.content = CONTENT
        self.ranges = True
        self.break_at: list[int | None] = []
        self.status = 200
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked = self.headers.get("Range")
                served.requests.append(asked)
                begin = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and served.ranges else 0
                if begin and begin >= len(served.content):
                    self.send_error(416)
                    return
                body = served.content[begin:]
                self.send_response(206 if begin else served.status)
                self.send_header("Content-Length", str(len(body)))
                if begin:
                    self.send_header("Content-Range", f"bytes {begin}-{len(served.content) - 1}/{len(served.content)}")
                self.end_headers()
                stop = served.break_at.pop(0) if served.break_at else None
                with suppress(ConnectionError):  # whoever asked has seen enough
                    self.wfile.write(body[:stop])
                self.close_connection = True

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}/file"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    made = Server()
    thread = Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


@pytest.fixture
def published(server):
    md5 = hashlib.md5(CONTENT).hexdigest()
    return Published(server.address, "file.h5", len(CONTENT), md5, ("own.h5", "--labels", "cc=a(b).energy"))


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_is_put_into_place_whole_and_not_fetched_again(published, server, tmp_path):
    told = []
    fetch(published, tmp_path / "new" / "file.h5", progress=lambda what, done: told.append((what, done)))
    assert (tmp_path / "new" / "file.h5").read_bytes() == CONTENT
    assert left_in(tmp_path / "new") == ["file.h5"]
    assert ("download", len(CONTENT)) in told
    assert told[-1] == ("verify", len(CONTENT))
    fetch(published, tmp_path / "new" / "file.h5")
    assert server.requests == [None]


def test_download_that_breaks_off_goes_on_where_it_stopped(published, server, tmp_path):
    server.break_at = [BLOCK + 10, BLOCK]
    fetch(published, tmp_path / "file.h5", pause=0)
    assert (tmp_path / "file.h5").read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={BLOCK}-", f"bytes={2 * BLOCK}-"]


def test_stopped_download_goes_on_in_another_process(published, server, tmp_path):
    (tmp_path / "file.h5.part").write_bytes(CONTENT[:1000])
    fetch(published, tmp_path / "file.h5")
    assert (tmp_path / "file.h5").read_bytes() == CONTENT
    assert server.requests == ["bytes=1000-"]
    assert left_in(tmp_path) == ["file.h5"]


def test_server_without_ranges_gives_all_again(published, server, tmp_path):
    server.ranges = False
    server.break_at = [BLOCK + 10]
    fetch(published, tmp_path / "file.h5", pause=0)
    assert (tmp_path / "file.h5").read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={BLOCK}-"]


def test_too_long_a_part_is_begun_again(published, server, tmp_path):
    (tmp_path / "file.h5.part").write_bytes(CONTENT + b"more")
    fetch(published, tmp_path / "file.h5")
    assert (tmp_path / "file.h5").read_bytes() == CONTENT


def test_server_that_keeps_breaking_off_is_given_up_and_the_part_kept(published, server, tmp_path):
    server.break_at = [2 * BLOCK, *[0] * 9]
    with pytest.raises(DataError, match=r"cannot be fetched: .*2,097,152 bytes are kept in .*file\.h5\.part") as caught:
        fetch(published, tmp_path / "file.h5", pause=0)
    assert published.command(tmp_path / "file.h5") in str(caught.value)
    assert len(server.requests) == 5
    assert left_in(tmp_path) == ["file.h5.part"]


def test_server_without_ranges_that_keeps_breaking_off_is_given_up(published, server, tmp_path):
    server.ranges = False
    server.break_at = [BLOCK, 2 * BLOCK, *[BLOCK, 2 * BLOCK] * 9]
    with pytest.raises(DataError, match="cannot be fetched"):
        fetch(published, tmp_path / "file.h5", pause=0)
    assert len(server.requests) == 6


def test_empty_file_is_refused_by_name(published, server, tmp_path):
    server.content = b""
    with pytest.raises(DataError, match=r"answers 200 OK with an empty file.*3,145,731 bytes, MD5"):
        fetch(published, tmp_path / "file.h5", pause=0)
    assert left_in(tmp_path) == []


def test_page_in_place_of_the_file_is_not_kept(published, server, tmp_path):
    server.content = b"<html>Please log in</html>"
    with pytest.raises(DataError, match="gives another file or part, from byte 0 of 26"):
        fetch(published, tmp_path / "file.h5", pause=0)
    assert left_in(tmp_path) == []


def test_other_content_of_the_same_size_is_removed(published, server, tmp_path):
    server.content = b"x" * len(CONTENT)
    with pytest.raises(DataError, match=r"has not the MD5 .* it has been removed"):
        fetch(published, tmp_path / "file.h5", pause=0)
    assert left_in(tmp_path) == []


def test_refusal_of_the_server_is_named(published, server, tmp_path):
    server.status = 403
    with pytest.raises(DataError, match="the server answers 403 Forbidden"):
        fetch(published, tmp_path / "file.h5", pause=0)


def test_without_network_the_text_says_what_to_do_by_hand(published, server, tmp_path):
    nowhere = dataclasses.replace(published, address="http://127.0.0.1:1/file")
    with pytest.raises(DataError) as caught:
        fetch(nowhere, tmp_path / "file.h5", pause=0)
    text = str(caught.value)
    assert "there is no network here" in text
    assert nowhere.address in text
    assert f"{len(CONTENT):,} bytes, MD5 {nowhere.md5}" in text
    assert "mfsweep data import" in text
    assert "--labels 'cc=a(b).energy'" in text


def test_other_file_in_the_place_is_left_alone(published, server, tmp_path):
    (tmp_path / "file.h5").write_text("mine")
    with pytest.raises(DataError, match="exists and is not the file that was published"):
        fetch(published, tmp_path / "file.h5")
    assert (tmp_path / "file.h5").read_text() == "mine"
    assert server.requests == []


def test_folder_that_cannot_be_made_is_a_data_error(published, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(published, tmp_path / "taken" / "file.h5")


def test_ani1ccx_is_the_file_of_the_release():
    data = PUBLISHED["ani1ccx"]
    assert data.address.endswith("/18112775")
    assert (data.bytes, data.md5) == (5_590_846_027, "98090dd6679106da861f52bed825ffb7")
