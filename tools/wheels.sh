#!/usr/bin/env bash
# Builds source distributions and wheels of both packages, and tries them.
set -euo pipefail
unset CDPATH # by which cd would go elsewhere, or say where it went
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD demo=$PWD/egs/mini/demo

say() { printf 'wheels: %s\n' "$*"; }
die() { printf 'wheels: error: %s\n' "$1" >&2; exit 1; }
usage() {
  cat <<HELP
usage: tools/wheels.sh [options]

Builds build/wheels: of dualmode-runtime a wheel for each of x86_64 and aarch64 (Linux, glibc 2.28, any Python 3), compiled
by zig from the source distribution; of dualmode a wheel of Python alone. Then tries them: auditwheel; the runtime's wheel
in empty environments; its engine for aarch64 in an emulator (Debian: apt install qemu-user libc6-arm64-cross).

  --pythons LIST  versions of Python in which the runtime's wheel is tried (default: "3.10 3.11 3.12"); one that is not
                  there is named and left out
  --with-torch    try the wheel of dualmode, too, in an environment with PyTorch (6 GB)
  --out DIR       folder of the wheels (default: build/wheels)
  --built         build nothing, try what is in that folder
  --help          this text
HELP
}

pythons="3.10 3.11 3.12" with_torch=false built=false out=build/wheels
while (($#)); do
  case $1 in
    --pythons | --out)
      (($# > 1)) || die "$1 needs a value; see tools/wheels.sh --help"
      if [[ $1 == --out ]]; then out=$2; else pythons=$2; fi
      shift 2
      ;;
    --with-torch) with_torch=true; shift ;;
    --built) built=true; shift ;;
    -h | --help) usage; exit ;;
    *) die "unknown option $1; see tools/wheels.sh --help" ;;
  esac
done

# bin: the folder of uv, zig and auditwheel, in an environment of their own.
environment=$root/build/wheels-venv bin=$root/build/wheels-venv/bin
if ! cmp -s tools/wheels.txt "$environment/installed.txt"; then
  python3 -m venv --clear "$environment"
  "$bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r tools/wheels.txt
  cp tools/wheels.txt "$environment/installed.txt"
fi
export UV_PYTHON_DOWNLOADS=never
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# zig ARCH: prints the compiler for it, as $CXX is read: in the words of a shell.
zig() { printf '%q -m ziglang c++ -target %s-linux-gnu.2.28 -s' "$bin/python" "$1"; }

uv_build() { "$bin/uv" build --quiet --build-constraint tools/build-constraints.txt --out-dir "$out" "$@"; }

# build: the four files of a release, and the wheel for aarch64.
build() {
  local arch sdist
  mkdir -p "$out"
  [[ -z $(find "$out" -mindepth 1 -maxdepth 1 ! -name 'dualmode*.whl' ! -name 'dualmode*.tar.gz' ! -name .gitignore -print -quit) ]] ||
    die "$out holds other files than wheels of this project: name another --out"
  rm -f -- "$out"/dualmode*.{whl,tar.gz}
  uv_build .
  uv_build --sdist runtime
  sdist=$(compgen -G "$out/dualmode_runtime-*.tar.gz")
  for arch in x86_64 aarch64; do
    say "compiling the engine for $arch"
    CXX=$(zig "$arch") uv_build --wheel "$sdist" -C--build-option="--plat-name=manylinux_2_28_$arch"
  done
  compgen -G "$out/dualmode-*-py3-none-any.whl" >/dev/null || die "the wheel of dualmode is not of Python alone"
  rm -f "$out/.gitignore"
}

# audit: what a wheel asks of the system is no more than its name says, and it is small.
audit() {
  local wheel found
  for wheel in "$out"/dualmode_runtime-*.whl; do
    found=$("$bin/python" -m auditwheel show "$wheel" | tr '\n' ' ')
    [[ $found == *'platform tag: "manylinux_2_28_'* || $found == *'platform tag: "manylinux_2_1'* ||
      $found == *'platform tag: "manylinux_2_2'[0-8]* ]] || die "$wheel: auditwheel says: $found"
    (($(stat -c %s "$wheel") < 5000000)) || die "$wheel is larger than 5 MB"
    say "${wheel##*/}: $(stat -c %s "$wheel") bytes; auditwheel finds no more than its name says"
  done
}

# heard NAME: prints what the recording's page says is heard in it.
heard() { sed -n "s|^egs/mini/demo/$1.wav ||p" "$demo/README.md"; }

# make_venv DIR VERSION: an empty environment; fails if that Python is neither in the path nor among pyenv's.
make_venv() {
  local python
  for python in "python$2" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$2".*/bin/python; do
    "$python" -c '' 2>/dev/null || continue
    "$bin/uv" venv --quiet --python "$("$python" -c 'import sys; print(sys.executable)')" "$1"
    return
  done
  return 1
}

# try_runtime PYTHON: C, command and Python hear the same in an environment with the wheel alone.
try_runtime() {
  local name said env=$work/runtime-$1 arch
  arch=$(uname -m)
  make_venv "$env" "$1" || { say "Python $1 is not there: the wheel is not tried in it"; return 0; }
  "$bin/uv" pip install --quiet --python "$env" "$out"/dualmode_runtime-*_"$arch".whl
  cd "$work"
  for name in temperature news; do
    for said in "$("$env/bin/dualmode-device" "$demo/sparse.dmdl" "$demo/$name.wav" | sed 's/^[^ ]* //')" \
      "$("$env/bin/dualmode-runtime" "$demo/sparse.dmdl" "$demo/$name.wav")" \
      "$("$env/bin/python" -I -c 'import sys; from dualmode_runtime import Recognizer
print(Recognizer.open(sys.argv[1]).transcribe(sys.argv[2]).text)' "$demo/sparse.dmdl" "$demo/$name.wav")"; do
      [[ $said == "$(heard "$name")" && -n $said ]] || die "Python $1: \"$said\" is heard in $name.wav"
    done
  done
  cd "$root"
  [[ ! -e $(compgen -G "$env/lib/python*/site-packages/dualmode_runtime/built/sources.sha256") ]] ||
    die "the wheel looks at its sources at each start"
  say "Python $1: C, command and Python hear what they should, in an environment with $("$bin/uv" pip list --python "$env" --format freeze 2>/dev/null | paste -sd ' ')"
}

# kernels_here: prints the names of the fast kernels that this machine has.
kernels_here() {
  if grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo; then echo avx2; fi
  if grep -qw avx512_vnni /proc/cpuinfo; then echo avx512vnni; fi
  if grep -qw asimddp /proc/cpuinfo; then echo dotprod; fi
}

# try_engine ARCH RUNNER... -- KERNELS...: products and a transcript of the wheel's engine, by test/runtime/equality.cpp.
try_engine() {
  local arch=$1 runner=() built=$work/$1/dualmode_runtime/built name
  shift
  while [[ $1 != -- ]]; do runner+=("$1"); shift; done
  shift
  if [[ ! -f $built/equality ]]; then
    "$bin/python" -m zipfile -e "$out"/dualmode_runtime-*_"$arch".whl "$work/$arch"
    # shellcheck disable=SC2016,SC2046  # words of the compiler; the loader expands $ORIGIN
    $(zig "$arch") -std=c++17 -O2 -Iruntime/dualmode_runtime/csrc test/runtime/equality.cpp \
      "$built/libdualmode_device.so" '-Wl,-rpath,$ORIGIN' -o "$built/equality"
    chmod +x "$built/dualmode-device"
  fi
  "${runner[@]}" "$built/equality" "$demo/sparse.dmdl" "$work/features" "$@" || die "the engine for $arch is wrong"
  for name in temperature news; do
    [[ $("${runner[@]}" "$built/dualmode-device" "$demo/sparse.dmdl" "$demo/$name.wav") == *" $(heard "$name")" ]] ||
      die "the program for $arch hears something else in $name.wav"
  done
}

# try_dualmode: PyTorch recognises with the wheels and nothing of training.
try_dualmode() {
  local env=$work/dualmode
  make_venv "$env" "${pythons%% *}"
  "$bin/uv" pip install --quiet --python "$env" --constraint tools/constraints.txt "$out"/dualmode-*.whl "$out"/dualmode_runtime-*_"$(uname -m)".whl
  cd "$work"
  [[ $("$env/bin/dualmode" transcribe "$demo/sparse.dmdl" "$demo/news.wav") == "$(heard news)" ]] || die "dualmode transcribe is wrong"
  [[ $("$env/bin/python" -I -c 'import sys, soundfile
from dualmode import Recognizer
from dualmode.device.fallback import TorchDevice
device = TorchDevice(open(sys.argv[1], "rb").read(), "it")
device.accept_samples(soundfile.read(sys.argv[2], dtype="float32")[0])
device.finish()
print(device.text)' "$demo/sparse.dmdl" "$demo/temperature.wav") == "$(heard temperature)" ]] || die "PyTorch hears something else"
  [[ ! -e $(compgen -G "$env/lib/python*/site-packages/espnet2") ]] || die "recognising brings ESPnet"
  cd "$root"
  say "dualmode's wheel recognises with PyTorch, without ESPnet"
}

[[ $built == true ]] || build
out=$(cd "$out" && pwd -P)
audit
for python in $pythons; do try_runtime "$python"; done
installed=$(compgen -G "$work/runtime-*/bin/python" | head -n 1) || die "none of Python $pythons is there: nothing was tried"
"$installed" -I -c 'import sys, soundfile
from dualmode_runtime.engine import fbank
fbank(soundfile.read(sys.argv[1], dtype="float32")[0]).tofile(sys.argv[2])' "$demo/temperature.wav" "$work/features"
mapfile -t kernels < <(kernels_here)
try_engine "$(uname -m)" -- "${kernels[@]}"
if [[ $(uname -m) != aarch64 ]]; then
  if command -v qemu-aarch64 >/dev/null && [[ -d /usr/aarch64-linux-gnu/lib ]]; then
    try_engine aarch64 qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu max -- dotprod
    try_engine aarch64 qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu cortex-a53 -- # which has no dot products
    say "the engine for aarch64 computes what it should, in an emulator, with dot products and without"
  else
    say "qemu-aarch64 or libc6-arm64-cross is not there: the engine for aarch64 is not tried"
  fi
fi
if [[ $with_torch == true ]]; then try_dualmode; fi
say "$out holds:"
stat -c '%s %n' "$out"/*
