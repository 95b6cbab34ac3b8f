"""Declared weights: what arrives is what was declared, or nothing does."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tessera.detectors import weights as module
from tessera.detectors.settings import WeightsSettings
from tessera.detectors.weights import fetch_weights
from tessera.errors import TesseraError

CONTENT = bytes(range(256)) * 5000
SHA256, OTHER = hashlib.sha256(CONTENT).hexdigest(), hashlib.sha256(b"other").hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves the weights, redirects, and half of the weights."""

    def do_GET(self) -> None:
        targets = {"/moved.pt": "/weights.pt", "/astray.pt": "ftp://127.0.0.1/weights.pt", "/local.pt": "file:///etc/hostname"}
        if self.path in targets:
            self.send_response(302)
            self.send_header("Location", targets[self.path])
            self.end_headers()
        elif self.path in {"/weights.pt", "/half.pt"}:
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT if self.path == "/weights.pt" else CONTENT[: len(CONTENT) // 2])
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def fetch(source: str, path: Path, sha256: str = SHA256) -> None:
    fetch_weights(WeightsSettings(source=source, sha256=sha256), path)


@pytest.mark.parametrize("name", ["weights.pt", "moved.pt"])
def test_weights_are_fetched_from_the_web(address: str, name: str, tmp_path: Path) -> None:
    fetch(f"{address}/{name}", tmp_path / "weights.pt")
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_weights_are_taken_from_a_path(tmp_path: Path) -> None:
    (tmp_path / "mine.pt").write_bytes(CONTENT)
    fetch(str(tmp_path / "mine.pt"), tmp_path / "weights.pt")
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("half.pt", "have the sha256"),
        ("missing.pt", "404"),
        ("astray.pt", "sends us to 'ftp:"),
        ("local.pt", "file:///etc/hostname"),
    ],
)
def test_what_cannot_be_had_is_named_with_its_reason(address: str, name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=f"{address}/{name}") as raised:
        fetch(f"{address}/{name}", tmp_path / "weights.pt")
    assert reason in str(raised.value)


def test_other_weights_than_declared_are_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=f"have the sha256 {SHA256}, declared is {OTHER}"):
        fetch(f"{address}/weights.pt", tmp_path / "weights.pt", OTHER)


def test_a_full_disk_is_not_blamed_on_the_weights(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(CONTENT)
    with pytest.raises(OSError, match="No space left on device"):
        fetch(str(tmp_path / "weights.pt"), Path("/dev/full"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=r"nowhere\.pt cannot be read: No such file"):
        fetch(str(tmp_path / "nowhere.pt"), tmp_path / "weights.pt")


def test_an_endless_file_is_given_up(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 1000)
    monkeypatch.setattr(module, "CHUNK", 100)
    with pytest.raises(TesseraError, match="larger than 1000 bytes"):
        fetch(f"{address}/weights.pt", tmp_path / "weights.pt")
    assert (tmp_path / "weights.pt").stat().st_size <= 1100


@pytest.mark.parametrize(
    ("source", "suffix"), [("a.pt", ".pt"), ("https://example.org/A.ONNX?raw=true", ".onnx"), ("a", ".pt")]
)
def test_exported_weights_are_known_by_their_suffix(source: str, suffix: str) -> None:
    assert WeightsSettings(source=source, sha256=SHA256).file == f"resources/weights/{SHA256}{suffix}"
