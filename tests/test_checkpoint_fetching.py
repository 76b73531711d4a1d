"""Generators from the web: a real server on this machine, that breaks off, lies and goes away."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading

import pytest

from l2l_widgets import cli
from l2l_widgets.checkpoints import CheckpointError, convert, fetching
from l2l_widgets.checkpoints.conversion import PROVENANCE
from l2l_widgets.checkpoints.fetching import Location, fetch, parse_location
from l2l_widgets.models.zoo import ZooError, load
from l2l_widgets.stylegan2 import save_generator
from tests import checkpoint_files as files


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`; `breaks` answers stop half way, ranges are honoured."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = {}
        self.breaks = 0
        self.status = 200
        self.log = []

    def address(self, name="g.pkl"):
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"

    def located(self, name="g.pkl"):
        sha = hashlib.sha256(self.content[name]).hexdigest()
        return parse_location(f"{self.address(name)}#sha256={sha}")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.log.append(self.headers.get("Range"))
        data = server.content.get(self.path.removeprefix("/"), server.content.get("*"))
        if data is None or server.status != 200:
            self.send_error(404 if data is None else server.status)
            return
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        start = 0
        wanted = self.headers.get("Range")
        if wanted is not None and self.headers.get("If-Range") == tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", tag)
        self.end_headers()
        rest = data[start:]
        if server.breaks > 0:
            server.breaks -= 1
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(rest)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv(fetching.CACHE_VARIABLE, str(tmp_path / "cache"))
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        server.content["g.pkl"] = files.nvlabs_bytes(files.make_generator())
        yield server
        server.shutdown()
        thread.join()


def kept(tmp_path):
    return sorted(p.name for p in (tmp_path / "cache").glob("*")) if tmp_path else []


def test_a_file_is_fetched_once_and_checked(server, tmp_path, capfd):
    path = fetch(server.located())
    assert path.read_bytes() == server.content["g.pkl"]
    assert path.name.endswith("-g.pkl")
    assert path.parent == tmp_path / "cache"
    assert fetch(server.located()) == path
    assert server.log == [None]
    assert kept(tmp_path) == [path.name]
    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err
    path.write_bytes(b"damaged")
    assert fetch(server.located(), progress=False).read_bytes() == server.content["g.pkl"]
    assert capfd.readouterr().err == ""


def test_a_broken_connection_goes_on_where_it_stopped(server, tmp_path):
    server.content["g.pkl"] += bytes(2**18)  # after the pickle's end, where nobody reads
    server.breaks = 2
    size = len(server.content["g.pkl"])
    path = fetch(server.located(), progress=False)
    assert path.read_bytes() == server.content["g.pkl"]
    first, *others = server.log
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in others]
    assert first is None
    assert len(starts) == 2
    assert size // 2 - fetching.BLOCK < starts[0] <= size // 2 < starts[1] < size


def test_what_was_interrupted_is_kept_for_the_next_time(server, tmp_path):
    server.breaks = 3
    with pytest.raises(CheckpointError, match=r"broke off.*MB are kept"):
        fetch(server.located(), progress=False)
    assert [name for name in kept(tmp_path) if name.endswith(".part")]
    path = fetch(server.located(), progress=False)
    assert server.log[-1].startswith("bytes=")
    assert path.read_bytes() == server.content["g.pkl"]
    assert kept(tmp_path) == [path.name]
    # another file by now: from the start, not a mixture of both
    path.unlink()
    server.breaks = 3
    with pytest.raises(CheckpointError):
        fetch(server.located(), progress=False)
    server.content["g.pkl"] = files.nvlabs_bytes(files.make_generator(seed=5))
    assert fetch(server.located(), progress=False).read_bytes() == server.content["g.pkl"]


def test_another_file_than_promised_is_not_kept(server, tmp_path):
    wrong = Location(server.address(), "0" * 64)
    with pytest.raises(CheckpointError, match="is not the file that #sha256= promises"):
        fetch(wrong, progress=False)
    assert kept(tmp_path) == []


def test_a_mistyped_hash_leaves_the_cached_file_alone(server, tmp_path):
    path = fetch(server.located(), progress=False)
    right = server.located().sha256
    with pytest.raises(CheckpointError, match="is not the file that #sha256= promises") as caught:
        fetch(Location(server.address(), "0" * 64), progress=False)
    for part in ("0" * 64, right, "in the cache is kept", str(path)):
        assert part in str(caught.value)
    assert kept(tmp_path) == [path.name]
    asked = len(server.log)
    assert fetch(server.located(), progress=False) == path
    assert len(server.log) == asked, "it was not fetched again"


def test_a_web_page_in_place_of_a_model_is_not_kept(server, tmp_path):
    server.content["g.pkl"] = b"<!DOCTYPE html><html>Quota exceeded</html>"
    with pytest.raises(CheckpointError, match="gave a web page"):
        fetch(server.located(), progress=False)
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "words"), [(404, "no such file"), (403, "it refuses"), (429, "try again later")]
)
def test_a_servers_no_is_passed_on(server, status, words):
    located = server.located()
    if status == 404:
        server.content.clear()
    server.status = status
    with pytest.raises(CheckpointError, match=f"{status}.*{words}"):
        fetch(located, progress=False)


def test_offline_is_said_at_once(server):
    located = server.located()
    server.shutdown()
    server.server_close()
    with pytest.raises(CheckpointError, match=r"127\.0\.0\.1 cannot be reached \(offline\?\)"):
        fetch(located, progress=False)


@pytest.mark.parametrize(
    "text",
    [
        "http://example.org/g.pkl",
        "ftp://example.org/g.pkl",
        "file:///etc/passwd",
        "data://text/plain",
    ],
)
def test_only_https_without_a_hash(text):
    with pytest.raises(CheckpointError, match="allowed: https addresses"):
        fetch(parse_location(text))


def test_locations():
    sha = "A" * 64
    found = parse_location(f"https://example.org/a.pkl#sha256={sha}&class=3")
    assert found == Location("https://example.org/a.pkl", "a" * 64, (3,))
    assert parse_location("a.pkl#class=0,2").classes == (0, 2)
    assert parse_location("a.pkl#class=all").classes == ()
    assert found.is_url
    assert parse_location("/a/b.pkl") == Location("/a/b.pkl")
    assert not parse_location("C:\\models\\b.pkl").is_url
    for wrong in ("a.pkl#sha256=12", "a.pkl#klass=3", "a.pkl#class=-1", "a.pkl#"):
        with pytest.raises(CheckpointError, match="allowed: sha256="):
            parse_location(wrong)


def test_a_file_with_a_sharp_in_its_name(tmp_path):
    path = tmp_path / "take#2.pkl"
    path.write_bytes(b"x")
    assert parse_location(path) == Location(str(path))


def test_names_in_the_cache_are_harmless(server, tmp_path):
    for name in ("../../evil.pkl", "%2e%2e%2fevil.pkl", ".hidden", "a b;c.pkl", "x" * 300):
        server.content["*"] = server.content["g.pkl"]
        sha = server.located().sha256
        path = fetch(Location(server.address(name), sha), progress=False)
        assert path.parent == tmp_path / "cache"
        assert len(path.name) < 120


def test_the_zoo_takes_an_address(server):
    located = server.located()
    models = load(f"{located.base}#sha256={located.sha256}")
    # what recipes and worlds call it is the file's own name, not the cache's
    assert models.name == "g"
    assert models.hashes == {"generator": located.sha256}
    assert models.generator.img_resolution == 16
    with pytest.raises(ZooError, match="is not the file"):
        load(f"{located.base}#sha256={'1' * 64}")


def test_what_was_fetched_is_known_by_its_own_name_and_address(server, tmp_path, capsys):
    located = server.located()
    typed, target = f"{located.base}#sha256={located.sha256}", tmp_path / "own.safetensors"
    assert cli.main(["info", typed]) == 0
    said = capsys.readouterr().out
    assert said.startswith("g.pkl: StyleGAN2")
    assert f"from {located.base}" in said
    assert " g.safetensors\n" in said
    assert convert(fetch(located), target, origin=located.base)["source"] == "g.pkl"
    assert cli.main(["info", str(target)]) == 0
    assert f"from {located.base} (nvlabs" in capsys.readouterr().out
    harmful = {PROVENANCE: json.dumps({"source": "\x1b[2Jg.pkl", "layout": "nvlabs"})}
    save_generator(target, files.make_generator(), harmful)
    assert cli.main(["info", str(target)]) == 0
    assert "\x1b" not in capsys.readouterr().out
