"""Only weights that are as declared are used."""

import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tessera.core import web
from tessera.core.errors import TesseraError
from tessera.learning.weights import fetch as module
from tessera.learning.weights import known, resolve
from tessera.learning.weights.declare import WeightsSettings
from tessera.learning.weights.fetch import fetch_weights
from tessera.learning.weights.purpose import check_purpose
from tessera.learning.weights.resolve import check_declared, declared_weights, expected_digest, weights_checksums, weights_file


def checkpoint() -> bytes:
    """Return a file with the format of a checkpoint of torch."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("best/data.pkl", bytes(range(256)) * 5000)
    return file.getvalue()


CONTENT = checkpoint()
SHA256, OTHER = hashlib.sha256(CONTENT).hexdigest(), hashlib.sha256(b"other").hexdigest()


class Handler(BaseHTTPRequestHandler):
    """A server of weights, redirects and truncated weights."""

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


@pytest.mark.parametrize("start", [b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"\x40\0\0\0\0\0\0\0{"])
def test_weights_in_the_old_format_of_torch_and_safetensors_are_accepted(start: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_bytes(start)
    fetch(str(tmp_path / "mine.pth"), tmp_path / "weights.pt", hashlib.sha256(start).hexdigest())


def test_weights_are_copied_from_a_path(tmp_path: Path) -> None:
    (tmp_path / "mine.pt").write_bytes(CONTENT)
    fetch(str(tmp_path / "mine.pt"), tmp_path / "weights.pt")
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("half.pt", "have the sha256"),
        ("missing.pt", "404"),
        ("astray.pt", "redirects to 'ftp:"),
        ("local.pt", "file:///etc/hostname"),
    ],
)
def test_weights_that_cannot_be_fetched_are_named_with_the_reason(address: str, name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=f"{address}/{name}") as raised:
        fetch(f"{address}/{name}", tmp_path / "weights.pt")
    assert reason in str(raised.value)


def test_weights_with_another_sha256_are_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=f"have the sha256 {SHA256}, declared is {OTHER}"):
        fetch(f"{address}/weights.pt", tmp_path / "weights.pt", OTHER)


def test_a_full_disk_is_not_blamed_on_the_weights(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(CONTENT)
    with pytest.raises(OSError, match="No space left on device"):
        fetch(str(tmp_path / "weights.pt"), Path("/dev/full"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=r"nowhere\.pt cannot be read: .* is not there"):
        fetch(str(tmp_path / "nowhere.pt"), tmp_path / "weights.pt")


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(TesseraError, match=r"pipe\.pt cannot be read: .* a pipe or the like"):
        fetch(str(tmp_path / "pipe.pt"), tmp_path / "weights.pt")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("page.pt", b"\n<!DOCTYPE html>", "it is a web page"),
        ("page.onnx", b"<html>", "it is a web page"),
        ("text.pt", b"no model\n", "it is no checkpoint, or cut short"),
        ("cut.pt", CONTENT[:-100], "it is no checkpoint, or cut short"),
        ("model.safetensors", b"\x40\0\0\0\0\0\0\0[]", "it is no checkpoint, or cut short"),
        ("text.onnx", b"no model\n", "it is no ONNX, or cut short"),
    ],
)
def test_a_file_that_is_not_a_model_is_named_as_in_the_settings(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    weights = WeightsSettings(source=str(tmp_path / name), sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(TesseraError) as raised:
        fetch_weights(weights, tmp_path / Path(weights.file).name)
    assert f"the weights {tmp_path / name} are no model ({reason}); declare a checkpoint" in str(raised.value)


def test_a_complete_onnx_model_is_accepted_and_a_truncated_one_is_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "ab"]
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", ports[:1], ports[1:])
    whole = helper.make_model(graph).SerializeToString()
    for content in (whole, whole[:-5]):
        (tmp_path / "a.onnx").write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        if content == whole:
            fetch(str(tmp_path / "a.onnx"), tmp_path / "weights.onnx", sha256)
        else:
            with pytest.raises(TesseraError, match=r"are no model \(it is no ONNX, or cut short\)"):
                fetch(str(tmp_path / "a.onnx"), tmp_path / "weights.onnx", sha256)


def test_a_download_without_end_is_stopped(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 1000)
    monkeypatch.setattr(web, "CHUNK", 100)
    with pytest.raises(TesseraError, match="larger than 1000 bytes"):
        fetch(f"{address}/weights.pt", tmp_path / "weights.pt")
    assert (tmp_path / "weights.pt").stat().st_size <= 1100


@pytest.mark.parametrize(
    ("source", "suffix"), [("a.pt", ".pt"), ("https://example.org/A.ONNX?raw=true", ".onnx"), ("a", ".pt")]
)
def test_exported_weights_are_recognised_by_their_suffix(source: str, suffix: str) -> None:
    assert WeightsSettings(source=source, sha256=SHA256).file == f"resources/weights/{SHA256}{suffix}"


@pytest.mark.parametrize(
    ("marks", "purpose"), [(b"ultralytics.nn.tasks", "detector"), (b"conv_last.weight", "restoration model")]
)
@pytest.mark.parametrize("is_zip", [True, False], ids=["checkpoint", "safetensors"])
def test_a_detector_and_a_restoration_model_are_not_taken_for_each_other(
    marks: bytes, purpose: str, is_zip: bool, tmp_path: Path
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"\x40\0\0\0\0\0\0\0{" + marks)
    if is_zip:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("best/data.pkl", marks)
    for wanted in ("detector", "restoration model"):
        if wanted == purpose:
            check_purpose(path, wanted)
        else:
            with pytest.raises(TesseraError, match=rf"model is a {purpose}, and a {wanted} is needed here; declare other"):
                check_purpose(path, wanted)


@pytest.mark.parametrize("content", [b"", CONTENT, CONTENT[:-100], CONTENT.replace(bytes(range(256)), bytes(256), 1)])
def test_files_of_unknown_purpose_are_left_to_what_loads_them(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(content)
    check_purpose(tmp_path / "model", "detector")


def test_a_path_with_another_sha256_is_found_while_planning(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(CONTENT)
    check_declared("a.weights", WeightsSettings(source=str(path), sha256=SHA256))
    check_declared("a.weights", WeightsSettings(source="https://127.0.0.1:1/mine.pt", sha256=SHA256))
    with pytest.raises(
        TesseraError, match=rf"^a\.weights: the weights .*mine\.pt have the sha256 {SHA256}, declared is {OTHER}"
    ):
        check_declared("a.weights", WeightsSettings(source=str(path), sha256=OTHER))
    with pytest.raises(TesseraError, match=r"^a\.weights: .*gone\.pt' is not there"):
        check_declared("a.weights", WeightsSettings(source=str(tmp_path / "gone.pt"), sha256=SHA256))
    # The job that copies it says what is wrong with a pipe, which must not block the planning.
    os.mkfifo(tmp_path / "pipe.pt")
    check_declared("a.weights", WeightsSettings(source=str(tmp_path / "pipe.pt"), sha256=SHA256))


@pytest.mark.parametrize("content", [None, b"", b"version https://git-lfs.github.com/spec/v1", "cut"])
def test_weights_that_come_with_tessera_are_to_be_got_again_if_they_are_damaged(
    content: bytes | str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = known.known_weights()[known.DETECTOR_STARTER]
    whole = known.local_file(row.source).read_bytes()
    for holder in (known, resolve):
        monkeypatch.setattr(holder, "RESOURCES", tmp_path / "my clone" / "resources")
    path = known.local_file(row.source)
    path.parent.mkdir(parents=True)
    weights = WeightsSettings(source=row.source, sha256=row.sha256)
    path.write_bytes(whole)
    check_declared("a.weights", weights)
    path.unlink()
    if content is not None:
        path.write_bytes(whole[:-1000] if isinstance(content, str) else content)
    again = rf"`git -C '{tmp_path}/my clone/resources' checkout {row.file}`$"
    with pytest.raises(
        TesseraError, match=rf"^a\.weights: .*{row.file} comes with Tessera, and is missing or damaged; .*{again}"
    ):
        check_declared("a.weights", weights)


DECLARED = {"source": "mine.pt", "sha256": SHA256}


def test_the_file_of_weights_is_that_of_the_model_or_of_the_declaration() -> None:
    assert weights_file("trained", "nsfw") == "<results>/weights/nsfw/nsfw.pt"
    assert weights_file(DECLARED, "nsfw") == f"resources/weights/{SHA256}.pt"
    assert weights_file(None, "nsfw") == []


def test_only_trained_weights_come_with_checksums() -> None:
    assert weights_checksums("trained", "nsfw") == "<results>/weights/nsfw/SHA256SUMS"
    assert weights_checksums(DECLARED, "nsfw") == weights_checksums(None, "nsfw") == []


def test_weights_must_agree_with_their_checksums_or_with_the_declared_sha256(tmp_path: Path) -> None:
    assert expected_digest("trained", tmp_path / "SHA256SUMS") == tmp_path / "SHA256SUMS"
    assert expected_digest(DECLARED, []) == SHA256
    with pytest.raises(AssertionError, match="come with checksums"):
        expected_digest("trained", [])


def test_declared_weights_are_found_anywhere_in_the_settings() -> None:
    settings = {
        "a": {"weights": DECLARED, "other": "trained", "none": None},
        "stages": [{"weights": None}, {"weights": DECLARED | {"sha256": OTHER}}],
        "comparisons": [{"name": "theirs", **DECLARED}],
        # A source without a digest, and one with other keys, are not weights.
        "material": {"source": "mine.pt"},
        "video": {**DECLARED, "frames": 3},
    }
    found = {place: weights.sha256 for place, weights in declared_weights(settings)}
    assert found == {"a.weights": SHA256, "stages.1.weights": OTHER, "comparisons.0": SHA256}
    assert weights_file(settings["comparisons"][0]) == weights_file(DECLARED)
    assert list(declared_weights({})) == []
