#!/usr/bin/env python3
"""The folder of tools/dev/device_bundle, run where nothing else of ours is in the way.

The bare root folder holds libc's libraries and a shell alone (needs to be root).
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from tenon_tools import ROOT, Tally

LIMIT_MIB = 45
SYSTEM = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1",
          "ld-linux-x86-64.so.2"}


def needed(path):
    text = subprocess.run(["readelf", "-d", path], check=True, capture_output=True,
                          text=True).stdout
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", text))


def check_suite(tally, bundle, folder):
    """A part of the node tests, through run.sh, with this Python and no variable of ours."""
    environment = {"PATH": f"{pathlib.Path(sys.executable).parent}:/usr/bin:/bin"}
    result = subprocess.run(
        [bundle / "run.sh", "--device", "cpu", "--dir", folder / "work", "--out", folder / "out",
         "--jobs", "2", "env", "conformance:--filter test_relu", "exec:tenon-run --version"],
        capture_output=True, text=True, env=environment)
    tail = result.stdout.splitlines()[-3:]
    tally.check("run.sh runs three suites", result.returncode == 0, " / ".join(tail))
    passed = re.search(r"conformance +exit 0 .* (\d+) passed, 0 failed", result.stdout)
    tally.check("node tests pass there", passed and int(passed[1]) >= 2)
    shown = (folder / "out/table.txt").read_text() if result.returncode == 0 else ""
    tally.check("a table is written", shown.count(" exit 0 ") == 3)


def check_bare_root(tally, program, folder):
    """In a root folder with libc alone, the program starts as each tool."""
    if os.geteuid():
        print("skipped: a bare root folder needs root")
        return
    root = folder / "root"
    linked = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    for library in re.findall(r"(/\S+)", linked):
        target = root / library[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    for tool in ("compile", "inspect", "opt", "run"):
        shutil.copy(program, root / f"tenon-{tool}")
        result = subprocess.run(["chroot", root, f"/tenon-{tool}", "--version"],
                                capture_output=True, text=True)
        tally.check(f"tenon-{tool} starts with libc alone",
                    result.returncode == 0 and f"tenon-{tool} " in result.stdout,
                    result.stderr.strip())


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    tally = Tally()
    bundle = ROOT / "build-static/device"
    subprocess.run([sys.executable, ROOT / "tools/dev/device_bundle"], check=True)
    size = sum(f.stat().st_size for f in bundle.iterdir()) / 2**20
    tally.check(f"the folder is at most {LIMIT_MIB} MiB", size <= LIMIT_MIB, f"{size:.1f}")
    program = ROOT / "build-static/bin/tenon"
    for path in (program, ROOT / "build-static/python/tenon/libtenon_rt.so"):
        others = needed(path) - SYSTEM
        tally.check(f"{path.name} needs libc alone", not others, ", ".join(sorted(others)))
    with tempfile.TemporaryDirectory() as folder:
        check_suite(tally, bundle, pathlib.Path(folder))
        check_bare_root(tally, program, pathlib.Path(folder))
    tally.finish()


if __name__ == "__main__":
    main()
