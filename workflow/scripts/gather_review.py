"""Gather what people are asked to decide on."""

from itertools import chain
from pathlib import Path

from tessera.core.job import job
from tessera.pages.review.gather import gather
from tessera.pages.review.queues.asked import Answers, find_asked
from tessera.pages.review.queues.clips import ClipFolder, find_clips
from tessera.pages.review.queues.faces import FaceSetFiles, find_faces
from tessera.pages.review.queues.frames import FrameFolder, find_frames, find_regions
from tessera.pages.review.queues.identities import find_identities
from tessera.pages.review.queues.labels import Checked, find_labels
from tessera.pages.review.queues.pairs import find_pairs
from tessera.records.confidence import with_confidences
from tessera.records.limits import FilterSettings

with job(snakemake) as (inputs, outputs, params):
    measured = {"targets": params.targets, "measured": inputs.measured}
    scenes = with_confidences(settings=params.scenes, part="scenes", **measured)
    choose = with_confidences(settings=params.choose, part="regions.choose", **measured)
    frames = [
        FrameFolder(
            frames=table,
            images=images,
            seen={path.stem: path for path in inputs.regions if path.parent == verdicts.parent},
            verdicts=verdicts,
            labels=labels,
        )
        for table, images, verdicts, labels in zip(
            inputs.frames,
            inputs.frame_images,
            inputs.verdicts,
            inputs.frame_labels or [None] * len(inputs.verdicts),
            strict=False,
        )
    ]
    queues = [
        find_clips(
            folders=list(map(ClipFolder, inputs.clips, inputs.clip_scores, inputs.clip_images, inputs.clip_masks)),
            classified={
                name: [path for path in inputs.classified if path.stem == name] for name in params.filters["classifiers"]
            },
            selections=inputs.selections,
            settings=FilterSettings(**params.filters),
            confidence=scenes["choose"]["confidence"],
        ),
        find_frames(
            folders=frames,
            detector=params.detector,
            free=params.free,
            selections=inputs.labelled,
            confidence=choose["confidence"].get(params.detector),
        ),
        find_regions(folders=frames, confidences=choose["confidence"]),
        find_labels(
            checked=dict(
                zip(params.checked, map(Checked, inputs.errors, inputs.error_pictures, inputs.error_images), strict=True)
            )
        ),
    ]
    if inputs.duplicates:
        queues.append(
            find_pairs(
                duplicates=inputs.duplicates,
                embedded={path.parent.name: path for path in inputs.near_duplicates},
                frames=inputs.frames,
                frame_images=inputs.frame_images,
                labelled=inputs.images,
                selections={path.parent.name: path for path in inputs.without_duplicates},
                distance=params.distance,
            )
        )
    if params.answers:
        answers = Answers(**{**params.answers, "folder": Path(params.answers["folder"])})
        queues.append(
            find_asked(answers=answers, frames=inputs.frames, frame_images=inputs.frame_images, labels=inputs.asked or None)
        )
    if inputs.identities:
        queues.append(find_identities(identities=inputs.identities, embeddings=inputs.crops, crops=inputs.crop_tables))
    selections = {path.parent.name: path for path in inputs.face_selections}
    distances = {path.parent.name: path for path in inputs.face_distances}
    queues.append(
        find_faces(
            sets={
                path.parent.name: FaceSetFiles(
                    tables=[table for table in inputs.faces if table.parent.name == path.parent.name],
                    folders=[folder for folder in inputs.face_images if folder.parent.name == path.parent.name],
                    orders=path,
                    selection=selections[path.parent.name],
                    distances=distances.get(path.parent.name),
                )
                for path in inputs.face_orders
            }
        )
    )
    gather(
        items=chain.from_iterable(queues),
        sources=inputs.sources,
        splits=inputs.splits or None,
        sets=params.sets,
        blur=params.blur,
        page=params.page,
        **vars(outputs),
    )
