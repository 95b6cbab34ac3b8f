"""The digest of a rule's code, derived from its script."""

import ast
import hashlib

from tessera.core.definitions import ROOT, cached_digest
from tessera.core.errors import TesseraError

SCRIPTS = ROOT.parents[1] / "workflow" / "scripts"
# What runs every job: the log, the progress and the outputs that appear whole. It changes no content.
OF_ALL_JOBS = "tessera.core.job", "tessera.core.log"


def digest_of_script(name: str) -> str:
    """Return a digest of all definitions of Tessera that the script `name`, without its suffix, reaches; see `code_digest`.

    Snakemake watches the text of the script, but not our library. Raises `TesseraError` if there is no such script, or if it
    imports nothing.
    """
    file = SCRIPTS / f"{name}.py"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TesseraError(f"there is no script {file}; correct the rule, or install Tessera with `make setup`") from None

    def functions() -> list[str]:
        if imported := imported_by(text):
            return imported
        raise TesseraError(f"{file} imports no function of Tessera, so that its rule has no code to watch")

    return cached_digest(hashlib.sha256(text.encode()).hexdigest(), functions)


def imported_by(script: str) -> list[str]:
    """Return what the text of a `script` imports from Tessera, each as `package.module:name`."""
    return [
        f"{node.module}:{alias.name}"
        for node in ast.walk(ast.parse(script))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("tessera.") and node.module not in OF_ALL_JOBS
        for alias in node.names
    ]
