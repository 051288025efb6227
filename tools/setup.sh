#!/usr/bin/env bash
# Sets the Python environment up: tools/venv with the two packages (editable) and their pinned dependencies.
# Run again, it does nothing while pyproject.toml and what belongs to it are the same; killed, it goes on where it was.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # sh cannot read this
set -euo pipefail

unset CDPATH # by which cd would go elsewhere, or say where it went
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
uv_version=0.13.9 # uv installs ESPnet; newer pips refuse a dependency of it (ci_sdr)
needed_gb=8       # 5.3 GB in the end, most of it torch's CUDA libraries, and room to unpack

say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: error: %s\n' "$1" >&2
  shift
  (($# == 0)) || printf '  %s\n' "$@" >&2
  exit 1
}

usage() {
  cat <<EOF
usage: tools/setup.sh [options]

Makes a Python environment with everything the recipes need. No root, no compiler. About 5.3 GB on disk.

  --python PY    interpreter, version 3.10 to 3.12 (default: that of an environment that is there already, else the
                 first suitable one of python3, python3.12, python3.11, python3.10)
  --venv DIR     folder of the environment (default: tools/venv)
  --with-tests   install pytest, hypothesis, ruff and shellcheck too
  --with-device  install ONNX Runtime and sherpa-onnx too, for dualmode export and stage 7 (120 MB)
  --with-server  install starlette, uvicorn and websockets too, for dualmode serve (10 MB)
  --with-data    install lhotse too, for dualmode import-data to read its cuts
  --with-align   install ctc-segmentation too, for dualmode align (needs a C compiler and Python's headers)
  --help         this text

Proxies and package indexes are taken from the usual variables and files of pip and uv.
EOF
}

# why_not PYTHON: prints why this interpreter cannot make the environment, or nothing.
why_not() {
  local version
  command -v "$1" >/dev/null || { echo "not found"; return; }
  version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || { echo "does not run"; return; }
  case $version in
    3.10 | 3.11 | 3.12) ;;
    *) echo "is Python $version"; return ;;
  esac
  "$1" -c 'import ensurepip, venv' 2>/dev/null || echo "is Python $version without the venv module"
}

# find_python [PYTHON]: prints the interpreter to use.
find_python() {
  local candidate why tried=() candidates=(python3 python3.12 python3.11 python3.10)
  (($# == 0)) || candidates=("$1")
  for candidate in "${candidates[@]}"; do
    why=$(why_not "$candidate")
    [[ -n $why ]] || { command -v "$candidate"; return; }
    tried+=("$candidate: $why")
  done
  die "no Python 3.10 to 3.12 with the venv module was found. Tried:" "${tried[@]}" \
    "On Debian or Ubuntu: apt install python3-venv. Another interpreter: tools/setup.sh --python PATH"
}

# fingerprint: prints what the environment was made from; the same lines mean that it is up to date.
fingerprint() {
  echo "project $root"
  echo "environment $venv"
  sed -n 's/^version *= */python /p' "$venv/pyvenv.cfg"
  echo "uv $uv_version"
  (cd "$root" && sha256sum pyproject.toml runtime/{setup.py,pyproject.toml} tools/{constraints,build-constraints,overrides}.txt)
}

# up_to_date: whether the stamp in the environment has this fingerprint and at least the extras asked for.
up_to_date() {
  local extra
  [[ -x $venv/bin/python && -f $stamp && $(sed '$d' "$stamp") == "$(fingerprint)" ]] || return
  for extra in "${extras[@]}"; do [[ $(tail -n 1 "$stamp") == *" $extra "* ]] || return; done
  [[ -z $python || $("$python" -c "$python_version") == $("$venv/bin/python" -c "$python_version") ]]
}

# make_venv: an empty environment with uv in it.
make_venv() {
  local interpreter other
  interpreter=$(find_python ${python:+"$python"})
  if [[ -n $(find "$venv" -mindepth 1 -maxdepth 1 -print -quit) ]]; then
    other=$(sed -n 's/^environment //p' "$stamp" 2>/dev/null || true)
    [[ -z $other || $other == "$venv" || ! $other -ef $venv ]] ||
      die "$venv is $other under another name, for which it was made, and may be in use: go there, or name another --venv"
    [[ -f $venv/.dualmode || $venv == "$root/tools/venv" ]] ||
      die "$venv is there, cannot be used as it is, and was not made by this script: remove it, or name another --venv"
    say "emptying $venv, which is incomplete or was made for another folder or Python"
    find "$venv" -mindepth 1 -delete
  fi
  check_disk
  touch "$venv/.dualmode" # says that the folder is ours, should the next line be killed
  say "making $venv with $("$interpreter" --version) ($interpreter)"
  "$interpreter" -m venv "$venv"
}

# check_disk: room for torch and its libraries, unless they are there.
check_disk() {
  local free_kb
  [[ -z $(compgen -G "$venv/lib/python*/site-packages/torch/version.py") ]] || return 0
  free_kb=$(df -k --output=avail -- "$venv" | sed -n 2p)
  say "$((free_kb / 1000000)) GB free where $venv goes, $needed_gb GB needed"
  ((free_kb > needed_gb * 1000000)) || die "too little disk space for $venv: free some, or name another folder with --venv"
}

# usable: whether the environment there, finished or not, can be gone on with.
usable() {
  local of_project
  [[ -x $venv/bin/python ]] && "$venv/bin/python" -m pip --version &>/dev/null || return
  [[ -z $python || $("$python" -c "$python_version") == $("$venv/bin/python" -c "$python_version") ]] || return
  [[ -z $(why_not "$venv/bin/python") ]] || return
  # An environment cannot be moved: the scripts in bin/ hold its folder's name.
  of_project=$(sed -n 's/^project //p' "$stamp" 2>/dev/null || true)
  grep -qF "$venv" "$venv/bin/activate" && [[ ${of_project:-$root} == "$root" ]]
}

python='' venv=$root/tools/venv extras=(train)
python_version='import sys; print(sys.version)'
while (($#)); do
  case $1 in
    --python | --venv)
      (($# > 1)) || die "$1 needs a value; see tools/setup.sh --help"
      if [[ $1 == --venv ]]; then venv=$2; else python=$2; fi
      shift 2
      ;;
    --python=*) python=${1#*=}; shift ;;
    --venv=*) venv=${1#*=}; shift ;;
    --with-tests | --with_tests) extras+=(test); shift ;;
    --with-device | --with_device) extras+=(export); shift ;;
    --with-server | --with_server) extras+=(server); shift ;;
    --with-data | --with_data) extras+=(data); shift ;;
    --with-align | --with_align) extras+=(align); shift ;;
    -h | --help) usage; exit ;;
    *) die "unknown option $1; see tools/setup.sh --help" ;;
  esac
done
if [[ -n $python ]]; then find_python "$python" >/dev/null; fi

mkdir -p "$venv" || die "cannot make the folder $venv"
venv=$(cd "$venv" && pwd -P)
stamp=$venv/.dualmode-stamp kept=$venv/.dualmode-extras

# The lock is the folder itself: nothing to clean up, and gone with the processes that hold it (uv among them, should
# this script be killed and uv live on).
command -v flock >/dev/null || die "flock was not found: apt install util-linux"
exec 9<"$venv"
flock -n 9 || { say "another set-up of $venv is at work; waiting for it"; flock 9; }

if up_to_date; then
  say "$venv is up to date"
  exit
fi
if usable; then
  say "updating $venv"
  read -ra installed < <(cat "$kept" 2>/dev/null || sed -n 's/^extras //p' "$stamp" 2>/dev/null || true) || true
  extras+=("${installed[@]}")
  check_disk
else
  make_venv
fi
mapfile -t extras < <(printf '%s\n' "${extras[@]}" | sort -u | sed '/^$/d')
echo "${extras[*]}" >"$kept" # should this update fail, the next one has them as well
rm -f "$stamp"

uv=$venv/bin/uv
if [[ $("$uv" --version 2>/dev/null) != "uv $uv_version"* ]]; then
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version" ||
    die "uv could not be installed: see the lines above; is a package index within reach?"
fi
list=$(IFS=,; echo "${extras[*]}")
say "installing the packages of pyproject.toml with the extras $list (some minutes the first time)"
(cd "$root" && "$uv" pip install --python "$venv/bin/python" \
  --constraint tools/constraints.txt --build-constraint tools/build-constraints.txt --override tools/overrides.txt \
  --editable ./runtime --editable ".[$list]") ||
  die "the packages could not be installed: see the lines above. Run the same command again to go on."

{ fingerprint; echo "extras ${extras[*]} "; } >"$stamp.tmp"
"$venv/bin/python" "$root/tools/check_install.py" --quiet
mv "$stamp.tmp" "$stamp"
say "$venv is ready"
