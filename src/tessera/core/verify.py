"""Find outputs that were lost or changed after a job wrote them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.core.messages import Message, pluralize, truncate
from tessera.core.progress import progress
from tessera.core.provenance import sha256_file

SHOWN = 5  # faults of an output that a message lists


def verify_outputs(records: Path, expected: Mapping[Path, Sequence[Path]]) -> None:
    """Compare all outputs with what the jobs wrote, as the files of `record_outputs` in the folder `records` and below say.

    `expected`: the outputs that people use, by the file that is written after them; they should exist if that one does. Others
    that are missing as a whole are left out: Snakemake makes them when it needs them. So are files that were added. Raises
    `TesseraError` that names every output that is missing, or with a file that is missing or differs, and the fix.
    """
    # Where two records have the same output, because a rule was renamed, the newer one is true.
    files = sorted(records.glob("**/*.json"), key=lambda path: path.stat().st_mtime_ns)
    written = {output: names for file in files for output, names in _read(file).items()}
    present = {Path(output): names for output, names in sorted(written.items()) if Path(output).exists()}
    faults_by_output = {output: _faults(output, names) for output, names in progress(list(present.items()), unit="outputs")}
    faulty = {output: faults for output, faults in faults_by_output.items() if faults}
    lost = [output for last, outputs in expected.items() if last.exists() for output in outputs if not output.exists()]
    faulty |= {output: ["it is missing"] for output in lost}
    if faulty:
        lines = "\n".join(f"  {output}: {', '.join(truncate(faults, SHOWN))}" for output, faults in faulty.items())
        raise TesseraError(
            f"{len(faulty)} of {pluralize(len(present) + len(lost), 'outputs')} differ from what the jobs wrote:\n{lines}\n"
            f"make them again: add `--forcerun {' '.join(map(str, faulty))}` to your next run"
        )
    count = sum(map(len, present.values()))
    tell(f"verified {pluralize(len(present), 'outputs')} with {pluralize(count, 'files')}: all as the jobs wrote them")


def _read(file: Path) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {output: dict(names) for output, names in content.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise TesseraError(f"{file} is damaged ({error}); delete it: what this job wrote is then not verified") from error


def _faults(output: Path, names: dict[str, str]) -> list[str]:
    faults: list[Message] = []
    for name, expected in names.items():
        file = output / name
        if not file.is_file():
            faults.append(f"{name!r} is missing")
        elif sha256_file(file) != expected:
            faults.append("it was changed" if name == "." else f"{name!r} was changed")
    return faults
