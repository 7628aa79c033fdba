"""No test reaches beyond this machine: connections to anything but its own addresses are refused."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faulty_server import FaultyServer


def _own_address() -> str:
    """The address by which a cluster's nodes on this machine know each other. A datagram's connect sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:  # no network at all
            return "127.0.0.1"
        return str(probe.getsockname()[0])


OWN_ADDRESS = _own_address()


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = str(address[0])
    if host in {"localhost", "", OWN_ADDRESS}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if not _is_local(address) and self.type != socket.SOCK_DGRAM:
            raise RuntimeError(f"a test tried to reach {address!r}; tests talk to this machine only")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither the user's keys, settings nor cache leak into a test."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "REWRITER_")) and name != "REWRITER_MODELS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("REWRITER_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def model_file() -> Path:
    """The embedded model. Where it is absent its tests are skipped, but not in continuous integration."""
    from rewriter.model.files import default_path

    if not default_path().is_file():
        if os.environ.get("CI"):
            pytest.fail(f"the embedded model is not at {default_path()}; run `rewriter local pull` first")
        pytest.skip("the embedded model is not there; `rewriter local pull` fetches it")
    return default_path()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """A server that behaves, and the environment of a user who has configured it."""
    with FaultyServer() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.base_url)
        monkeypatch.setenv("REWRITER_MODEL", "m")
        yield running
