import subprocess
import sys
import textwrap
import time

from lite_medsam.storage.locking import one_at_a_time

HOLDER = """
import sys, time
from lite_medsam.storage.locking import one_at_a_time
with one_at_a_time(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_waits_until_the_first_is_dead(tmp_path):
    lock, waited = tmp_path / "a" / "lock", []
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(lock)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"

        def on_wait():
            waited.append(time.monotonic())
            holder.kill()

        with one_at_a_time(lock, on_wait):
            assert len(waited) == 1
    finally:
        holder.kill()
        holder.communicate()
    with one_at_a_time(lock, on_wait):  # given back
        assert len(waited) == 1
