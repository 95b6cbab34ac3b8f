"""Print the page of all settings with their defaults and descriptions, in Markdown: `make docs` writes it."""

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
ENTRY, PARTS = "portraits", "If there is such a part, these are its defaults:"
DETAILS: dict[str, dict[str, type[BaseModel]]] = {
    "image_sets": {"captions": CaptionSettings, "arrangement": ArrangementSettings}
}


def make_page() -> str:
    """Return the page: a heading for each section, and below it the section in YAML, with the descriptions as comments."""
    defaults = Configuration().model_dump(mode="json")
    texts, described = descriptions(Configuration), set[object]()
    sections = []
    for name, field in Configuration.model_fields.items():
        # A page shows sentences better than comments, and examples better in the block.
        has_example = "example:" in texts[name]
        prose = "" if has_example else " ".join(texts[name].split()) + "\n\n"
        lines = [
            *(_comment(texts[name], "") if has_example else ()),
            *_setting(name, defaults[name], field.annotation, "", described),
        ]
        sections.append(f"\n## {name}\n\n{prose}{_block(lines)}")
        if name in DETAILS:
            inner = [line for key in DETAILS[name].items() for line in _details(*key, described)]
            sections.append(f"\n{PARTS}\n\n{_block([f'{name}:', f'  {ENTRY}:', *inner])}")
    return INTRODUCTION + "".join(sections)


def _block(lines: Iterable[str]) -> str:
    return "```yaml\n" + "\n".join(lines) + "\n```\n"


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
        texts, new = descriptions(model), [key for key in value if _field(model, key) not in described]
        if new:
            yield f"{indent}{name}:"
            for key, inner in value.items():
                if key in new:
                    described.add(_field(model, key))
                    yield from _comment(texts.get(key, ""), indent + "  ")
                yield from _setting(key, inner, model.model_fields[key].annotation, indent + "  ", described)
            return
    line = f"{indent}{name}: {_yaml(value, flow=True)}"
    if len(line) <= WIDTH:
        yield line
    else:
        yield f"{indent}{name}:"
        yield from textwrap.indent(_yaml(value, flow=False), indent + "  ").splitlines()


def _field(model: type[BaseModel], name: str) -> tuple[type[BaseModel], str]:
    """Return `name` with the first base of `model` that states the field, for models that share it."""
    return next(base for base in reversed(model.__mro__) if name in getattr(base, "model_fields", {})), name


def _yaml(value: Any, *, flow: bool) -> str:
    if isinstance(value, Mapping | list):
        return yaml.safe_dump(value, default_flow_style=flow or None, sort_keys=False, allow_unicode=True, width=WIDTH).strip()
    return yaml.safe_dump(value, width=10**6, allow_unicode=True).removesuffix("\n").removesuffix("\n...")


def _comment(text: str, indent: str) -> Iterator[str]:
    """Yield `text` as lines of a comment, those of an example as they are."""
    prose, mark, example = text.partition("example:\n")
    lines = textwrap.wrap(
        " ".join((prose + mark).split()), WIDTH - len(indent) - 2, break_on_hyphens=False, break_long_words=False
    )
    for line in [*lines, *example.splitlines()]:
        yield f"{indent}# {line}".rstrip()


if __name__ == "__main__":
    sys.stdout.write(make_page())
