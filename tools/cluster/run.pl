#!/usr/bin/env bash
# [--option value]... [JOB=1:8] LOG COMMAND...   runs the command as tasks on this machine.
# Not Perl: ESPnet's launcher tells back-ends apart by the names that Kaldi's wrappers have.
unset CDPATH # by which cd would go elsewhere, or say where it went
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P) || exit
export PYTHONPATH=$root:$root/runtime${PYTHONPATH:+:$PYTHONPATH}
exec python -m dualmode.cluster.local "$@"
