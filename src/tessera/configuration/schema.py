"""Print the JSON schema of the configuration, with which editors complete and check settings: `make docs` writes it."""

import ast
import inspect
import json
import re
import textwrap
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from tessera.configuration.read import Configuration
from tessera.configuration.sections import model_in


@cache
def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return the description of each field of `model`: the docstring below the field, or that of its `Field`.

    Pydantic can read docstrings too, but only when a class is made, which would cost each job half a second.
    """
    found = {name: field.description for name, field in model.model_fields.items() if field.description}
    for base in reversed(model.__mro__):
        if base not in {object, BaseModel} and issubclass(base, BaseModel):
            found |= _docstrings(base)
    return found


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings below the fields that the class `model` itself states. A generated class has none."""
    try:
        source = inspect.getsource(model)
    except OSError:
        return {}
    (statement,) = ast.parse(textwrap.dedent(source)).body
    found = {}
    for field, after in pairwise(getattr(statement, "body", [])):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            found[field.target.id] = inspect.cleandoc(ast.literal_eval(after.value)).strip()
    return found


def _of_examples(model: type[BaseModel], known: set[Any]) -> dict[tuple[type[BaseModel], str], str]:
    """Return the comments on settings in the examples of `model` and of the models in it, by the model and its field.

    Models that are `known` are left out, because a model may contain itself.
    """
    known.add(model)
    found: dict[tuple[type[BaseModel], str], str] = {}
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        found |= _of_examples(inner, known) if inner and inner not in known else {}
        within: list[tuple[int, type[BaseModel] | None]] = [
            (-1, inner)
        ]  # the indentation of each key around a line, and the model of its value
        for line in descriptions(model).get(name, "").partition("example:\n")[2].splitlines():
            if key := re.match(r"(?P<indent>[ -]*)(?P<name>\w+):(?: *(?P<value>.*?)  +# (?P<text>.+))?", line):
                within = [each for each in within if each[0] < len(key["indent"])]
                around = within[-1][1]
                if around and key["name"] in around.model_fields:
                    if key["text"]:
                        # Such as `content: adult  # or general`.
                        found[around, key["name"]] = f"{key['value']} " * key["text"].startswith("or ") + key["text"]
                    around = model_in(around.model_fields[key["name"]].annotation)
                within.append((len(key["indent"]), around))
    return found


def make_schema() -> dict[str, Any]:
    """Return the JSON schema of `Configuration`, with the descriptions. All settings are optional.

    The settings of sets, classifiers and the like are described in the examples of their lists.
    """
    examples = _of_examples(Configuration, set())

    class Documented(GenerateJsonSchema):
        def model_schema(self, schema: Any) -> dict[str, Any]:
            made = super().model_schema(schema)
            bases = reversed(schema["cls"].__mro__)
            described = {name: text for base in bases for (model, name), text in examples.items() if model is base}
            described |= descriptions(schema["cls"])
            for name, field in made["properties"].items():
                field.pop("title", None)
                # The settings of a section have defaults, so the section needs none.
                if "{" in str(field.get("default")):
                    field.pop("default")
                if name in described:
                    field["description"] = described[name]
            return made

    return Configuration.model_json_schema(schema_generator=Documented)


if __name__ == "__main__":
    print(json.dumps(make_schema(), indent=2, ensure_ascii=False))
