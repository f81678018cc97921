"""The cells of the guide to a hospital's own model, and how they are run: for the tests of pages that go on from it."""

import re

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "adding" / "model.md"
CELL = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNNING = """
import atexit, os, shlex, subprocess, sys, time, urllib.request

def shell(line, address):
    words = shlex.split(line)
    if words[0] == "export":
        os.environ.update(word.split("=", 1) for word in words[1:])
        return
    command = [sys.executable, "-m", "cds_hooks", *words[1:]]
    if words[-1] != "&":
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}: {done.returncode}: {done.stdout}{done.stderr}"
        return
    server = subprocess.Popen(command[:-1], stdout=open("server.log", "w"), stderr=subprocess.STDOUT)
    atexit.register(server.wait)
    atexit.register(server.terminate)
    for _ in range(1200):
        assert server.poll() is None, open("server.log").read()
        try:
            return urllib.request.urlopen(address + "/readyz").close()
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server does not answer")
"""
