"""The base of all tables: a schema, which is checked when a table is written and when it is read."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandera.polars as pa
import polars as pl

from tessera.core.errors import TesseraError


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
    schema.validate(frame.select(list(types(schema))), lazy=True).write_parquet(content, compression="zstd", statistics=False)
    # Not written by polars, which does not distinguish a full disk from other errors.
    path.write_bytes(content.getbuffer())


def read_table(path: Path, schema: type[Table], without: Sequence[str] = ()) -> pl.DataFrame:
    """Return the table at `path` without the columns in `without`. Raises `TesseraError` if it violates `schema`."""
    with _checked(path, schema):
        columns = [name for name in types(schema) if name not in without] if without else None
        if without:
            schema.validate(pl.read_parquet(path, n_rows=0), lazy=True)
        return schema.to_schema().remove_columns(list(without)).validate(pl.read_parquet(path, columns=columns), lazy=True)


def read_columns(path: Path, schema: type[Table]) -> pl.DataFrame:
    """Return the columns in `schema` of the table at `path`. Raises `TesseraError` if they violate `schema`."""
    with _checked(path, schema):
        return schema.validate(pl.read_parquet(path, columns=list(types(schema))), lazy=True)


@contextmanager
def _checked(path: Path, schema: type[Table]) -> Iterator[None]:
    try:
        yield
    except (pa.errors.SchemaErrors, pl.exceptions.PolarsError) as error:
        raise TesseraError(f"{path} is not a table of {schema.__name__}: {error}; delete it and run again") from error


def read_tables(paths: list[Path], schema: type[Table]) -> pl.DataFrame:
    """Return the rows of all tables at `paths`, in the order of `paths`."""
    return pl.concat([pl.DataFrame(schema=types(schema)), *(read_table(path, schema) for path in paths)])
