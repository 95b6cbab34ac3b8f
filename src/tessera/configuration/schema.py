"""Print the JSON schema of the configuration: `python -m tessera.configuration.schema config/config.yaml`.

Editors complete and check settings with it. It is made from the settings models. The description of each setting is its comment
in config/config.yaml.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from tessera.configuration.read import Configuration


class Setting(NamedTuple):
    """A field of a model. `argument`: a key in the field, if that is a free dictionary such as `training` of a detector."""

    model: type[BaseModel]
    field: str
    argument: str = ""


def read_comments(text: str) -> dict[Setting, str]:
    """Return the comment of each setting in `text`, a configuration in YAML.

    Sections may share a setting, such as `iou` of all detectors, which is a field of their common base model. The first comment
    on such a setting also appears under the base model, for the sections that have no comment of their own.
    """
    lines = text.splitlines()
    comments: dict[Setting, str] = {}

    def note(setting: Setting, key: yaml.Node) -> None:
        if comment := _comment(lines, key):
            comments.setdefault(setting, comment)
            comments.setdefault(_declared(setting), comment)

    def visit(node: yaml.Node | None, kind: Any) -> None:
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                visit(item, kind)
        elif isinstance(node, yaml.MappingNode) and (model := _model(kind)):
            for key, value in node.value:
                field = model.model_fields[key.value]
                note(Setting(model, key.value), key)
                visit(value, field.annotation)
                if isinstance(value, yaml.MappingNode) and not _model(field.annotation):
                    for inner, _ in value.value:
                        note(Setting(model, key.value, inner.value), inner)

    visit(yaml.compose(text, yaml.SafeLoader), Configuration)
    return comments


def make_schema(comments: Mapping[Setting, str]) -> dict[str, Any]:
    """Return the JSON schema of `Configuration` with `comments` as descriptions. All settings are optional."""

    class Documented(GenerateJsonSchema):
        def model_schema(self, schema: Any) -> dict[str, Any]:
            made = super().model_schema(schema)
            model = schema["cls"]
            for name, field in made["properties"].items():
                field.pop("title", None)
                # The settings of a section have defaults, so the section needs none.
                if "{" in str(field.get("default")):
                    field.pop("default")
                setting = Setting(model, name)
                shared = _declared(setting)
                if comment := comments.get(setting) or comments.get(shared):
                    field["description"] = comment
                arguments = {key.argument: text for key, text in comments.items() if key[:2] == shared[:2] and key.argument}
                if arguments:
                    field["properties"] = {argument: {"description": text} for argument, text in arguments.items()}
            return made

    return Configuration.model_json_schema(schema_generator=Documented)


def _comment(lines: list[str], key: yaml.Node) -> str:
    """Return the comment in the `lines` directly above `key`; empty if there is none.

    Lines are joined, except indented lines and list items, such as those of an example.
    """
    first = number = key.start_mark.line
    # Only a key that begins its line can have a comment. The dash of a list may precede it.
    if lines[number][: key.start_mark.column].strip(" -"):
        return ""
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    texts = [line.strip().removeprefix("#").removeprefix(" ") for line in lines[first:number]]
    return "".join(("\n" if text.startswith((" ", "- ")) else " ") + text for text in texts).strip()


def _model(kind: Any) -> type[BaseModel] | None:
    """Return the first model inside the type `kind`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next((model for part in get_args(kind) if (model := _model(part))), None)


def _declared(setting: Setting) -> Setting:
    """Return `setting` with the base of its model that defines the field."""
    bases = reversed(setting.model.__mro__)
    return setting._replace(model=next(base for base in bases if setting.field in getattr(base, "model_fields", {})))


if __name__ == "__main__":
    schema = make_schema(read_comments(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(json.dumps(schema, indent=2, ensure_ascii=False))
