#!/usr/bin/env bash
# Stands in for Python in the tests of the recipe's shell: writes what each command of the package leaves, and nothing
# more.  $CALLS gets a line for each call.  $STUB_HANG names a module that starts and never ends, $STUB_FAIL one that
# ends with status 3, $STUB_UNLABELLED sets without text, $STUB_AUDIO the recording of all utterances.
set -euo pipefail
# The checks of configurations and options, in front of all steps, are not among them.
if [[ $1 == -m && $2 == dualmode.extras ]]; then
  [[ $* != *"${STUB_LACKS:-nothing}"* ]] || { echo "error: $3 needs $STUB_LACKS, which is not installed" >&2; exit 2; }
  exit 0
fi
if [[ $1 == -m && $2 == dualmode.cluster.check ]]; then
  [[ $3 != *"${STUB_LACKS:-nothing}"* ]] || { echo "error: there is no program $STUB_LACKS" >&2; exit 2; }
  exit 0
fi
if [[ $1 == -m && ($2 == dualmode.bin.check_config || $* == *' --check-options') ]]; then
  echo "$*" >>"$CALLS.checks"
  [[ ${STUB_FAIL:-} != check_config ]] || { echo "error: the stub does not like asr.yaml"; exit 2; }
  exit 0
fi
echo "$*" >>"$CALLS"
if [[ $1 == -m ]]; then module=${2##*.} where=$3; shift 2; else module=prepare where=''; shift; fi
[[ $module != import_data ]] || module=prepare
out=''
while (($#)); do
  [[ $1 != --out ]] || out=$2
  shift
done
echo "stub $module"
if [[ ${STUB_FAIL:-} == "$module" ]]; then
  echo "error: the stub was asked to fail"
  exit 3
fi
case $module in
  prepare)
    for set in train valid test; do
      mkdir -p "$out/data/$set"
      for file in wav.scp text utt2spk; do echo "utt $file" >"$out/data/$set/$file"; done
      [[ -z ${STUB_AUDIO:-} ]] || echo "utt $STUB_AUDIO" >"$out/data/$set/wav.scp"
    done
    for set in ${STUB_UNLABELLED:-}; do
      mkdir -p "$out/data/$set"
      for file in wav.scp utt2spk; do echo "utt $file" >"$out/data/$set/$file"; done
    done
    ;;
  validate_data) echo utt reason detail >"$where/rejected.tsv" ;;
  make_tokens) mkdir -p "$out"; touch "$out"/tokens.{txt,json} ;;
  make_fbank) mkdir -p "$out"; touch "$out/feats.scp" ;;
  compute_cmvn) touch "$out" ;;
  pretrain | asr_train)
    echo epoch >>"$out/epochs"
    if [[ ${STUB_HANG:-} == "$module" ]]; then
      [[ -z ${STUB_SAVES:-} ]] || trap 'sleep "$STUB_SAVES"; touch "$out/saved"; exit 75' TERM
      sleep 1000 &
      echo "$$ $!" >"$out/processes.tmp"
      mv "$out/processes.tmp" "$out/processes"
      wait
    fi
    touch "$out/config.yaml"
    ;;
  prune) touch "$out"/{config.yaml,model.pth} ;;
  asr_inference) mkdir -p "$out"; touch "$out"/{text,decode.json} ;;
  export) mkdir -p "$out"; touch "$out/export.json" ;;
  pack_device) mkdir -p "${out%/*}"; touch "$out" ;;
  device_inference) mkdir -p "$out"; touch "$out"/{text,device.json} ;;
  report)
    echo '[]' >"$CORPUS/exp/asr_base/results.json"
    touch "$CORPUS/exp/asr_base/RESULTS.md"
    printf 'set   WER\ntest  1.2\n'
    ;;
esac
