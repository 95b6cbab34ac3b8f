"""The base of all tables: a schema, which is checked when a table is written and when it is read."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandera.polars as pa
import polars as pl

from tessera.core.errors import TesseraError

# What the checks of pandera ask of the values of a column.
CHECKS: dict[str, Callable[..., pl.Expr]] = {
    "greater_than": pl.Expr.gt,
    "greater_than_or_equal_to": pl.Expr.ge,
    "less_than": pl.Expr.lt,
    "less_than_or_equal_to": pl.Expr.le,
    "isin": pl.Expr.is_in,
}


class Table(pa.DataFrameModel):
    """Base of all tables: exactly the columns of the schema, in its order and types."""

    class Config:
        strict = True
        ordered = True


def types(schema: type[Table]) -> dict[str, pl.DataType]:
    """Return the types of the columns in `schema` by name, for `polars.DataFrame(rows, schema=…)`."""
    return {name: column.dtype.type for name, column in schema.to_schema().columns.items()}


def write_table(frame: pl.DataFrame, schema: type[Table], path: Path) -> None:
    """Write `frame` to the Parquet file `path`, with its columns in the order of `schema`.

    Raises `pandera.errors.SchemaErrors` if `frame` violates the schema.
    """
    content = io.BytesIO()
    _validated(frame.select(list(types(schema))), schema.to_schema()).write_parquet(
        content, compression="zstd", statistics=False
    )
    # Not written by polars, which does not distinguish a full disk from other errors.
    path.write_bytes(content.getbuffer())


def read_table(path: Path, schema: type[Table], without: Sequence[str] = ()) -> pl.DataFrame:
    """Return the table at `path` without the columns in `without`. Raises `TesseraError` if it violates `schema`."""
    with _checked(path, schema):
        columns = [name for name in types(schema) if name not in without] if without else None
        if without:
            schema.validate(pl.read_parquet(path, n_rows=0), lazy=True)
        rest = schema.to_schema().remove_columns(list(without)) if without else schema.to_schema()
        return _validated(pl.read_parquet(path, columns=columns), rest)


def read_quickly(path: Path, schema: type[Table]) -> pl.DataFrame:
    """Return the table at `path`. Only its columns and their types are checked, which takes little time and memory.

    Raises `TesseraError` if these are not as in `schema`.
    """
    with _checked(path, schema):
        return _typed(pl.read_parquet(path), schema)


def read_rows(path: Path, schema: type[Table], key: str) -> pl.DataFrame:
    """Return the rows with this `key` of the table at `path`, without reading all others into memory.

    Raises `TesseraError` if its columns are not as in `schema`.
    """
    with _checked(path, schema):
        return _typed(pl.scan_parquet(path).filter(pl.col("key") == key).collect(), schema)


def read_columns(path: Path, schema: type[Table]) -> pl.DataFrame:
    """Return the columns in `schema` of the table at `path`. Raises `TesseraError` if they violate `schema`."""
    with _checked(path, schema):
        return _validated(pl.read_parquet(path, columns=list(types(schema))), schema.to_schema())


def _typed(frame: pl.DataFrame, schema: type[Table]) -> pl.DataFrame:
    if dict(frame.schema) != types(schema):
        raise pl.exceptions.SchemaError("its columns differ")
    return frame


def _validated(frame: pl.DataFrame, schema: pa.DataFrameSchema) -> pl.DataFrame:
    """Return `frame`. Raises `pandera.errors.SchemaErrors` if it violates `schema`."""
    return frame if _is_valid(frame, schema) else schema.validate(frame, lazy=True)


def _is_valid(frame: pl.DataFrame, schema: pa.DataFrameSchema) -> bool:
    """Return whether `frame` has all that `schema` asks for; False also if only pandera can check it.

    One query answers it, and those of pandera, of which there are one or more for each column, only say what is wrong.
    """
    if schema.checks or list(frame.schema.items()) != [(name, each.dtype.type) for name, each in schema.columns.items()]:
        return False
    rules = [pl.lit(True)]
    for name, column in schema.columns.items():
        values = pl.col(name)
        rules += [] if column.nullable else [values.is_not_null()]
        rules += [values.is_not_nan()] if not column.nullable and frame.schema[name].is_float() else []
        rules += [values.is_unique()] if column.unique else []
        for check in column.checks:
            if check.name not in CHECKS:
                return False
            rules.append(CHECKS[check.name](values, *check.statistics.values()))
    if schema.unique and not _ascends(frame, schema.unique):
        if not set(schema.unique) <= set(frame.columns):
            return False
        rules.append(pl.struct(schema.unique).is_unique())
    # As in pandera, no check concerns a null.
    return bool(frame.select(pl.all_horizontal(rule.all() for rule in rules)).item())


def _ascends(frame: pl.DataFrame, columns: Sequence[str]) -> bool:
    """Return whether each row of `frame` comes after the one before it, in the order of `columns`; False if one is missing."""
    if not set(columns) <= set(frame.columns):
        return False
    later = pl.lit(False)
    for name in reversed(columns):
        before = pl.col(name).shift()
        later = (pl.col(name) > before) | ((pl.col(name) == before) & later)
    # Nothing compares with a null; the search for equal rows decides then.
    return bool(frame.lazy().select(later.slice(1).fill_null(False).all()).collect().item())


@contextmanager
def _checked(path: Path, schema: type[Table]) -> Iterator[None]:
    try:
        yield
    except (pa.errors.SchemaErrors, pl.exceptions.PolarsError) as error:
        raise TesseraError(f"{path} is not a table of {schema.__name__}: {error}; delete it and run again") from error


def read_tables(paths: list[Path], schema: type[Table]) -> pl.DataFrame:
    """Return the rows of all tables at `paths`, in the order of `paths`."""
    return pl.concat([pl.DataFrame(schema=types(schema)), *(read_table(path, schema) for path in paths)])
