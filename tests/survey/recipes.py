"""The test videos that a survey generates, and how FFmpeg writes each of them."""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from tessera.imaging.containers import CONTAINERS

FFMPEG = get_ffmpeg_exe()
S = "-f lavfi -t 2 -i testsrc2=s=96x64:r=24"  # a source of 48 frames, no two of which are equal
SHORT = "-f lavfi -t 0.5 -i testsrc2=s=96x64:r=24"
TONE = "-f lavfi -t 2 -i sine=r=44100"
X264 = "-c:v libx264 -bf 2 -g 12"
MPEG2 = "-c:v mpeg2video -bf 2 -g 12"
# What an encoder needs in order to accept the source.
NEEDS = {
    "h261": "-s 176x144",
    "h263": "-s 176x144",
    "h263p": "-s 176x144",
    "dvvideo": "-s 720x576 -r 25 -pix_fmt yuv420p",
    "dnxhd": "-s 256x128 -profile:v dnxhr_hq -pix_fmt yuv422p",
    "roqvideo": "-s 128x64",
    "libaom-av1": "-cpu-used 8",
    "librav1e": "-speed 10",
    "libsvtav1": "-preset 12",
    "libvvenc": "-preset faster",
    "amv": "-s 96x64 -strict -1",
}


@dataclass(frozen=True)
class Recipe:
    """How the file `name` is written: the `steps` one after the other, in a folder of their own.

    A step is the arguments of an FFmpeg command, which end with the name of the file that it writes, or a function that is
    called with the folder. The last one writes the file `name`.
    """

    name: str
    steps: tuple[str | Callable[[Path], None], ...]


def ffmpeg(*arguments: str, folder: Path | None = None) -> bytes:
    """Run FFmpeg in `folder`, and return its standard output. Raises `CalledProcessError` if it fails."""
    command = [FFMPEG, "-nostdin", "-hide_banner", "-v", "error", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120).stdout


def write(recipe: Recipe, folder: Path) -> None:
    """Write the file of `recipe` into the empty `folder`. Raises `CalledProcessError` if FFmpeg cannot write it."""
    for step in recipe.steps:
        if callable(step):
            step(folder)
        else:
            ffmpeg("-strict", "experimental", *shlex.split(step), folder=folder)


def recipes() -> Iterator[Recipe]:
    """Yield all recipes."""
    for make in (codecs, pixel_formats, structures, rates, wrong_stamps, shifted, joined, shapes, colours, tracks, damaged):
        yield from make()


@cache
def _listing(*arguments: str) -> str:
    return ffmpeg(*arguments).decode()


@cache
def encoders() -> list[str]:
    """Return the names of the video encoders, but for those that need a device."""
    names = re.findall(r"^ V\S+ (\S+)", _listing("-encoders").split("------")[1], re.MULTILINE)
    return [name for name in names if not re.search(r"_(nvenc|qsv|amf|vaapi|vulkan|v4l2m2m)$", name)]


@cache
def muxers() -> dict[str, str]:
    """Return the muxers of the containers that are admitted, and the suffix of their files."""
    admitted = set(CONTAINERS.split(","))
    demuxers = [names.split(",") for names in re.findall(r"^ +D\S* +(\S+)", _listing("-demuxers"), re.MULTILINE)]
    names = {name for names in demuxers if admitted & set(names) for name in names}
    found = {}
    for muxer in re.findall(r"^ +E\S* +(\S+)", _listing("-muxers"), re.MULTILINE):
        about = _listing("-h", f"muxer={muxer}")
        if muxer in names and "Default video codec" in about and (suffix := re.search(r"Common extensions: (\w+)", about)):
            found[muxer] = suffix[1]
    return found


def _encoded(encoder: str) -> str:
    return f"{SHORT} {NEEDS.get(encoder, '')} -c:v {encoder}"


def codecs() -> Iterator[Recipe]:
    """Each codec in each container."""
    for encoder in encoders():
        for muxer, suffix in muxers().items():
            name = f"codec-{encoder}-{muxer}.{suffix}"
            yield Recipe(name, (f"{_encoded(encoder)} -f {muxer} {name}",))


def pixel_formats() -> Iterator[Recipe]:
    """Each pixel format of each codec."""
    for encoder in encoders():
        stated = re.search(r"Supported pixel formats: (.*)", _listing("-h", f"encoder={encoder}"))
        every = re.findall(r"^IO...\s+(\S+)", _listing("-pix_fmts"), re.MULTILINE)
        for pixels in stated[1].split() if stated else every:
            name = f"pixels-{encoder}-{pixels}.nut"
            yield Recipe(name, (f"{_encoded(encoder)} -pix_fmt {pixels} {name}",))


def _files(group: str, encoded: dict[str, str]) -> Iterator[Recipe]:
    """Yield a recipe for each file name, which stands with the commands that write it, separated by semicolons."""
    for name, commands in encoded.items():
        yield Recipe(f"{group}-{name}", (*(part.strip() for part in f"{commands} {group}-{name}".split(";")),))


def structures() -> Iterator[Recipe]:
    """Groups of pictures, hidden frames and interlaced frames."""
    field = "-vf interlace -flags +ilme+ildct"
    yield from _files(
        "structure",
        {
            "no-b.mp4": f"{S} -c:v libx264 -bf 0",
            "pyramid.mp4": f"{S} -c:v libx264 -bf 8 -b_strategy 2 -x264-params b-pyramid=normal",
            "intra.mp4": f"{S} -c:v libx264 -g 1",
            "refresh.mp4": f"{S} -c:v libx264 -intra-refresh 1 -g 12",
            "refresh.ts": f"{S} -c:v libx264 -intra-refresh 1 -g 12",
            "slices.mp4": f"{S} {X264} -slices 4",
            "headers.mkv": f"{S} {X264} -x264-params repeat-headers=1:aud=1",
            "open.mp4": f"{S} -c:v libx264 -bf 3 -g 12 -x264-params open-gop=1",
            "open.ts": f"{S} -c:v libx264 -bf 3 -g 12 -x264-params open-gop=1",
            "open265.mp4": f"{S} -c:v libx265 -bf 3 -g 12 -x265-params log-level=none:open-gop=1",
            "open265.mkv": f"{S} -c:v libx265 -bf 3 -g 12 -x265-params log-level=none:open-gop=1",
            "short265.mp4": f"{S} -c:v libx265 -x265-params log-level=none:keyint=3",
            "open2.mpg": f"{S} -c:v mpeg2video -bf 2 -g 12 -flags -cgop",
            "closed2.mpg": f"{S} -c:v mpeg2video -bf 2 -g 12 -flags +cgop",
            "mpeg4-b.avi": f"{S} -c:v mpeg4 -bf 2 -g 12",
            "mpeg4-gmc.avi": f"{S} -c:v libxvid -bf 2 -gmc 1",
            "vp8-hidden.webm": f"{S} -c:v libvpx -auto-alt-ref 1 -lag-in-frames 16 -b:v 100k",
            "vp8-hidden.ivf": f"{S} -c:v libvpx -auto-alt-ref 1 -lag-in-frames 16 -b:v 100k",
            "vp9-hidden.webm": f"{S} -c:v libvpx-vp9 -auto-alt-ref 6 -lag-in-frames 25 -b:v 100k",
            "vp9-hidden.mp4": f"{S} -c:v libvpx-vp9 -auto-alt-ref 6 -lag-in-frames 25 -b:v 100k",
            "vp9-hidden.ivf": f"{S} -c:v libvpx-vp9 -auto-alt-ref 6 -lag-in-frames 25 -b:v 100k",
            "vp9-split.nut": f"{S} -c:v libvpx-vp9 -auto-alt-ref 6 -lag-in-frames 25 -b:v 100k a.webm; "
            "-i a.webm -c copy -bsf:v vp9_superframe_split",
            "vp9-split.mkv": f"{S} -c:v libvpx-vp9 -auto-alt-ref 6 -lag-in-frames 25 -b:v 100k a.webm; "
            "-i a.webm -c copy -bsf:v vp9_superframe_split",
            "vp9-profile3.mkv": f"{S} -c:v libvpx-vp9 -pix_fmt yuv444p12 -lag-in-frames 25 -b:v 100k",
            "vp9-resilient.webm": f"{S} -c:v libvpx-vp9 -error-resilient 1 -deadline realtime",
            "av1-hidden.mkv": f"{S} -c:v libaom-av1 -cpu-used 8 -lag-in-frames 25 -b:v 50k",
            "av1-hidden.mp4": f"{S} -c:v libaom-av1 -cpu-used 8 -lag-in-frames 25 -b:v 50k",
            "av1-hidden.ivf": f"{S} -c:v libaom-av1 -cpu-used 8 -lag-in-frames 25 -b:v 50k",
            "av1-split.nut": f"{S} -c:v libaom-av1 -cpu-used 8 -lag-in-frames 25 -b:v 50k a.mkv; "
            "-i a.mkv -c copy -bsf:v av1_frame_split",
            "av1-grain.mkv": f"{S} -c:v libsvtav1 -preset 12 -svtav1-params film-grain=20",
            "av1-still.mp4": f"{S} -c:v libaom-av1 -cpu-used 8 -frames:v 1 -still-picture 1",
            "tff.mp4": f"{S} {field} {X264}",
            "bff.mp4": f"{S} -vf interlace=scan=bff -flags +ilme+ildct {X264} -x264-params bff=1",
            "tff.mkv": f"{S} {field} {X264}",
            "tff2.ts": f"{S} {field} {MPEG2}",
            "bff2.mpg": f"{S} -vf interlace=scan=bff {MPEG2} -flags +ilme+ildct -field_order bb",
            "mpeg4-field.avi": f"{S} {field} -c:v mpeg4 -bf 2",
            "field265.mkv": f"{S} -c:v libx265 -x265-params log-level=none:interlace=tff:bframes=0",
            "prores-tff.mov": f"{S} {field} -c:v prores_ks",
            "ffv1-tff.mkv": f"{S} -vf interlace,setfield=tff -c:v ffv1 -field_order tt",
            "huffyuv-tff.avi": f"{S} {field} -c:v huffyuv -pix_fmt yuv422p",
            "dnxhd-tff.mov": "-f lavfi -t 0.2 -i testsrc2=s=1920x1080:r=25 -vf interlace -flags +ildct -c:v dnxhd -b:v 120M"
            " -pix_fmt yuv422p",
            "mjpeg-tff.avi": f"{S} -vf interlace,setfield=tff -c:v mjpeg -field_order tt -pix_fmt yuvj420p",
            "imx-d10.mxf": "-f lavfi -t 0.5 -i testsrc2=s=720x576:r=25 -c:v mpeg2video -pix_fmt yuv422p -b:v 50M -minrate 50M"
            " -maxrate 50M -bufsize 2M -g 1 -intra_vlc 1 -non_linear_quant 1 -flags +ildct+low_delay -f mxf_d10",
            "opatom.mxf": "-f lavfi -t 0.5 -i testsrc2=s=256x144:r=25 -c:v dnxhd -profile:v dnxhr_hq -pix_fmt yuv422p"
            " -f mxf_opatom",
            "telecine.mpg": f"{S} -vf telecine {MPEG2}",
            "vob.vob": f"{S} {MPEG2}",
            "dvd.mpg": f"{S} {MPEG2} -f dvd",
            "svcd.mpg": f"{S} {MPEG2} -f svcd",
            "vcd.mpg": f"{S} -c:v mpeg1video -bf 2 -f vcd",
            "m2ts.m2ts": f"{S} {X264} -mpegts_m2ts_mode 1",
            "fragments.mp4": f"{S} {X264} -movflags frag_keyframe+empty_moov+default_base_moof",
            "each-fragment.mp4": f"{S} {X264} -movflags frag_every_frame+empty_moov",
            "faststart.mp4": f"{S} {X264} -movflags faststart",
            "hybrid.mp4": f"{S} {X264} -movflags hybrid_fragmented",
            "smooth.ismv": f"{S} {X264} -f ismv",
            "psp.mp4": f"{S} {X264} -f psp",
            "f4v.f4v": f"{S} {X264} -f f4v",
            "ipod.m4v": f"{S} {X264} -f ipod",
            "live.webm": f"{S} -c:v libvpx -live 1",
            "no-cues.mkv": f"{S} {X264} -cues_to_front 1 -cluster_time_limit 100",
            "annexb.mkv": f"{S} {X264} -f h264 a.h264; -r 24 -i a.h264 -c copy",
            "raw.avi": f"{S} {X264} -bsf:v h264_mp4toannexb",
            "bgr24.avi": f"{SHORT} -c:v rawvideo -pix_fmt bgr24",
            "rle.avi": f"{SHORT} -c:v msrle -pix_fmt pal8",
            "loop.gif": f"{SHORT} -vf palettegen p.png; {SHORT} -i p.png -lavfi paletteuse",
            "transparent.gif": "-f lavfi -t 1 -i color=red@0.0:s=64x48:r=10,format=rgba -vf "
            "drawbox=x=n*3:w=20:h=20:color=blue:t=fill:replace=1",
            "one.gif": f"{S} -frames:v 1",
        },
    )


def rates() -> Iterator[Recipe]:
    """Constant and variable rates, in coarse and in fine time bases."""
    odd = "-vf select='not(mod(n,3))+not(mod(n,7))' -fps_mode vfr"
    dropped = "-vf select='not(between(n,10,19))' -fps_mode vfr"
    suffixes = ("mp4", "mov", "mkv", "ts", "flv", "asf", "nut", "avi")
    yield from _files("rate", {f"variable.{suffix}": f"{S} {odd} {X264}" for suffix in suffixes})
    yield from _files("rate", {f"variable-no-b.{suffix}": f"{S} {odd} -c:v libx264 -bf 0" for suffix in suffixes})
    yield from _files("rate", {f"dropped.{suffix}": f"{S} {dropped} {X264}" for suffix in suffixes})
    yield from _files(
        "rate",
        {
            "variable.webm": f"{S} {odd} -c:v libvpx-vp9 -b:v 200k",
            "variable.ogv": f"{S} {odd} -c:v libtheora",
            "variable.mpg": f"{S} {odd} {MPEG2}",
            "variable.gif": f"{S} {odd}",
            "dropped.ogv": f"{S} {dropped} -c:v libtheora",
            "dropped-mpeg4.avi": f"{S} {dropped} -c:v mpeg4 -bf 2",
            "dropped-mjpeg.avi": f"{S} {dropped} -c:v mjpeg -pix_fmt yuvj420p",
            "repeated.avi": "-f lavfi -t 1 -i testsrc2=s=96x64:r=12 -vf fps=24 -c:v mpeg4 -bf 2",
            "ntsc.mp4": f"-f lavfi -t 2 -i testsrc2=s=96x64:r=30000/1001 {X264}",
            "ntsc.mkv": f"-f lavfi -t 2 -i testsrc2=s=96x64:r=24000/1001 {X264}",
            "fast.mkv": f"-f lavfi -t 0.3 -i testsrc2=s=96x64:r=240 {X264}",
            "faster.mkv": f"-f lavfi -t 0.1 -i testsrc2=s=96x64:r=900 {X264}",
            "too-fast.mkv": f"-f lavfi -t 0.04 -i testsrc2=s=96x64:r=2500 {X264}",
            "too-fast-no-b.mkv": "-f lavfi -t 0.04 -i testsrc2=s=96x64:r=2500 -c:v libx264 -bf 0",
            "too-fast.flv": f"-f lavfi -t 0.04 -i testsrc2=s=96x64:r=2500 {X264}",
            "fast.ts": f"-f lavfi -t 0.3 -i testsrc2=s=96x64:r=240 {X264}",
            "coarse.mp4": f"{S} {X264} -enc_time_base 1:24 -video_track_timescale 24",
            "coarser.mp4": f"{S} {X264} a.mp4; -i a.mp4 -c copy -video_track_timescale 12",
            "coarser-no-b.mp4": f"{S} -c:v libx264 -bf 0 a.mp4; -i a.mp4 -c copy -video_track_timescale 12",
            "coarse.nut": f"{S} {X264} -enc_time_base 1:24",
            "slow.mp4": f"-f lavfi -t 100 -i testsrc2=s=96x64:r=1/5 {X264}",
            "slow.ts": f"-f lavfi -t 100 -i testsrc2=s=96x64:r=1/5 {X264}",
            "slower.ts": f"-f lavfi -t 200 -i testsrc2=s=96x64:r=1/20 {X264}",
            "slower.mkv": f"-f lavfi -t 200 -i testsrc2=s=96x64:r=1/20 {X264}",
            "slower.avi": f"-f lavfi -t 200 -i testsrc2=s=96x64:r=1/20 {X264}",
            "slow.gif": "-f lavfi -t 20 -i testsrc2=s=96x64:r=1/2",
        },
    )


def wrong_stamps() -> Iterator[Recipe]:
    """Stamps that are repeated, out of line or missing."""
    stamps = {
        "same": "pts='if(eq(N,20),PREV_OUTPTS,PTS)'",
        "back": "pts='if(eq(N,20),PTS-0.25/TB,PTS)'",
        "ahead": "pts='if(eq(N,20),PTS+0.25/TB,PTS)'",
        "none": "pts='if(eq(N,20),NOPTS,PTS)'",
        "many": "pts='if(between(N,20,24),PTS-0.5/TB,PTS)'",
        "both-back": "pts='if(eq(N,20),PTS-0.25/TB,PTS)':dts='if(eq(N,20),DTS-0.25/TB,DTS)'",
        "far": "pts='if(eq(N,20),PTS+20/TB,PTS)':dts='if(eq(N,20),DTS+20/TB,DTS)'",
        "first": "pts='if(eq(N,0),PTS-20/TB,PTS)':dts='if(eq(N,0),DTS-20/TB,DTS)'",
        "drift": "pts='PTS+floor(N*0.02/TB)':dts='DTS+floor(N*0.02/TB)'",
        "only-dts": "pts=NOPTS",
    }
    for what, change in stamps.items():
        for b in (0, 2):
            for suffix in ("mkv", "flv", "nut", "ts", "mp4", "avi", "asf"):
                commands = f"{S} -c:v libx264 -bf {b} -g 12 a.mp4; -i a.mp4 -c copy -bsf:v setts={change}"
                yield from _files("stamps", {f"{what}-b{b}.{suffix}": commands})


def shifted() -> Iterator[Recipe]:
    """Edit lists, start offsets, and stamps that wrap around."""
    for suffix in ("mp4", "mov", "mkv", "ts", "flv", "avi", "mpg"):
        codec = MPEG2 if suffix == "mpg" else X264
        whole = f"{S} {codec} a.{suffix}"
        yield from _files(
            "shifted",
            {
                f"cut.{suffix}": f"{whole}; -ss 0.7 -i a.{suffix} -c copy",
                f"cut-both.{suffix}": f"{whole}; -ss 0.3 -to 1.2 -i a.{suffix} -c copy",
                f"cut-early.{suffix}": f"{whole}; -ss 0.7 -i a.{suffix} -c copy -copyinkf",
                f"late.{suffix}": f"{whole}; -itsoffset 3 -i a.{suffix} -c copy",
                f"early.{suffix}": f"{whole}; -itsoffset -1 -i a.{suffix} -c copy",
                f"negative.{suffix}": f"{whole}; -itsoffset -1 -i a.{suffix} -c copy -avoid_negative_ts disabled",
                f"far.{suffix}": f"{whole}; -i a.{suffix} -c copy -output_ts_offset 40000",
                f"late-sound.{suffix}": f"{S} -itsoffset 0.5 {TONE} {codec} -c:a mp2 -shortest",
                f"late-picture.{suffix}": f"{TONE} -itsoffset 0.5 {S} {codec} -c:a mp2",
            },
        )
    opened = f"{S} -c:v libx264 -bf 3 -g 12 -x264-params open-gop=1"
    yield from _files(
        "shifted",
        {
            "open.mp4": f"{opened} a.mp4; -ss 0.7 -i a.mp4 -c copy",
            "open.mkv": f"{opened} a.mp4; -ss 0.7 -i a.mp4 -c copy",
            "open.ts": f"{opened} a.ts; -ss 0.7 -i a.ts -c copy -copyinkf",
            "one-key.mp4": f"{S} -c:v libx264 -bf 2 -g 250 a.mp4; -ss 1.5 -i a.mp4 -c copy",
            "no-list.mp4": f"{S} {X264} -use_editlist 0",
            "no-list-delay.mov": f"{S} {X264} -use_editlist 0 -movflags negative_cts_offsets",
            "negative-offsets.mp4": f"{S} {X264} -movflags negative_cts_offsets",
            "wrap.ts": f"{S} {X264} -output_ts_offset {2**33 / 90000 - 1}",
            "wrap.mpg": f"{S} {MPEG2} -output_ts_offset {2**33 / 90000 - 1}",
            "wrap-no-b.ts": f"{S} -c:v libx264 -bf 0 -output_ts_offset {2**33 / 90000 - 1}",
            "wrap-sound.ts": f"{S} {TONE} {X264} -output_ts_offset {2**33 / 90000 - 1}",
        },
    )


def joined() -> Iterator[Recipe]:
    """Files whose bytes follow each other in one file."""

    def joining(name: str, *parts: str) -> Callable[[Path], None]:
        return lambda folder: _write(folder / name, b"".join((folder / part).read_bytes() for part in parts)) and None

    other = "-f lavfi -t 2 -i mandelbrot=s=96x64:r=24"
    small = "-f lavfi -t 2 -i testsrc2=s=64x48:r=24"
    for suffix, codec in {"ts": X264, "mpg": MPEG2, "vob": MPEG2, "m2ts": X264, "mkv": X264, "ogv": "-c:v libtheora"}.items():
        steps = {
            "same": (f"{S} {codec} a.{suffix}", ["a", "a"]),
            "other": (f"{S} {codec} a.{suffix}; {other} {codec} b.{suffix}", ["a", "b"]),
            "ahead": (f"{S} {codec} a.{suffix}; {other} {codec} -output_ts_offset 100 b.{suffix}", ["a", "b"]),
            "near": (f"{S} {codec} a.{suffix}; {other} {codec} -output_ts_offset 5 b.{suffix}", ["a", "b"]),
            "back": (f"{S} {codec} -output_ts_offset 100 a.{suffix}; {other} {codec} b.{suffix}", ["a", "b"]),
            "three": (f"{S} {codec} a.{suffix}; {other} {codec} b.{suffix}", ["a", "b", "a"]),
            "sizes": (f"{S} {codec} a.{suffix}; {small} {codec} b.{suffix}", ["a", "b"]),
            "sound": (f"{S} {TONE} {codec} a.{suffix}; {other} {TONE} {codec} b.{suffix}", ["a", "b"]),
        }
        for what, (commands, parts) in steps.items():
            name = f"joined-{what}.{suffix}"
            yield Recipe(name, (*map(str.strip, commands.split(";")), joining(name, *(f"{part}.{suffix}" for part in parts))))


def shapes() -> Iterator[Recipe]:
    """Sizes, aspect ratios and orientations."""
    lossless = {"ffv1": "yuv420p", "libx264": "yuv420p", "png": "rgb24", "huffyuv": "yuv422p", "mpeg2video": "yuv420p"}
    for size in ("97x65", "96x65", "97x64", "2x2", "1x1", "1x64", "64x1", "3x5", "130x3"):
        for encoder, pixels in lossless.items():
            source = f"-f lavfi -t 0.5 -i testsrc2=s=192x128:r=24,scale={size.replace('x', ':')}"
            yield from _files("shape", {f"{encoder}-{size}.mkv": f"{source} -c:v {encoder} -pix_fmt {pixels}"})
    for suffix in ("mp4", "mkv", "mov", "avi", "ts", "flv", "nut", "asf"):
        yield from _files("shape", {f"wide.{suffix}": f"{SHORT} -vf setsar=32/27 {X264}"})
        yield from _files("shape", {f"tall.{suffix}": f"{SHORT} -vf setsar=8/9 {X264}"})
    yield from _files("shape", {"wide2.mpg": f"{SHORT} -vf setdar=16/9 {MPEG2}", "one.mkv": f"{S} {X264} -frames:v 1"})
    for suffix in ("mp4", "mov", "avi", "ts", "mpg", "flv", "webm", "ogv", "nut", "wmv"):
        yield from _files("shape", {f"one.{suffix}": f"{S} -frames:v 1", f"two.{suffix}": f"{S} -frames:v 2"})
    turns = {"90": "-display_rotation 90", "180": "-display_rotation 180", "270": "-display_rotation 270"}
    turns |= {"45": "-display_rotation 45", "flip": "-display_hflip", "upside": "-display_vflip"}
    turns |= {"transposed": "-display_rotation 90 -display_hflip"}
    for turn, options in turns.items():
        for suffix in ("mp4", "mkv"):
            for pixels in ("yuv420p", "yuv422p", "yuv444p"):
                encoded = f"{SHORT} {X264} -pix_fmt {pixels} a.{suffix}; {options} -i a.{suffix} -c copy"
                yield from _files("shape", {f"turned-{turn}-{pixels}.{suffix}": encoded})


def colours() -> Iterator[Recipe]:
    """Colour matrices, ranges and transfer functions."""
    tag = "setparams=colorspace={}:range={}:color_primaries={}:color_trc={}"
    listed = re.search(r"colorspace .*?\n(.*?)\n  +-?\w+ +<", _listing("-h", "filter=setparams") + "\n  a <", re.DOTALL)
    matrices = re.findall(r"^ {5}(\S+)", listed[1] if listed else "", re.MULTILINE)
    for matrix in matrices:
        for reach in ("limited", "full"):
            for pixels in ("yuv420p", "yuv444p", "yuv444p10", "gbrp"):
                tags = f"-vf format={pixels},{tag.format(matrix, reach, 'unknown', 'unknown')}"
                yield from _files("colours", {f"{matrix}-{reach}-{pixels}.mkv": f"{SHORT} {tags} -c:v ffv1"})
    for primaries, transfer in (("bt709", "bt709"), ("bt2020", "smpte2084"), ("bt2020", "arib-std-b67"), ("bt470bg", "linear")):
        for codec in ("libx264 -pix_fmt yuv420p10", "libx265 -x265-params log-level=none -pix_fmt yuv420p10"):
            for suffix in ("mp4", "mkv"):
                tags = f"-vf format=yuv420p10,{tag.format('bt2020nc', 'limited', primaries, transfer)}"
                name = f"{primaries}-{transfer}-{codec.split()[0]}.{suffix}"
                yield from _files("colours", {name: f"{SHORT} {tags} -c:v {codec}"})


def tracks() -> Iterator[Recipe]:
    """Files with several tracks."""
    second = "-f lavfi -t 2 -i mandelbrot=s=96x64:r=12"
    picture = f"{S} -frames:v 1 cover.png; {S} {TONE} {X264}"
    for suffix in ("mp4", "mkv", "mov", "nut", "ts", "avi", "asf"):
        two = f"{S} {second} -map 0 -map 1 {X264}"
        yield from _files(
            "tracks",
            {
                f"second-default.{suffix}": f"{two} -disposition:v:0 0 -disposition:v:1 default",
                f"first-default.{suffix}": f"{two} -disposition:v:0 default -disposition:v:1 0",
                f"none-default.{suffix}": f"{two} -disposition:v 0",
                f"sound-first.{suffix}": f"{TONE} {S} -map 0 -map 1 {X264} -c:a mp2",
                f"larger-second.{suffix}": f"{second} -f lavfi -t 2 -i testsrc2=s=128x96:r=24 -map 0 -map 1 {X264}"
                " -disposition:v 0",
                f"cover.{suffix}": f"{picture} a.{suffix}; -i a.{suffix} -i cover.png -map 0 -map 1 -c copy "
                "-disposition:v:1 attached_pic",
                f"cover-first.{suffix}": f"{picture} a.{suffix}; -i a.{suffix} -i cover.png -map 1 -map 0 -c copy "
                "-disposition:v:0 attached_pic -disposition:v:1 default",
            },
        )
    attached = f"{picture} a.mkv; -i a.mkv -c copy -attach cover.png -metadata:s:2 mimetype=image/png"
    yield from _files("tracks", {"attached.mkv": attached})


def damaged() -> Iterator[Recipe]:
    """Files that are cut off, begin in the middle, or lack or damage a packet."""

    def changing(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
        return lambda folder: _write(folder / name, change((folder / ("whole" + Path(name).suffix)).read_bytes())) and None

    own = {
        "mpg": MPEG2,
        "ogv": "-c:v libtheora",
        "webm": "-c:v libvpx",
        "gif": "",
        "ivf": "-c:v libvpx-vp9",
        "wmv": "-c:v wmv2",
    }
    own |= {"rm": "-c:v rv20", "dv": NEEDS["dvvideo"], "mxf": MPEG2, "wtv": MPEG2}
    for suffix in (*own, "mp4", "mkv", "avi", "ts", "flv", "nut"):
        codec = own.get(suffix, X264)
        whole = f"{S} {codec} whole.{suffix}"
        for what, change in {
            "tail": lambda data: data[: len(data) * 2 // 3],
            "head": lambda data: data[len(data) // 3 :],
            "hole": lambda data: data[: len(data) // 2] + bytes(200) + data[len(data) // 2 + 200 :],
        }.items():
            name = f"damaged-{what}.{suffix}"
            yield Recipe(name, (whole, changing(name, change)))
        noise = f"{whole}; -i whole.{suffix} -c copy -bsf:v "
        lost = "noise=drop='eq(n\\,20)+eq(n\\,33)'"
        yield from _files(
            "damaged", {f"lost.{suffix}": noise + lost, f"noise.{suffix}": noise + "noise=amount='-40*eq(n\\,20)'"}
        )


def _write(path: Path, data: bytes) -> int:
    return path.write_bytes(data)
