"""The sources of a shard, their files, and what watches them."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from tessera.core.contents import contents_of
from tessera.core.files import file_name, files_of, is_plain_file, list_folder, size_of
from tessera.core.provenance import digest
from tessera.records.frame_keys import source_of
from tessera.records.manifest import ListedSource, Source, find_possible_copies, is_missing
from tessera.records.rights import missing_rights
from tessera.workflow.project import Project, Wildcards, require_sources_or_images


def change_stamp(project: Project, path: str) -> Any:
    """Return a value that changes with the footage at `path`; of a file, which is an input, it is the size."""
    footage = Path(path)
    if is_plain_file(footage):
        return size_of(footage)
    # Of files in a folder that are no pictures, only the names matter.
    listing = list_folder(footage, subfolders=project.config["sources"]["subfolders"], below=False)
    files = [footage / name for name in listing.pictures] or files_of(footage)
    return digest([contents_of(files), *listing.others])


@cache
def possible_copies(project: Project) -> dict[str, list[Source]]:
    """Return the earlier sources that may be the same file, by source id. They are computed only if a job needs them."""
    return find_possible_copies(project.rows, subfolders=project.config["sources"]["subfolders"])


def starter_videos(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the sources that are rendered for the starter models."""
    return [source.path for source in project.sources if source.path.startswith("resources/starter/")]


@cache
def missing_sources(project: Project) -> dict[str, ListedSource]:
    """Return the sources whose footage is missing, by id. Those without rights are left out, because they are never read."""
    return {source.source: source for source in project.sources if not missing_rights(source) and is_missing(source)}


def shard_rows(project: Project, wildcards: Wildcards) -> list[dict[str, Any]]:
    """Return the sources of a shard, each with the ids and paths of the earlier sources that may be the same file.

    `watched` changes with the footage of all of them. Rows whose footage is missing have `missing`, the setting of this.
    What a source is free of is left out, because no sample depends on it.
    """
    columns = set(Source.model_fields)
    rows = []
    for source in project.shards[wildcards.shard]:
        copies = possible_copies(project).get(source.source, [])
        rows.append(
            {
                **source.model_dump(mode="json", include=columns),
                "earlier": [[other.source, other.path] for other in copies],
                "watched": [change_stamp(project, same.path) for same in [source, *copies]],
                **({"missing": project.config["missing_sources"]} if source.source in missing_sources(project) else {}),
            }
        )
    return rows


def source_order(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the ids of all sources, sorted."""
    return [source.source for source in project.sources]


def gathered_sources(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the ids of all sources, sorted, if there is anything to make.

    An input function could not check this: with results that need its job, Snakemake hides its errors.
    """
    require_sources_or_images(project, wildcards)
    return source_order(project, wildcards)


def _inputs(sources: Iterable[Source]) -> list[str]:
    """Return the files of `sources` that can be inputs. `shard_rows` watches folders and all other paths."""
    return sorted({source.path for source in sources if is_plain_file(Path(source.path))})


def shard_files(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the files that are inputs of a shard."""
    return _inputs(project.shards[wildcards.shard])


def compared_files(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the files that are read to admit the sources of a shard: its own, and earlier ones that may be the same."""
    sources = project.shards[wildcards.shard]
    return _inputs([*sources, *(other for source in sources for other in possible_copies(project).get(source.source, []))])


def names_in_shard(project: Project, shard: str) -> set[str]:
    """Return the names of the sources of `shard` in the keys of frames."""
    return {file_name(source.source) for source in project.shards[shard]}


def moved_keys_of_shard(project: Project, wildcards: Wildcards) -> dict[str, str]:
    """Return what the keys of pictures in the folders of a shard became, by the former key."""
    names = names_in_shard(project, wildcards.shard)
    return {key: now for key, now in project.decisions.moved_keys.items() if source_of(key) in names}
