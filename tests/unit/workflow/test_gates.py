"""Gates check the ledgers of what the project makes."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tessera.catalogue import GATES
from tessera.workflow.gates import gates, ledgers_of_gate, steps_of_gate
from tessera.workflow.project import Project

WEIGHTS = {"source": "model.onnx", "sha256": "0123456789abcdef" * 4}
LABELS = {"name": "mine", "path": "mine", "content": "general", "rights": "CC0"}
EVERYTHING: dict[str, Any] = {
    "annotations": {"labels": [LABELS], "frame_labels": "labels"},
    "drops": {"nsfw_detection": {"blurred": {"max": 0.5}}},
    "declared_classifiers": {"blurred": {"weights": {**WEIGHTS, "source": "blurred.safetensors"}}},
    "scores": {"classifiers": ["blurred"]},
    "crops": {"steps": [{"name": "person", "weights": WEIGHTS}]},
    "embeddings": {
        "look": {
            "kind": "onnx",
            "weights": WEIGHTS,
            "preprocessing": {"size": 16},
            "crops": ["person"],
            "near_duplicates": {},
            "clips": 1,
        }
    },
    "tagger": {"weights": WEIGHTS, "tags": {**WEIGHTS, "source": "tags.csv"}},
    "identities": {
        "embedding": "look",
        "step": "person",
        "references": {"folder": "references", "similarity": 0.9},
        "clusters": {"dense": 0.9, "same": 0.85, "members": 3},
        "sources": ["one"],
    },
    "face_sets": {"ada": {"subject": "Ada", "sources": ["one"]}},
    "subjects": "subjects.tsv",
}
SUBJECTS = f"name\tconsent\tscope\tadult_attested\tevidence\nAda\trelease 1\tface_sets\tyes\t{'a' * 64}\n"


def test_the_gates_without_extras_are_those_of_the_catalogue(load: Callable[..., Project]) -> None:
    project = load("one", "two")
    assert gates(project).keys() == GATES.keys()
    wildcards: Any = SimpleNamespace(gate="frames")
    assert ledgers_of_gate(project, wildcards) == [f"<results>/frames/{shard}/ledger.jsonl" for shard in ("one", "two")]
    assert steps_of_gate(project, wildcards) == {"sampling": {"unit": "images", "ledgers": 2}}


def test_sets_of_labelled_images_count_at_the_gates_of_their_dataset(load: Callable[..., Project]) -> None:
    found = gates(load("one", annotations={"labels": [LABELS, {**LABELS, "name": "marks", "use": "watermark_detection"}]}))
    assert found["labels"]["labels in sets"] == ("images", ["<results>/labels/sets/mine/ledger.jsonl"])
    assert found["watermarks"]["labels in sets"] == ("images", ["<results>/labels/sets/marks/ledger.jsonl"])
    assert found["mosaics"]["labels in sets"] == ("images", [])


def test_extras_add_steps_and_every_gate_has_an_allowance(load: Callable[..., Project]) -> None:
    Path("subjects.tsv").write_text(SUBJECTS)
    project = load("one", **EVERYTHING)
    found = gates(project)
    assert found.keys() | {"sources"} == project.config["gates"].keys() - {"default"}
    assert found["crops"] == {
        "cropping": ("regions", ["<results>/crops/one/ledger.jsonl"]),
        "embedding crops": ("crops", ["<results>/embeddings/crops/one/look.jsonl"]),
    }
    assert found["embeddings"] == {
        "embedding pictures": (
            "pictures",
            ["<results>/embeddings/shards/one/look.jsonl", "<results>/embeddings/labels/mine/look.jsonl"],
        ),
        "embedding clips": ("clips", ["<results>/embeddings/clips/one/look.jsonl"]),
    }
    assert found["faces"] == {"faces of ada": ("faces", ["<results>/faces/one/ada/ledger.jsonl"])}
    assert found["scores"] == {"scoring frames": ("frames", ["<results>/scores/frames/one/blurred.jsonl"])}
    assert list(found["identities"]) == ["identification", "references"]
    assert list(found["clips"]) == ["cutting", "scoring", "scoring by blurred"]
