"""Messages reach people once."""

import io

import pytest

from tessera.core import log


@pytest.mark.parametrize(("rank", "shown"), [(None, ["once", "each"]), ("0", ["once", "each"]), ("1", ["each"])])
def test_of_processes_that_train_together_only_the_first_prints_a_message_once(
    rank: str | None, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    monkeypatch.setattr(log, "_title", "")
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    log.tell("once", once=True)
    log.tell("each")
    assert terminal.getvalue().split() == shown
