"""`timeslip serve` for the scripts that let other programs talk to it."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def timeslip():
    """The binary to use: $TIMESLIP, or a release build of this tree."""
    if "TIMESLIP" in os.environ:
        return pathlib.Path(os.environ["TIMESLIP"]).resolve()
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    return ROOT / "target/release/timeslip"


class Server:
    """A running server: where it listens and the file its emissions are logged to."""

    def __init__(self, process, origin, log):
        self.process = process
        self.origin = origin
        self.log = log

    def emissions(self):
        """What it has logged so far; a response is logged when it ends."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]


@contextlib.contextmanager
def serve(binary, profile, folder):
    """Serves a profile, given as a dictionary, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = folder / "profile.toml"
    # Strings and numbers are written alike in JSON and TOML.
    figures.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in profile.items()))
    log = folder / "emissions.jsonl"
    log.unlink(missing_ok=True)
    output = folder / "server.log"
    command = [binary, "serve", "--listen", "127.0.0.1:0", "--profile", figures, "--log", log]
    with output.open("w") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, cwd=ROOT)
    try:
        yield Server(process, origin_of(process, output), log)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def origin_of(process, output):
    """The `http://address:port` that a server says it listens on."""
    for _ in range(100):
        said = re.search(r"http://[0-9.]+:[0-9]+", output.read_text())
        if said:
            return said[0]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"timeslip serve did not start: {output.read_text().strip()}")
