"""One server at a time serves the page, on loopback, until Ctrl-C."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from review_items import write_default_review

from tessera.core.errors import TesseraError
from tessera.pages.review.serve import listening, serve


def test_it_ends_with_ctrl_c_as_if_nothing_had_happened_and_a_second_one_is_refused(tmp_path: Path) -> None:
    table = write_default_review(tmp_path) / "items.parquet"
    command = [sys.executable, "-m", "tessera.pages.review.serve", str(table), "--who", "Ada"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    address = process.stdout.readline()
    assert re.fullmatch(r"Review as 'Ada': http://127\.0\.0\.1:\d+/[\w-]{20,}/\n", address)
    with pytest.raises(TesseraError, match=f"another review page serves .* \\(process {process.pid}, port"):
        serve(table, 0, "Bo")
    places = [each.laddr.ip for each in psutil.Process(process.pid).net_connections() if each.status == psutil.CONN_LISTEN]
    assert places == ["127.0.0.1"]
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=30)
    assert printed.endswith("The review page has ended; all decisions are saved.\n") and process.returncode == 0


def test_no_part_of_an_answer_waits_for_an_acknowledgement_of_the_one_before() -> None:
    async def delays() -> int:
        accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
        with listening(0) as listener:
            server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), sock=listener)
            _, client = await asyncio.open_connection(*listener.getsockname())
            writer = await accepted
            found: int = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()
            client.close()
            server.close()
        return found

    assert asyncio.run(delays())


def test_a_port_in_use_and_items_that_are_not_made_are_said(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(TesseraError, match=r"port \d+ cannot be used .*; leave `--port` out, or give another"):
            listening(other.getsockname()[1]).__enter__()
    with pytest.raises(TesseraError, match=r"items\.parquet is not there; run `snakemake"):
        serve(tmp_path / "items.parquet", 0, "Ada")
