"""Add a video to the manifest of a project, so that it is restored: what `make restore` does first."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from tessera.catalogue import all_datasets, all_models
from tessera.configuration.read import FILE, load_configuration, read_settings
from tessera.core.errors import Dropped, TesseraError
from tessera.core.files import file_name
from tessera.core.settings import complaint
from tessera.records.decision_log import append_row
from tessera.records.manifest import IS_RESULT, RESTORE, ListedSource, path_hints, read_manifest, results_among
from tessera.records.rights import check_rights

EXAMPLE = 'make restore VIDEO=film.mp4 CONTENT=general RIGHTS="my own"'
REQUIRED = ("video", "content", "rights")
STATED = ("content", "rights", "consent", "adults_verified")  # columns of the manifest


def add_video(project: Path, video: Path, stated: dict[str, str], source: str = "") -> bool:
    """Add the row of `video` to the manifest of the folder `project`; return False if it is there already.

    `stated`: the columns `STATED`. `source`: its id, by default the name of the file without its suffix. The working folder
    becomes `project`. Raises `TesseraError` if the video would be refused, if it is in another row, or if another source has
    its id.
    """
    row = _row(project, video, stated, source)
    try:
        check_rights(row)
    except Dropped as refused:
        raise TesseraError(f"{row.source!r} is refused: {refused.reason}: {refused.detail}") from None
    os.chdir(project)
    config = load_configuration(read_settings(FILE), [FILE]) if FILE.exists() else load_configuration({})
    manifest = Path(config["manifest"])
    listed = read_manifest(
        manifest,
        [dataset.name for dataset in all_datasets(config)],
        [model.finds for model in all_models(config) if model.finds],
    )
    for other in listed:
        is_same_file = os.path.realpath(other.path) == os.path.realpath(row.path)
        # Some file systems ignore case.
        if file_name(other.source).casefold() == file_name(row.source).casefold():
            differing = [name for name in STATED if getattr(other, name) != getattr(row, name)]
            differing += ["path"] * (not is_same_file) + ["use"] * (RESTORE not in other.use)
            if not differing:
                return False
            raise TesseraError(
                f"{manifest}: there is a source {other.source!r} with another {' and '.join(differing)}; change its row,"
                ' or give this one a name of its own: SOURCE="…"'
            )
        if is_same_file:
            raise TesseraError(
                f"{manifest}: {row.path} is the source {other.source!r} already; write `{RESTORE}` into the column `use` of"
                " its row"
            )
    values = {"source": row.source, "path": row.path, **stated, "use": RESTORE}
    try:
        append_row(manifest, values, list(ListedSource.model_fields))
    except OSError as error:
        raise TesseraError(
            f"{manifest}: the row cannot be written ({error.strerror}); free disk space or change permissions"
        ) from None
    return True


def _row(project: Path, video: Path, stated: dict[str, str], source: str) -> ListedSource:
    """Return the row of `video`. Raises `TesseraError` if it is no file, or if a value is not allowed."""
    path, folder = (Path(os.path.abspath(each)) for each in (video.expanduser(), project))  # noqa: PTH100 (links are kept)
    if not folder.is_dir():
        raise TesseraError(f"PROJECT: {str(project)!r} is no folder; name that of your project")
    if not path.is_file():
        absent = f"does not exist in {Path.cwd()}; correct the path{path_hints(str(video))}"
        reason = "is a folder; name one video in it" if path.is_dir() else absent
        raise TesseraError(f"VIDEO: {str(video)!r} {reason}")
    if results_among([str(path)], folder / "results"):
        raise TesseraError(f"VIDEO: {str(video)!r} {IS_RESULT}")
    if path.is_relative_to(folder):
        path = path.relative_to(folder)
    try:
        str(path).encode()
        return ListedSource(source=source or path.stem, path=str(path), use=(RESTORE,), **stated)
    except UnicodeEncodeError:
        raise TesseraError(f"VIDEO: the name of {str(video)!r} is not UTF-8; rename the file") from None
    except ValidationError as error:
        fault, *_ = error.errors(include_url=False)
        name = str(fault["loc"][0])
        raise TesseraError(f"{name.upper()}: {complaint(fault)}; given: {fault['input']!r}") from None


def main(arguments: Sequence[str]) -> None:
    """Add the video in the command line `arguments`. Ends the process with one line if that is not possible."""
    parser = argparse.ArgumentParser("python -m tessera.workflow.add_video", description=__doc__, allow_abbrev=False)
    parser.add_argument("--project", default=".", help="folder of the project")
    for name in ("video", *STATED, "source"):
        parser.add_argument(f"--{name.replace('_', '-')}", default="")
    given = {name: value.strip() for name, value in vars(parser.parse_args(arguments)).items()}
    try:
        if missing := [name.upper() for name in REQUIRED if not given[name]]:
            raise TesseraError(
                f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: write, for example, {EXAMPLE}"
            )
        is_new = add_video(
            Path(given["project"]), Path(given["video"]), {name: given[name] for name in STATED}, given["source"]
        )
    except TesseraError as error:
        sys.exit(str(error))
    print(f"{given['video']}: {'added to' if is_new else 'is already in'} the manifest")


if __name__ == "__main__":
    main(sys.argv[1:])
