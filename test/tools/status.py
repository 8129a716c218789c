"""Runs a command and says its exit code on the standard output: status.py COMMAND..."""
import subprocess
import sys

status = subprocess.run(sys.argv[1:]).returncode
print(f"exit code {status}", flush=True)
