"""Generators from the web: fetched once, checked, kept.

A *location* is a path or an ``https`` address, perhaps with a fragment that says more::

    https://example.org/ffhq.pkl#sha256=a205a346...
    dogs.pkl#class=3

A file is fetched with pooch into a cache folder, under a temporary name; what is interrupted goes
on where it stopped (HTTP ranges). What a server sends in place of a model, a login page for
instance, is refused and not kept. Nothing is fetched twice.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from l2l_widgets.checkpoints.source import CheckpointError
from l2l_widgets.storage import locked, make_folder, sha256_file

__all__ = ["CACHE_VARIABLE", "Location", "cache_folder", "fetch", "parse_location"]

#: Environment variable that moves the cache.
CACHE_VARIABLE = "L2L_CACHE"
#: Seconds to reach a server, and to wait for its next bytes.
TIMEOUT = (6.0, 30.0)
TRIES = 3
#: Bytes at a time; what a broken connection takes with it is less than one block.
BLOCK = 1 << 14
#: What no model begins with, and what a server sends instead of one.
_PAGE = re.compile(rb"\s*(<!doctype|<html|<head|<\?xml|version https://git-lfs)", re.IGNORECASE)


@dataclass(frozen=True)
class Location:
    """Where a generator is, and what is said of it.

    Parameters
    ----------
    base
        A path, or an address.
    sha256
        What its SHA-256 must be, lower case; None leaves it open.
    classes
        The classes to draw, of a class-conditional generator; empty for all of them.
    """

    base: str
    sha256: str | None = None
    classes: tuple[int, ...] | None = None

    @property
    def is_url(self) -> bool:
        """Whether it is an address."""
        return bool(re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", self.base))

    @property
    def file_name(self) -> str:
        """The file's own name, of an address made harmless: what people know it by."""
        if not self.is_url:
            return os.path.basename(self.base)
        last = unquote(urlsplit(self.base).path).rpartition("/")[2]
        return re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".")[-80:] or "generator"


def parse_location(text: str | os.PathLike[str]) -> Location:
    """Read a path or address with its fragment.

    Raises
    ------
    CheckpointError
        The fragment says something else than ``sha256=`` (64 hexadecimal digits) and ``class=``
        (a whole number, several with commas, or ``all``).
    """
    whole = os.fspath(text)
    base, sign, fragment = whole.rpartition("#")
    if not sign or os.path.exists(whole):
        return Location(whole)
    sha256: str | None = None
    classes: tuple[int, ...] | None = None
    for part in fragment.split("&"):
        name, _, value = part.partition("=")
        if name == "sha256" and re.fullmatch(r"[0-9a-fA-F]{64}", value):
            sha256 = value.lower()
        elif name == "class" and re.fullmatch(r"all|\d{1,9}(,\d{1,9})*", value):
            classes = () if value == "all" else tuple(map(int, value.split(",")))
        else:
            raise CheckpointError(
                f"{whole!r}: {part!r} after '#' is not understood; allowed: sha256= and 64 "
                "hexadecimal digits, class= and a whole number (several with commas, or all), '&' "
                "between them"
            )
    return Location(base, sha256, classes)


def cache_folder() -> Path:
    """Where fetched files are kept: ``$L2L_CACHE``, or the system's place for caches."""
    import pooch

    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else Path(pooch.os_cache("l2l_widgets")) / "generators"


def fetch(location: Location, progress: bool = True) -> Path:
    """A file from the web, from the cache where it is there.

    Parameters
    ----------
    location
        An ``https`` address; ``http`` only with a SHA-256, for anybody on the way could change it.
    progress
        Whether a bar on standard error shows how far it is.

    Returns
    -------
    path
        In the cache. Its SHA-256 is the location's, where that has one.

    Raises
    ------
    CheckpointError
        No connection, an error of the server, another file than the SHA-256 says, a web page in
        place of a model, a full disk; one line, with what helps.
    """
    scheme = urlsplit(location.base).scheme.lower()
    if scheme not in ("https", "http") or (scheme == "http" and location.sha256 is None):
        raise CheckpointError(
            f"{location.base!r} cannot be fetched; allowed: https addresses, and http ones with "
            "'#sha256=' and the file's hash"
        )
    folder = cache_folder()
    make_folder(folder)
    path = folder / _file_name(location.base)
    with locked(folder / f".{path.name}.lock", wait=True):
        if not path.is_file():
            return _retrieved(location, path, progress)
        if location.sha256 is None or sha256_file(path) == location.sha256:
            return path
        # Damaged, changed at its address, or the hash was mistyped: only what was promised may
        # take its place.
        fresh = _retrieved(location, path.with_name(f".{path.name}.fresh"), progress, path)
        os.replace(fresh, path)
        return path


def _retrieved(location: Location, path: Path, progress: bool, cached: Path | None = None) -> Path:
    """A file from the web, written to ``path`` if it is what the location says."""
    import pooch

    logger = pooch.get_logger()
    before = logger.level
    logger.setLevel(logging.ERROR)  # it would print what is said better below
    try:
        pooch.retrieve(
            location.base,
            known_hash=None if location.sha256 is None else f"sha256:{location.sha256}",
            fname=path.name,
            path=path.parent,
            downloader=_Download(path.with_name(f".{path.name.strip('.')}.part"), progress),
        )
    except CheckpointError:
        raise
    except ValueError as error:  # pooch's word for another hash
        found = re.search(r"but got ([0-9a-f]{64})", str(error))
        has = f", it has {found[1]}" if found else ""
        what = f": {location.sha256} was asked for{has}"
        kept = "nothing was kept" if cached is None else f"the one in the cache is kept, {cached}"
        raise CheckpointError(
            f"{location.base!r} is not the file that #sha256= promises{what}; {kept}"
        ) from None
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())[:200]
        raise CheckpointError(f"{location.base!r}: {reason}") from None
    finally:
        logger.setLevel(before)
    return path


def _file_name(address: str) -> str:
    """A name for the cache: a few digits of the address's hash, and the file's own name."""
    return f"{hashlib.sha256(address.encode()).hexdigest()[:8]}-{Location(address).file_name}"


class _Download:
    """Brings one address to one file, going on where the last attempt stopped; for pooch."""

    def __init__(self, part: Path, progress: bool) -> None:
        self.part = part
        self.tag = part.with_suffix(".etag")
        self.progress = progress

    def __call__(self, url: str, output_file: Any, pooch: Any, check_only: bool = False) -> None:
        """Fetch ``url`` into ``output_file``."""
        import requests

        for left in reversed(range(TRIES)):
            try:
                self._go_on(url)
                break
            except requests.exceptions.HTTPError as error:
                raise CheckpointError(_server_says(url, error.response)) from None
            except (requests.exceptions.RequestException, EOFError) as error:
                have = self._have()
                if left and have and not isinstance(error, requests.exceptions.ConnectTimeout):
                    continue  # it had begun: ask for the rest
                # what had begun and stopped, or what never answered
                broke = isinstance(error, (EOFError, requests.exceptions.ChunkedEncodingError))
                raise CheckpointError(_offline(url, have, broke)) from None
        with open(self.part, "rb") as stream:
            head = stream.read(512)
        if _PAGE.match(head):
            self._forget()
            raise CheckpointError(
                f"{url!r} gave a web page or a pointer, not a model{_better(url)}: nothing was kept"
            )
        self.tag.unlink(missing_ok=True)
        os.replace(self.part, output_file)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)

    def _go_on(self, url: str) -> None:
        """Ask for what is missing of the file; all of it where it has changed meanwhile."""
        import requests
        from tqdm import tqdm

        have = self._have()
        headers = {"Accept-Encoding": "identity"}
        if have and self.tag.is_file():
            headers["Range"] = f"bytes={have}-"
            headers["If-Range"] = self.tag.read_text(encoding="latin-1")
        else:
            self._forget()
            have = 0
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
            if answer.status_code != 206:
                have = 0
            if answer.url.startswith("http:") and url.startswith("https:"):
                raise CheckpointError(f"{url!r} leads to an address without encryption: refused")
            tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            if tag and not tag.startswith("W/"):
                self.tag.write_text(tag, encoding="latin-1")
            rest = int(answer.headers.get("Content-Length") or 0)
            room = shutil.disk_usage(self.part.parent).free
            if rest > room:
                raise CheckpointError(
                    f"{url!r} has {rest / 2**20:.0f} MB more, the disk has room for "
                    f"{room / 2**20:.0f} MB; the environment variable {CACHE_VARIABLE} names "
                    "another folder"
                )
            written = 0
            with (
                open(self.part, "ab" if have else "wb") as stream,
                tqdm(
                    total=have + rest or None,
                    initial=have,
                    unit="B",
                    unit_scale=True,
                    desc=self.part.name[10:-5],
                    file=sys.stderr,
                    disable=not self.progress,
                ) as bar,
            ):
                for block in answer.iter_content(BLOCK):
                    stream.write(block)
                    written += len(block)
                    bar.update(len(block))
            if rest and written < rest:
                raise EOFError


def _server_says(url: str, answer: Any) -> str:
    status = getattr(answer, "status_code", None)
    meaning = {
        401: "it wants a login",
        403: "it refuses (a login, or a quota)",
        404: "there is no such file",
        410: "the file is gone",
        429: "too many requests: try again later",
    }.get(status or 0, "it failed")
    return f"{url!r}: the server answers {status}: {meaning}{_better(url)}"


def _offline(url: str, have: int, broke: bool) -> str:
    host = urlsplit(url).hostname
    what = (
        f"the connection to {host} broke off" if broke else f"{host} cannot be reached (offline?)"
    )
    kept = f"; {have / 2**20:.1f} MB are kept, and the next attempt goes on there" if have else ""
    return f"{url!r}: {what}{kept}. Without a network, give the path of a file"


def _better(url: str) -> str:
    """The usual mistake with this host."""
    if "huggingface.co" in url and "/blob/" in url:
        return "; use '/resolve/' in place of '/blob/'"
    if "github.com" in url and "/blob/" in url:
        return "; use '/raw/' in place of '/blob/'"
    if "drive.google.com" in url:
        return "; Google Drive gives pages: download it in a browser and give the path"
    return ""
