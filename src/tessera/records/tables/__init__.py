"""The tables that stages exchange: one schema each, which describes every column with its unit."""

import sys
from importlib.abc import MetaPathFinder


class _WithoutPandas(MetaPathFinder):
    """Hides pandas from pandera, and from nobody else.

    pandera imports it wherever it is installed, which takes each job a third of a second. Our tables are of polars.
    dataframely 3.1 needs no pandas, but imports SQLAlchemy wherever it is installed, as here by Optuna. That takes three times
    as long as pandera without pandas, and it has no Float16, which vectors are.
    """

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        is_first = fullname == "pandas" and "pandera" in sys.modules and "pandera.polars" not in sys.modules
        # With the first check of a table, pandera tries once more, by this module.
        if is_first or (fullname == "pandera.api.pandas.types" and "pandas" not in sys.modules):
            # pandera reads these words as: do without.
            raise ModuleNotFoundError("No module named 'pandas'", name="pandas")


# Here, because only the modules of this package import pandera.
sys.meta_path.insert(0, _WithoutPandas())
