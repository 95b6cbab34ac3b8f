"""Each command, block of settings, path and link in the documents is right."""

import hashlib
import importlib.util
import re
import shlex
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel
from snakemake.cli import get_argument_parser

from tessera.catalogue import trained_models
from tessera.configuration.read import Configuration, load_configuration, read_settings

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = sorted(path for folder in (".", "config", "docs", ".github") for path in (REPOSITORY / folder).glob("*.md"))
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
# Programs of others that the documents use as well.
OTHERS = {".", "apt", "cd", "cp", "export", "ffmpeg", "generate-slurm-partition-config", "labelme", "lada-cli", "mkdir"}
# Files and folders that are not in the repository, because runs or people make them.
MADE = ("config/moved_keys.tsv", "examples/demo/results/", "profiles/slurm/partitions.yaml", "resources/")
# Suffixes of files, whose names look like settings.
FILES = {"html", "json", "tsv"}
# Sections of the settings that name things which others use.
DECLARING = {"annotations", "classifiers", "crops", "embeddings", "identities", "tagger"}
# Stands for those that readers fill in.
SHA256 = hashlib.sha256(b"weights").hexdigest()
PATH = re.compile(r"(?:\.ci|config|docs|envs|examples|profiles|resources|src|tests|workflow)/[\w./-]*")


class Excerpt(NamedTuple):
    """A part of a document: a block, inline code or a link. `line` is where it begins."""

    document: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(REPOSITORY)}:{self.line}"


def blocks(*languages: str) -> Iterator[Excerpt]:
    """Yield the code blocks in one of `languages`; settings that are included from a file are a block of the page."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for block in re.finditer(r"^( *)```([^\n]*)\n(.*?)^\1```$", text, re.M | re.S):
            line = text[: block.start()].count("\n") + 2
            language, _, name = block[2].partition(" ")
            if name and "yaml" in languages:
                yield Excerpt(document, line, (document.parent / name).read_text(encoding="utf-8"))
            elif language in languages:
                yield Excerpt(document, line, re.sub(f"^{block[1]}", "", block[3], flags=re.M))


def prose(pattern: str) -> Iterator[Excerpt]:
    """Yield the first group of each match of `pattern` outside code blocks."""
    for document in DOCUMENTS:
        text = re.sub(
            r"^ *```.*?^ *```$",
            lambda block: "\n" * block[0].count("\n"),
            document.read_text(encoding="utf-8"),
            flags=re.M | re.S,
        )
        for match in re.finditer(pattern, text):
            yield Excerpt(document, text[: match.start()].count("\n") + 1, match[1])


CODE = list(prose(r"`([^`]+)`"))
SETTINGS = list(blocks("yaml"))
COMMANDS = [*blocks("sh"), *(code for code in CODE if re.match(r"(make|snakemake|python -m) ", code.text))]
LINKS = list(prose(r"\]\(([^)\s]+)\)"))


def split(text: str) -> Iterator[list[str]]:
    """Yield the words of each command in `text`, a script of the shell."""
    for line in text.replace("\\\n", " ").splitlines():
        for command in re.split(r"&&|\|\||;", line):
            if words := shlex.split(command, comments=True):
                yield words


def check_make(words: list[str], _: Excerpt) -> None:
    for word in words:
        name, assigned, _value = word.partition("=")
        known = rf"\$[({{]{name}\b|^{name} \??=|^export {name}\b" if assigned else rf"^{name}:"
        assert re.search(known, MAKEFILE, re.M), f"make: {word}"


def check_snakemake(words: list[str], excerpt: Excerpt) -> None:
    known = {rule for path in REPOSITORY.glob("workflow/**/*") if path.is_file() for rule in rules_in(path)}
    known |= set(trained_models(Configuration().model_dump(mode="json"))) | named_in(excerpt.document)
    options = get_argument_parser(profiles=[]).parse_args(words)
    assert set(options.targets) <= known
    assert not options.snakefile or (REPOSITORY / str(options.snakefile).removeprefix("~/tessera/")).exists()


def rules_in(path: Path) -> list[str]:
    return (
        re.findall(r"^rule (\w+):", path.read_text(encoding="utf-8"), re.M) if path.name.endswith(("Snakefile", ".smk")) else []
    )


def named_in(document: Path) -> set[str]:
    """Return the names of the classifiers, image sets and face sets in the settings of `document`; each is a target."""
    blocks_of_document = [yaml.safe_load(block.text) for block in SETTINGS if block.document == document]
    return {
        name
        for block in blocks_of_document
        for section in ("classifiers", "image_sets", "face_sets")
        for name in block.get(section, ())
    }


def check_python(words: list[str], _: Excerpt) -> None:
    modules = [module for option, module in pairwise(words) if option == "-m"]
    assert modules and all(importlib.util.find_spec(module) for module in modules)


PROGRAMS: dict[str, Callable[[list[str], Excerpt], None]] = {
    "make": check_make,
    "python": check_python,
    "snakemake": check_snakemake,
    **dict.fromkeys(OTHERS, lambda words, excerpt: None),
}


@pytest.mark.parametrize("block", SETTINGS, ids=str)
def test_a_block_of_settings_is_valid(block: Excerpt, tmp_path: Path) -> None:
    # A block may use what the blocks above it on the page declare, and in the list of all settings, what any block declares.
    in_any_order = block.document.name == "settings.md"
    others = [each for each in SETTINGS if each.document == block.document and (each.line < block.line or in_any_order)]
    declared: dict[str, Any] = {}
    for each in (*others, block):
        path = tmp_path / f"{each.line}.yaml"
        path.write_text(each.text.replace("sha256: …", f"sha256: {SHA256}"), encoding="utf-8")
        settings = read_settings(path)
        for section in DECLARING & settings.keys():
            stated = {key: value for key, value in (settings[section] or {}).items() if value}
            declared[section] = {**declared.get(section, {}), **stated}
    load_configuration(settings | declared)


@pytest.mark.parametrize("excerpt", COMMANDS, ids=str)
def test_a_command_exists_with_its_options_and_targets(excerpt: Excerpt) -> None:
    for program, *words in split(excerpt.text):
        PROGRAMS[Path(program).name or program](words, excerpt)


def test_files_of_the_repository_that_are_named_exist() -> None:
    words = [(excerpt, word) for excerpt in (*CODE, *blocks("sh")) for word in excerpt.text.split()]
    named = [(str(excerpt), word) for excerpt, word in words if PATH.fullmatch(word) and not word.startswith(MADE)]
    assert len(named) > 40
    assert not [each for each in named if not (REPOSITORY / each[1]).exists()]


def test_settings_that_are_named_exist() -> None:
    paths = [
        (str(code), code.text.partition(":")[0].split("."))
        for code in CODE
        if re.fullmatch(r"[a-z_]+(\.\w+)+(: .*)?", code.text)
    ]
    named = [(place, keys) for place, keys in paths if keys[0] in Configuration.model_fields and keys[-1] not in FILES]
    assert len(named) > 50
    assert not [each for each in named if not is_setting(Configuration, each[1])]


def is_setting(kind: Any, keys: list[str]) -> bool:
    """Return whether `keys` lead to a setting from a field of the type `kind`."""
    if not keys:
        return True
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = kind.model_fields if keys[0] == "NAME" else kind.model_fields.keys() & {keys[0]}
        return any(is_setting(kind.model_fields[field].annotation, keys[1:]) for field in fields)
    if get_origin(kind) is dict:
        return is_setting(get_args(kind)[1], keys[1:])
    return any(is_setting(part, keys) for part in get_args(kind))


def test_relative_links_lead_to_a_file_and_a_heading() -> None:
    dead = []
    for link in LINKS:
        name, _, heading = link.text.partition("#")
        if re.match(r"\w+:", name):
            continue
        target = (link.document.parent / name).resolve() if name else link.document
        if not target.exists() or (heading and heading not in headings(target)):
            dead.append(f"{link}: {link.text}")
    assert len(LINKS) > 100 and not dead


def headings(document: Path) -> set[str]:
    """Return the headings of `document`, as links name them."""
    text = re.sub(r"^ *```.*?^ *```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)}


@pytest.mark.parametrize("block", [each for each in blocks("python") if each.text.startswith("# workflow/")], ids=str)
def test_an_example_of_the_code_is_the_code(block: Excerpt) -> None:
    name, _, code = block.text.removeprefix("# ").partition("\n")
    assert code in (REPOSITORY / name).read_text(encoding="utf-8")


def test_the_first_page_is_short() -> None:
    assert (REPOSITORY / "README.md").read_text(encoding="utf-8").count("\n") <= 150


def test_each_document_is_on_the_site() -> None:
    index = (REPOSITORY / "docs" / "index.md").read_text(encoding="utf-8")
    listed = {line for block in re.findall(r"```{toctree}\n(.*?)```", index, re.S) for line in block.splitlines()}
    pages = {path.stem for path in (REPOSITORY / "docs").glob("*.md")} - {"index"}
    assert pages <= listed
