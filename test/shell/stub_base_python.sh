#!/usr/bin/env bash
# Stands in for the system's Python in the tests of tools/setup.sh: says it is Python $VERSION, and
# makes environments whose uv only writes down in $CALLS what it was asked to install.
set -euo pipefail
version=${VERSION:-3.11}
case "$*" in
  --version) echo "Python $version.0" ;;
  "-m venv "*)
    mkdir -p "$3/bin"
    echo "version = $version.0" >"$3/pyvenv.cfg"
    echo "VIRTUAL_ENV=$3" >"$3/bin/activate"
    cp "$0" "$3/bin/python"
    ;;
  "-m pip install "*)
    # shellcheck disable=SC2016  # the stub of uv expands it
    printf '#!/usr/bin/env bash\nif [[ $1 == --version ]]; then echo "uv 0.13.9"; else echo "$*" >>"$CALLS"; exit "${UV_STATUS:-0}"; fi\n' \
      >"${0%/*}/uv"
    chmod +x "${0%/*}/uv"
    ;;
  *version_info*) echo "$version" ;;
  *"import ensurepip"*) [[ -z ${NO_VENV:-} ]] ;;
  *sys.version*) echo "$version.0" ;;
esac
