#!/usr/bin/env python3
"""What `cmake --install` gives: tools with a build id, and a library that C programs
find by CMake and by pkg-config's file and link with nothing else."""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from tenon_tools import BUILD, ROOT, Tally

PROGRAM = """#include <stdio.h>
#include <tenon_rt.h>
int main(void) {
  tenon_artifact *artifact = 0;
  tenon_error *error = 0;
  tenon_status status = tenon_artifact_open("missing.tenon", 0, &artifact, &error);
  printf("%d %s\\n", status == TENON_FILE, tenon_error_message(error));
  tenon_error_free(error);
  return 0;
}
"""
PROJECT = """cmake_minimum_required(VERSION 3.20)
project(user LANGUAGES C)
find_package(Tenon REQUIRED)
add_executable(user user.c)
target_link_libraries(user PRIVATE Tenon::tenon_rt)
"""


def output(*command, **options):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True,
                          text=True, **options).stdout


def pkg_config_flags(prefix):
    """The flags of tenon_rt.pc, its variables filled in."""
    text = (prefix / "lib/pkgconfig/tenon_rt.pc").read_text()
    fields = dict(re.findall(r"^(Cflags|Libs): (.*)$", text, re.M))
    return [f.replace("${prefix}", str(prefix)) for f in
            (fields["Cflags"] + " " + fields["Libs"]).split()]


def check_wheel(tally, folder):
    """The wheel's package, put where nothing else of ours is, loads its own library."""
    output(ROOT / "tools/dev/wheel", BUILD, folder)
    wheel, = folder.glob("tenon-*.whl")
    output(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target",
           folder / "site", wheel)
    said = output(sys.executable, "-c", "import tenon; print(tenon.__file__, tenon.version())",
                  env={**os.environ, "PYTHONPATH": str(folder / "site")})
    tally.check("the wheel installs and loads", said.startswith(str(folder / "site"))
                and "build" in said, said.strip())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="unused: it is one claim after another")
    parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        prefix, user = pathlib.Path(name, "prefix"), pathlib.Path(name, "user")
        output("cmake", "--install", BUILD, "--prefix", prefix)
        for tool in ("tenon-compile", "tenon-opt", "tenon-run", "tenon-inspect"):
            text = output(prefix / "bin" / tool, "--version")
            tally.check(f"{tool} --version has a build id",
                        re.search(rf"{tool} \S+ \(build [0-9a-f]{{16,}}\)", text), text.strip())
        library = prefix / "lib/libtenon_rt.so"
        stripped = pathlib.Path(name, "stripped.so")
        output("strip", "-o", stripped, library)
        tally.check("the runtime is under 2 MB", stripped.stat().st_size < 2e6,
                    f"{stripped.stat().st_size} bytes")
        needed = set(re.findall(r"^\s+(\S+?)\.so", output("ldd", library), re.M))
        others = needed - {"linux-vdso", "libm", "libc", "libdl", "libpthread",
                           "/lib64/ld-linux-x86-64"}
        tally.check("the runtime needs libc alone", not others, " ".join(sorted(needed)))
        check_wheel(tally, pathlib.Path(name))
        user.mkdir()
        (user / "user.c").write_text(PROGRAM)
        (user / "CMakeLists.txt").write_text(PROJECT)
        output("cmake", "-G", "Ninja", "-S", user, "-B", user / "build",
               f"-DCMAKE_PREFIX_PATH={prefix}",
               "-DCMAKE_C_COMPILER=clang-22")
        output("cmake", "--build", user / "build")
        said = output(user / "build/user")
        tally.check("a program that found it by CMake runs", said.startswith("1 "), said.strip())
        output("clang-22", user / "user.c", "-o", user / "plain", *pkg_config_flags(prefix))
        said = output(user / "plain", env={**os.environ, "LD_LIBRARY_PATH": str(prefix / "lib")})
        tally.check("a program that found it by pkg-config runs", said.startswith("1 "),
                    said.strip())
    tally.finish()


if __name__ == "__main__":
    main()
