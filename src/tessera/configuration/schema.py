"""Print the JSON schema of the configuration, with which editors complete and check settings: `make docs` writes it."""

import ast
import inspect
import json
import textwrap
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from tessera.configuration.read import Configuration
from tessera.learning.weights.declare import WeightsSettings
from tessera.learning.weights.known import STARTER, PackagedWeights, known_weights


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


def _with_packages(weights: dict[str, Any]) -> dict[str, Any]:
    """Return the schema `weights`, of weights that have a source, with those of a package beside them."""
    source, *others = weights["required"]
    package = {name: {"type": "string", "description": text} for name, text in descriptions(PackagedWeights).items()}
    others_of = {name: field for name, field in weights["properties"].items() if name != source}
    of_package = {**weights, "properties": {**package, **others_of}, "required": [*package, *others]}
    return {
        "anyOf": [weights, of_package, {"enum": [STARTER, *known_weights()], "description": "A name in resources/weights.tsv."}]
    }


def make_schema() -> dict[str, Any]:
    """Return the JSON schema of `Configuration`, with the descriptions. All settings are optional."""

    class Documented(GenerateJsonSchema):
        def model_schema(self, schema: Any) -> dict[str, Any]:
            made = super().model_schema(schema)
            described = descriptions(schema["cls"])
            for name, field in made["properties"].items():
                field.pop("title", None)
                # The settings of a section have defaults, so the section needs none.
                if "{" in str(field.get("default")):
                    field.pop("default")
                if name in described:
                    field["description"] = described[name]
            return _with_packages(made) if issubclass(schema["cls"], WeightsSettings) else made

    return Configuration.model_json_schema(schema_generator=Documented)


if __name__ == "__main__":
    print(json.dumps(make_schema(), indent=2, ensure_ascii=False))
