"""Print the page of all settings with their defaults and descriptions, in Markdown: `make docs` writes it."""

import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from tessera.configuration.read import Configuration
from tessera.configuration.schema import descriptions
from tessera.configuration.sections import model_in
from tessera.learning.detection.settings import InferenceSettings, RuntimeSettings

INTRODUCTION = """\
# Settings

All settings, with their defaults. Write those that you change into `config/config.yaml` of your project: a section there has
only the keys that differ. `python -m tessera.configuration` checks the file without a run.

This page is made from the models of the settings by `make docs`.
"""
WIDTH = 100


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
        sections.append(f"\n## {name}\n\n{prose}```yaml\n" + "\n".join(lines) + "\n```\n")
    return INTRODUCTION + "".join(sections)


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
