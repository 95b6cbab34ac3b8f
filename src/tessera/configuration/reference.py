"""Print the page of all settings with their defaults and descriptions, in Markdown: `make docs` writes it."""

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from tessera.configuration.read import Configuration
from tessera.configuration.schema import descriptions
from tessera.configuration.sections import model_in
from tessera.extras.image_sets.arrangement_settings import ArrangementSettings
from tessera.extras.image_sets.caption_settings import CaptionSettings
from tessera.learning.detection.settings import InferenceSettings, RuntimeSettings

INTRODUCTION = """\
# Settings

All settings, with their defaults. Write those that you change into `config/config.yaml` of your project: a section there has
only the keys that differ. `python -m tessera.configuration` checks the file without a run.

This page is made from the models of the settings by `make docs`.
"""
WIDTH = 86  # fits the site at any width of a window that shows both sidebars
# Settings of the entries of a section that its example does not list.
EXAMPLE = "For example:"
ENTRY, PARTS = "portraits", "If there is such a part, these are its defaults:"
DETAILS: dict[str, dict[str, type[BaseModel]]] = {
    "image_sets": {"captions": CaptionSettings, "arrangement": ArrangementSettings}
}


def make_page() -> str:
    """Return the page: a heading for each section, its description, the section in YAML, and examples of its lists and maps."""
    defaults = Configuration().model_dump(mode="json")
    texts, described = descriptions(Configuration), set[object]()
    sections = {}
    for name, field in Configuration.model_fields.items():
        prose, _ = _parts(texts[name])
        block = _block(_setting(name, defaults[name], field.annotation, "", described))
        sections[name] = f"\n## {name}\n\n{prose}\n\n{block}"
    # After all defaults, beside which the settings that sections share are described.
    for name in sections:
        for lines in _examples(name, described):
            sections[name] += f"\n{EXAMPLE}\n\n{_block(lines)}"
        if name in DETAILS:
            inner = [line for key in DETAILS[name].items() for line in _details(*key, described)]
            sections[name] += f"\n{PARTS}\n\n{_block([f'{name}:', f'  {ENTRY}:', *inner])}"
    return INTRODUCTION + "".join(sections.values())


def _block(lines: Iterable[str]) -> str:
    return "```yaml\n" + "\n".join(lines) + "\n```\n"


def _parts(text: str) -> tuple[str, str]:
    """Return the description in `text` as one line, and the example at its end; empty if there is none."""
    prose, _, example = text.partition("example:\n")
    return re.sub(r"[,.] [Ff]or$", ".", " ".join(prose.split())), textwrap.dedent(example)


def _examples(section: str, described: set[object]) -> Iterator[list[str]]:
    """Yield the lines of each example of the `section`, or of the settings in it."""
    model = model_in(Configuration.model_fields[section].annotation)
    texts = descriptions(model) if model else {}
    for name, text in {"": descriptions(Configuration)[section], **texts}.items():
        if example := _parts(text)[1]:
            around = model_in(model.model_fields[name].annotation) if model and name else model
            lines = textwrap.indent(example, "    " if name else "  ").splitlines()
            yield [f"{section}:", *([f"  {name}:"] if name else []), *_annotated(lines, around, described)]


def _annotated(lines: Iterable[str], model: type[BaseModel] | None, described: set[object]) -> Iterator[str]:
    """Yield `lines` of YAML inside a setting of `model`. Above a key that was not described before is its description."""
    # The indentation of each key around a line, and the model of its value.
    within: list[tuple[int, type[BaseModel] | None]] = [(-1, model)]
    for line in lines:
        if key := re.match(r"(?P<spaces> *)(?P<indent>[ -]*)(?P<name>\w+):", line):
            start = key.start("name")
            within = [each for each in within if each[0] < start]
            around = within[-1][1]
            if around and key["name"] in around.model_fields:
                yield from _description(around, key["name"], key["spaces"], described)
                around = model_in(around.model_fields[key["name"]].annotation)
            within.append((start, around))
        yield line


def _description(model: type[BaseModel], name: str, indent: str, described: set[object]) -> Iterator[str]:
    """Yield the description of the field `name` of `model` as lines of a comment, unless it was described before."""
    if _field(model, name) not in described:
        described.add(_field(model, name))
        prose, _ = _parts(descriptions(model).get(name, ""))
        width = WIDTH - len(indent) - 2
        for line in textwrap.wrap(prose, width, break_on_hyphens=False, break_long_words=False):
            yield f"{indent}# {line}"


def _details(name: str, model: type[BaseModel], described: set[object]) -> Iterator[str]:
    """Yield the lines of the settings `name` of an entry of a section, with their defaults."""
    yield from _setting(name, model().model_dump(mode="json"), model, "    ", described)


def _setting(name: str, value: Any, kind: Any, indent: str, described: set[object]) -> Iterator[str]:
    """Yield the lines of one setting. `described`: the fields that were described before, which gets those of this setting."""
    model = model_in(kind)
    if isinstance(value, dict) and model and value.keys() <= model.model_fields.keys():
        if issubclass(model, InferenceSettings):
            # They are described in the section `detection`.
            value = {key: inner for key, inner in value.items() if key not in RuntimeSettings.model_fields}
        if any(_field(model, key) not in described for key in value):
            yield f"{indent}{name}:"
            for key, inner in value.items():
                yield from _description(model, key, indent + "  ", described)
                yield from _setting(key, inner, model.model_fields[key].annotation, indent + "  ", described)
            return
    line = f"{indent}{name}: {_yaml(value, flow=True)}"
    if len(line) <= WIDTH:
        yield line
    else:
        yield f"{indent}{name}:"
        yield from _annotated(textwrap.indent(_yaml(value, flow=False), indent + "  ").splitlines(), model, described)


def _field(model: type[BaseModel], name: str) -> tuple[type[BaseModel], str, str]:
    """Return the first base of `model` that states the field `name`, and its name and description, for models that share it."""
    base = next(base for base in reversed(model.__mro__) if name in getattr(base, "model_fields", {}))
    return base, name, descriptions(model).get(name, "")


def _yaml(value: Any, *, flow: bool) -> str:
    if isinstance(value, Mapping | list):
        return yaml.safe_dump(value, default_flow_style=flow or None, sort_keys=False, allow_unicode=True, width=WIDTH).strip()
    return yaml.safe_dump(value, width=10**6, allow_unicode=True).removesuffix("\n").removesuffix("\n...")


if __name__ == "__main__":
    sys.stdout.write(make_page())
