"""Small wheels, which pip takes for those of real packages."""

import zipfile
from collections.abc import Mapping
from pathlib import Path


def write_wheel(folder: Path, package: str, files: Mapping[str, bytes]) -> Path:
    """Write the wheel of `package`, such as `model==1.0`, with `files` to `folder`, and return it."""
    name, _, version = package.partition("==")
    stem = f"{name.replace('-', '_')}-{version}"
    stated = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: <3\nRequires-Dist: absent\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {**files, **{f"{stem}.dist-info/{key}": text.encode() for key, text in stated.items()}}.items():
            archive.writestr(path, content)
    return wheel
