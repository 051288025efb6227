# shellcheck shell=bash disable=SC2154  # most variables are set by options.sh or by the corpus
# The recipe: stages 0 to 7, the same for all corpora.  egs/<corpus>/run.sh sources this file, sets what is its own,
# and calls  recipe "$@".  What a corpus sets:
#
#   about, title, notes=()                a paragraph for --help, heading and remarks of RESULTS.md
#   test_sets=()                          beside train and valid
#   pool_sets=()                          those of them that have no text are for pre-training only; may be left out
#   config_suffix                         of the configurations of stages 2 and 4: pretrain_base.yaml; may be left out
#   token_type, vocab_size, speeds        defaults of the options of these names
#   needed_gb                             disk space that a whole run takes, GB
#   prepare_command=()                    command that writes data/<set>, asked for by the function prepare_data
#   prepare_inputs=()                     files that it reads; may be left out: the Python files in local/
#   validation=(--read-audio)             whether stage 0 decodes all audio; may be left out
#   own_options                           function that declares its options, for prepare_data to use
#   own_checks                            function that looks at their values before any work; may set all of the above;
#                                         may be left out
#   own_config_checks                     function that looks, with Python, at what stage 0 will be given, before any stage;
#                                         may be left out
#   own_notes                             function that adds remarks on the data to $notes, in stage 6; may be left out
#   places=()                             those of its options that say where something is, not what: not in RESULTS.md
set -euo pipefail
export LC_ALL=C.UTF-8 # letters are the same ones everywhere

unset CDPATH # by which cd would go elsewhere, or say where it went
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
corpus_dir=$(cd "$(dirname "$0")" && pwd -P)
caller_dir=$PWD
[[ -z ${DUALMODE_VENV:-} || $DUALMODE_VENV == /* ]] || DUALMODE_VENV=$caller_dir/$DUALMODE_VENV
# shellcheck source=egs/common/lib.sh
source "$root/egs/common/lib.sh"
# shellcheck source=egs/common/options.sh
source "$root/egs/common/options.sh"
# shellcheck source=egs/common/model.sh
source "$root/egs/common/model.sh"
# shellcheck source=egs/common/steps.sh
source "$root/egs/common/steps.sh"
# shellcheck source=egs/common/upkeep.sh
source "$root/egs/common/upkeep.sh"

stage_names=(
  "data preparation: Kaldi folders, validated"
  "features, mean and variance, token list"
  "pre-training of the supernet, without text"
  "pruning: the mask of the sparse sub-network"
  "fine-tuning of the supernet, with text"
  "decoding of every test set with every sub-network"
  "results"
  "the device model in the device runtimes (needs tools/setup.sh --with-device and a C++ compiler)"
)
last_stage=$((${#stage_names[@]} - 1))
results_stage=6
devices=() # steps of stage 7, which scores again
pool_sets=() config_suffix='' validation=(--read-audio)
# Job wrappers with their options, see tools/cluster.  Empty: in processes of the recipe.
feature_cmd='' decode_cmd='' train_cmd=''
cmd_file=$corpus_dir/cmd.sh
[[ -f $cmd_file ]] || cmd_file=$root/egs/common/cmd.sh
# shellcheck source=egs/common/cmd.sh
source "$cmd_file"
own_checks() { :; }
own_config_checks() { :; }
own_notes() { :; }

common_options() {
  heading "What to run"
  option stage N 0 "first stage to run"
  option stop-stage N "$results_stage" "last stage to run (--stop_stage too, as with every option)"
  flag force "do the stages asked for again, from the start, even if they are done; model folders are kept as *.old-DATE"
  upkeep_options
  option work-dir DIR "" "where data, dump and exp are written (default: the corpus's folder)"
  option tag NAME base "name of this experiment: exp/pretrain_NAME, exp/prune_NAME, exp/asr_NAME"
  option pretrain-tag NAME "" "stage 3 prunes exp/pretrain_NAME, of another experiment, and stage 2 is left out (default: that of --tag)"
  option prune-asr NAME "" "stage 3 prunes the trained recogniser exp/asr_NAME instead, which stage 4 then trains further; stage 2 is left out"
  option prune-tag NAME "" "stage 4 starts with exp/prune_NAME, of another experiment, and stages 2 and 3 are left out (default: that of --tag)"
  model_options
  heading "Configuration (files are looked for in the corpus's folder, then in yours, then in the repository's)"
  option pretrain-config FILE "conf/tuning/pretrain$config_suffix.yaml" "YAML of stage 2"
  option prune-config FILE conf/tuning/prune.yaml "YAML of stage 3"
  option asr-config FILE "conf/tuning/asr$config_suffix.yaml" "YAML of stage 4"
  option decode-configs FILES "conf/decode_dense.yaml conf/decode_sparse.yaml" \
    "YAMLs of stage 5, separated by spaces; decode_NAME.yaml decodes into exp/asr_*/decode_NAME_<set>"
  option pretrain-args WORDS "" "more options for ESPnet's trainer in stage 2, such as \"--max_epoch 20 --accum_grad 4\""
  option prune-args WORDS "" "more options for dualmode prune in stage 3, such as \"--calibrate DIR\""
  option asr-args WORDS "" "more options for ESPnet's trainer in stage 4"
  option device-args WORDS "" "sub-network of stage 7, such as \"--subnet sparse_0.7 --chunk-ms 640\" (default: that of --device-decode)"
  option device-decode NAME sparse "decoding of stage 5 that stage 7 compares transcripts with: that of decode_NAME.yaml"
  option seed N "" "seed of both trainings (default: what their YAMLs say, else 0)"
  flag from-scratch "stage 4 starts with random weights instead of those of stages 2 and 3, which are left out, to see what these are worth"
  flag emission-delay "stage 6 also measures how late the streaming sub-networks put words out (needs tools/setup.sh --with-align)"
  heading "Data"
  option speeds LIST "$speeds" "speed factors of the training set, a copy of it for each, separated by commas"
  option feature-bytes N 4 "bytes of a feature on disk: 4 (float32), or 2 or 1 (compressed, see docs/scale.md)"
  option token-type TYPE "$token_type" "char, word or bpe (SentencePiece)"
  option vocab-size N "${vocab_size:-}" "number of tokens, of type bpe only"
  option label-share PERCENT 100 "share of the training set's transcripts that stage 4 uses, drawn by the seed; stage 2 hears all"
  option max-rejected PERCENT 1 "stop if a larger share of a set's utterances is faulty, percent"
  own_options
  heading "Machine"
  option jobs N "$(cores)" "processes for data and features"
  option nj N 32 "jobs that share features or decoding, where cmd.sh sends these to a cluster"
  option ngpu N 0 "GPUs for training, of each machine; 0 uses the CPU"
  option decode-device NAME "" "where stage 5 decodes: cpu, cuda or cuda:N (default: what the YAML says, else cpu)"
  option num-nodes N 1 "machines for training, where cmd.sh sends it to a cluster"
}

print_help() {
  local n
  echo "usage: ${corpus_dir#"$root/"}/run.sh [options]"
  echo
  filled 0 <<<"$about"
  printf '\nStages:\n'
  for ((n = 0; n <= last_stage; n++)); do filled 5 "  $n" <<<"${stage_names[n]}"; done
  echo
  filled 0 <<<"What is done already is skipped, and done again when its configuration, or a step before it, has changed. \
A run that was interrupted or killed goes on when it is started again with the same options."
  print_options
  printf '\nEnvironment:\n'
  filled 20 "  DUALMODE_VENV" <<<"Python environment to use as it is (default: tools/venv, which tools/setup.sh makes when needed)"
  filled 20 "  OMP_NUM_THREADS" <<<"CPU threads of training and decoding, as for any PyTorch program (default: all cores)"
}

# find_file OPTION TEXT: prints the path of a file that is named relative to the corpus's folder, to the caller's, or to
# the repository, whose conf/ holds what the corpora share.
find_file() {
  local path where caller=$caller_dir
  [[ $caller/ != "$root"/* ]] || caller=../..${caller#"$root"}
  for path in "$2" "$caller/$2" "../../$2"; do
    if [[ -f $path ]]; then
      echo "${path#"$corpus_dir/"}"
      return
    fi
  done
  where=$(printf '%s\n' "$corpus_dir" "$caller_dir" "$root" | awk '!seen[$0]++' | paste -sd , | sed 's/,/, /g')
  die "there is no file $2 (--$1): it is looked for in $where"
}

# one_spelling DIR: prints a folder, named relative to the caller's, as an absolute path however it was typed; nothing of
# nothing.  What is named by a link stays so.
one_spelling() {
  local dir=$1
  [[ -z $dir || $dir == /* ]] || dir=$caller_dir/$dir
  [[ -z $dir ]] || realpath -ms -- "$dir"
}

# check_options: stops on impossible ones, before any work.
check_options() {
  local name variable files=()
  prepare_inputs=(local/*.py)
  choose_model
  for name in stage stop-stage ${seed:+seed} ngpu; do whole_number "$name" 0; done
  for name in jobs nj num-nodes; do whole_number "$name" 1; done
  [[ $decode_device =~ ^(cpu|cuda(:[0-9]{1,3})?)?$ ]] ||
    die "--decode-device is '$decode_device': it must be cpu, cuda, or one GPU such as cuda:1"
  [[ $num_nodes == 1 || $train_cmd != *run.pl* ]] || die "--num-nodes $num_nodes, but train_cmd in $cmd_file is run.pl, of one machine"
  [[ $num_nodes == 1 || -n $train_cmd ]] || die "--num-nodes $num_nodes needs a cluster: say cmd_backend=slurm in front of the command, or set train_cmd in $cmd_file"
  [[ -z ${option_given[nj]:-} || -n $feature_cmd$decode_cmd ]] ||
    die "--nj $nj is of a cluster: say cmd_backend=slurm in front of the command"
  ((stage <= last_stage)) || die "--stage is $stage: the stages are 0 to $last_stage"
  ((stop_stage <= last_stage)) || die "--stop-stage is $stop_stage: the stages are 0 to $last_stage"
  ((stage <= stop_stage)) ||
    die "--stage $stage comes after --stop-stage, which is $stop_stage: say --stop-stage $stage too, or begin earlier"
  pretrain_tag=${pretrain_tag:-$tag} prune_tag=${prune_tag:-$tag}
  for name in tag pretrain-tag prune-tag ${prune_asr:+prune-asr}; do
    variable=${name//-/_}
    [[ ${!variable} =~ ^[A-Za-z0-9._-]+$ ]] ||
      die "--$name is '${!variable}': letters, digits, '.', '_' and '-' make a good folder name"
  done
  case $feature_bytes in 4 | 2 | 1) ;; *) die "--feature-bytes is '$feature_bytes': it must be 4, 2 or 1" ;; esac
  case $token_type in char | word | bpe) ;; *) die "--token-type is '$token_type': it must be char, word or bpe" ;; esac
  percent label-share above
  percent max-rejected "at least"
  [[ -n $speeds ]] || die "--speeds is '': for the training set as it is, say --speeds 1.0"
  check_list speeds '(0?[.][5-9][0-9]*|1([.][0-9]*)?|2([.]0*)?)' 'factors from 0.5 to 2, such as 0.9,1.0,1.1'
  [[ -z $vocab_size ]] || whole_number vocab-size 1
  [[ $token_type != bpe || -n $vocab_size || $stage -gt 1 || (-n $init_asr && $new_tokens == false) ]] ||
    die "--token-type bpe needs --vocab-size, such as 500"
  [[ -z $vocab_size || -z ${option_given[vocab-size]:-} || $token_type == bpe ]] ||
    die "--vocab-size is for --token-type bpe, and the tokens here are of type $token_type"
  pretrain_config=$(find_file pretrain-config "$pretrain_config")
  prune_config=$(find_file prune-config "$prune_config")
  asr_config=$(find_file asr-config "$asr_config")
  split_words files "$decode_configs"
  ((${#files[@]})) || die "--decode-configs names no file"
  decoders=()
  for name in "${files[@]}"; do decoders+=("$(find_file decode-configs "$name")"); done
  name=$(for name in "${decoders[@]}"; do decode_name "$name" SET; done | sort | uniq -d | head -n 1)
  [[ -z $name ]] || die "--decode-configs names two files that would decode into the same folder, $name: rename one"
  # Sizes that stage 4 does not name are those of what it starts from, or would start from.
  sizes_from=()
  if [[ $from_scratch == true ]] && ! grep -qE '^ *output_size:|[{,] *output_size:' "$asr_config"; then
    sizes_from=(--encoder-from "$pretrain_config")
  fi
}

# set_environment: the same for every command of the recipe.
set_environment() {
  environment=${DUALMODE_VENV:-$root/tools/venv}
  [[ -n ${DUALMODE_VENV:-} ]] || bash "$root/tools/setup.sh" || exit
  [[ -x $environment/bin/python ]] || die "there is no Python environment $environment (DUALMODE_VENV): unset the variable, and tools/setup.sh makes one"
  export PATH=$environment/bin:$PATH PYTHONPATH=$root:$root/runtime PYTHONUNBUFFERED=1
  # Threads that wait for others spin briefly, then sleep, as dualmode/tasks has it: spinning on beside another busy
  # process stops a training dead.
  [[ -n ${OMP_WAIT_POLICY:-} ]] || export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-3000}
  export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
}

recipe() {
  local n command began seconds=()
  common_options
  cd "$corpus_dir"
  command="${corpus_dir#"$root/"}/run.sh"
  parse_options "$@"
  # As it was typed: before files are looked for.
  how=$command$(changed_options stage stop-stage force dry-run clean-old yes work-dir jobs nj ngpu decode-device num-nodes "${places[@]}")
  check_options
  own_checks
  [[ $work_dir == '' || $work_dir == /* ]] || work_dir=$caller_dir/$work_dir
  [[ -z $work_dir ]] || work_dir=$(realpath -m -- "$work_dir") # one name, however it is spelled
  [[ $work_dir != *,* ]] || die "--work-dir $work_dir has a comma in its path, at which ESPnet would cut it: name another folder"
  local folder=${work_dir:-$corpus_dir}
  ! command -v iconv >/dev/null || iconv -f UTF-8 -t UTF-8 <<<"$folder" >/dev/null 2>&1 ||
    die "the work folder ${folder@Q} has a name that is not UTF-8, as lists and configurations are: name another --work-dir"
  [[ $clean_old == true ]] || settle
  # Paths in commands and results stay short where the work folder is the corpus's.
  [[ $work_dir != "$corpus_dir" ]] || work_dir=''
  work=${work_dir:+$work_dir/}
  data=${work}data dump=${work}dump exp=${work}exp
  pretrained=$exp/pretrain_$tag pruned=$exp/prune_$tag recogniser=$exp/asr_$tag
  done_dir=$exp/.done log_dir=$exp/log
  tokens=$data/token_list
  if [[ -n $init_asr && $new_tokens == false ]] && ! same_tokens "$tokens" "$init_asr/tokens"; then tokens=$init_asr/tokens; fi

  [[ $clean_old == false ]] || { clean_old_folders; return; }
  [[ $dry_run == false ]] || { dry_run_of_stages; return; }
  make_folder "${work_dir:-.}"
  set_environment
  check_gpus
  check_wrappers
  # Data are made by one run alone; from stage 2 on, several experiments may run side by side.
  local with='' run_lock=${work_dir:-$corpus_dir}/.run.lock
  ((stage < 2)) || with=shared
  lock "$run_lock" "$with" "; once its data are made, --stage 2 --tag NAME begins another experiment beside it"
  check_disk "${work_dir:-$corpus_dir}" "$needed_gb"
  make_folder "$done_dir" "$log_dir"
  lock_experiment "$exp/.lock_$tag"
  [[ -f $done_dir/.place ]] || printf '%s\n' "${corpus_dir##*/}" "${work_dir:-$corpus_dir}" >"$done_dir/.place"
  start_guard
  choose_decoders "$exp/conf_$tag"
  check_device_decode
  check_packages
  check_configs
  tell_skipped
  for ((n = stage; n <= stop_stage; n++)); do
    stage_now=$n began=$SECONDS
    ((n != 2 || stage >= 2)) || share_lock "$run_lock"
    log "stage $n: ${stage_names[n]}"
    "stage_$n"
    seconds[n]=$((SECONDS - began))
  done
  log "time of each stage:"
  for n in "${!seconds[@]}"; do printf '  %d  %-55s %s\n' "$n" "${stage_names[n]}" "$(duration "${seconds[n]}")"; done
  log "all asked for is done in $(duration "$SECONDS")"
  if ((stop_stage >= results_stage)); then show_results; fi
}

# settle: stops before a work folder of another recipe is written over, and before trainings are made anew because theirs
# was moved: commands and lists name it.  Under its name of before, as a link, it goes on.  In the corpus's own folder only
# lists name it, and may be meant to name that of another checkout, which this one was copied from.
settle() {
  local here=${work_dir:-$corpus_dir} owner was file
  file=$here/exp/.done/.place
  [[ -f $file ]] || return 0
  { read -r owner && read -r was; } <"$file" || return 0
  if [[ $here == "$corpus_dir" ]]; then
    [[ -f $was/exp/.done/.place ]] ||
      die "$here was $was when its steps were done, and lists of audio and features name that place: move it back, or leave a \
link there (mkdir -p$(quote "$(dirname "$was")"); ln -sn$(quote "$here" "$was")); where neither is needed any more, remove $file"
    return 0
  fi
  [[ $owner == "${corpus_dir##*/}" ]] || ((stage > 1)) ||
    die "$work_dir is the work folder of the recipe $owner, whose data would be replaced: use another --work-dir (or, if that \
recipe was renamed, remove $file)"
  [[ $(realpath -m -- "$was") == "$work_dir" ]] || die "$work_dir was $was when its steps were done, and their commands and \
lists name that place: move it back, or leave a link there (ln -s$(quote "$work_dir" "$was")); to have all of it made anew here, \
trainings too, remove $file"
  work_dir=$was
}

# check_device_decode: stops before any work if stage 7 would compare with a decoding that there is not.
check_device_decode() {
  local config name known=() args
  ((stop_stage >= 7)) || return 0
  if [[ ! -f $done_dir/${tag}_decode_${device_decode}_${test_sets[0]} ]]; then
    for config in "${decoders[@]}"; do
      name=$(decode_name "$config" '')
      name=${name#decode_}
      known+=("${name%_}")
    done
    [[ " ${known[*]} " == *" $device_decode "* ]] ||
      die "--device-decode is '$device_decode': it must be a decoding of stage 5, which are: ${known[*]}"
  fi
  device_subnet
}

# check_configs: stops before any work if the YAML of the stages asked for cannot be used, alone or together.  What was
# found good is looked at again only when it says something else.
check_configs() {
  local quiet=true on_failure=refused
  ((stage > 0)) || own_config_checks
  ((stage <= 5 && stop_stage >= 2)) || return 0
  local config checked=$done_dir/.configs_$tag words files=("$asr_config" "${decoders[@]}")
  local command=(python -m dualmode.bin.check_config --asr "$asr_config" "--asr-args=$asr_args ${subnet_words[*]}" --decode "${decoders[@]}")
  # What stage 4 starts from is known here if this experiment makes it.
  if [[ -n $init_asr ]]; then
    command+=(--init "$init_asr")
    files+=("$init_asr"/{config.yaml,subnet.json})
  elif [[ $from_scratch != true && -z $prune_asr && $pretrain_tag == "$tag" && $prune_tag == "$tag" ]] && is_made_from_here; then
    command+=(--pretrain "$pretrain_config" "--pretrain-args=$pretrain_args ${subnet_words[*]}" --prune "$prune_config"
      "${prune_words[@]}")
    files+=("$pretrain_config" "$prune_config")
  elif ((${#sizes_from[@]})); then
    command+=("${sizes_from[@]}")
    files+=("$pretrain_config")
  elif [[ $from_scratch != true ]]; then
    check_other_start
  fi
  [[ -z $prune_args || -n $init_asr ]] || ((stage > 3)) || command+=("--prune-args=$prune_args")
  words=$(quote "${command[@]}"; for config in "${files[@]}"; do [[ ! -f $config ]] || meaning "$config"; done)
  [[ ! -f $checked || $(<"$checked") != "$words" ]] || return 0
  run_logged "check_config_$tag" "${command[@]}"
  last_run "$log_dir/check_config_$tag.log" | grep '^warning: ' || true
  [[ $dry_run == false ]] || return 0
  printf '%s\n' "$words" >"$checked.tmp"
  mv "$checked.tmp" "$checked"
}

# is_made_from_here: whether what stage 4 starts from comes of the configurations, not from a folder of an earlier run.
is_made_from_here() {
  ((stage <= 2)) || [[ $stage -le 3 && ! -f $pretrained/config.yaml || $stage -gt 3 && ! -f $pruned/config.yaml ]]
}

# check_other_start: adds to $command and $files of check_configs what another experiment hands over, if that is there.
check_other_start() {
  local start=$exp/pretrain_$pretrain_tag/config.yaml pruned_here=true
  [[ -z $prune_asr ]] || start=$exp/asr_$prune_asr/config.yaml
  if ((stage > 3)) || [[ $prune_tag != "$tag" ]]; then start=$exp/prune_$prune_tag/config.yaml pruned_here=false; fi
  if [[ ! -f $start ]]; then
    command+=(--start-unknown)
    return
  fi
  command+=(--start "$start")
  files+=("$start")
  if [[ $pruned_here == true ]]; then
    command+=(--prune "$prune_config" "${prune_words[@]}")
    files+=("$prune_config")
  fi
}

# refused STATUS LOG: stops on a configuration that cannot be used; the check's own sentence names its file.
refused() {
  local why log=" (log: $2)"
  why=$(last_run "$2" | sed -n 's/^error: //p' | tail -n 1)
  # Nobody finds the log and the configurations of a dry run again.
  [[ $dry_run == false ]] || { why=${why//"$scratch/"/"$exp/"} log=''; }
  [[ $1 != 2 || -z $why ]] || die "the configuration was refused: $why$log"
  last_run "$2" | tail -n 5 | sed 's/^/    /' >&2
  die "the configurations could not be checked in the Python environment $environment (status $1)$log"
}

# check_packages: stops before any work if what is needed behind the trainings is not installed.
check_packages() {
  local why
  if [[ $emission_delay == true ]] && ((stop_stage >= results_stage)); then
    why=$(python -m dualmode.extras -- --emission-delay ctc_segmentation 2>&1) || die "${why##*error: }"
  fi
  if ((stop_stage >= 7)); then
    why=$(python -m dualmode.extras --engine "stage 7" onnx onnxruntime onnxscript sherpa_onnx 2>&1) || die "${why##*error: }"
  fi
}

# check_gpus: stops before any work if the GPUs that are asked for are not on this machine, where training runs on it.
check_gpus() {
  [[ ! $decode_device =~ ^cuda || -n $decode_cmd ]] ||
    python -c 'import sys, torch; sys.exit(torch.cuda.device_count() <= int(sys.argv[1] or 0))' "${decode_device:5}" ||
    die "--decode-device $decode_device, but PyTorch does not see that GPU on this machine (what does nvidia-smi say?)"
  [[ $ngpu != 0 && -z $train_cmd ]] || return 0
  python -c 'import sys, torch; sys.exit(torch.cuda.device_count() < int(sys.argv[1]))' "$ngpu" ||
    die "--ngpu $ngpu, but PyTorch sees fewer GPUs on this machine (what does nvidia-smi say?)"
}

# check_wrappers: stops before any work if a job wrapper of the stages asked for is not there, or will not take its options.
check_wrappers() {
  local name why names=()
  ((stage > 1 || stop_stage < 1)) || names+=(feature_cmd)
  ((stage > 4 || stop_stage < 2)) || names+=(train_cmd)
  ((stage > 5 || stop_stage < 5)) || names+=(decode_cmd)
  for name in "${names[@]}"; do
    [[ -n ${!name} ]] || continue
    why=$(python -m dualmode.cluster.check "${!name}" 2>&1) || die "$name in $cmd_file: ${why##*error: }"
  done
}

# array_of CMD LOGS: sets $array, the options that let a command share its work among jobs with their logs in the folder
# LOGS; nothing without CMD.  Jobs of two experiments with the same logs would be taken for each other.
array_of() {
  array=()
  [[ -z $1 ]] || array=(--cmd "$1" --nj "$nj" --log "$2")
}

# launcher_of FOLDER: sets $launcher and $machine, words before and after a training's command, by where it runs.
launcher_of() {
  local cores='' threads=${OMP_NUM_THREADS:-4}
  launcher=() machine=(--ngpu "$ngpu")
  ((ngpu <= 1)) || machine+=(--multiprocessing_distributed true) # a process for each GPU
  [[ -n $train_cmd ]] || return 0
  machine=()
  # The launcher asks for a core a GPU on several machines, for none on one; slurm.pl takes the larger number.  A process and
  # its readers need two for each GPU.
  ((ngpu == 0)) || threads=$((2 * ngpu))
  [[ $train_cmd == *--num[-_]threads* ]] || cores=" --num-threads $threads"
  launcher=(python -m espnet2.bin.launch --cmd "$train_cmd$cores" --log "$1/job.log" --ngpu "$ngpu" --num_nodes "$num_nodes"
    --init_file_prefix "$1/.dist_init_" --multiprocessing_distributed "$( ((ngpu > 1)) && echo true || echo false)" --)
}

# unlabelled_sets: prints those of $pool_sets that have no text.
unlabelled_sets() {
  local set
  for set in "${pool_sets[@]}"; do [[ ! -d $data/$set || -f $data/$set/text ]] || echo "$set"; done
}

stage_0() {
  local set
  prepare_data
  step prepare "the corpus" --inputs "${prepare_inputs[@]}" \
    --outputs "$data"/{train,valid}/wav.scp "${test_sets[@]/#/"$data/"}" \
    --compared "$data" --uncounted --jobs "$jobs" -- "${prepare_command[@]}"
  for set in train valid "${test_sets[@]}"; do
    step "validate_$set" "validation of $set" --inputs "$data/$set"/{wav.scp,text,utt2spk} --watched "$data/$set"/{spk2utt,utt2dur} --after prepare \
      --outputs "$data/$set/rejected.tsv" --uncounted --jobs "$jobs" -- \
      python -m dualmode.bin.validate_data "$data/$set" "${validation[@]}" --max-rejected "$max_rejected"
  done
  for set in $(unlabelled_sets); do
    step "validate_$set" "validation of $set" --inputs "$data/$set"/{wav.scp,utt2spk} --watched "$data/$set"/{spk2utt,utt2dur} --after prepare \
      --outputs "$data/$set/rejected.tsv" --uncounted --jobs "$jobs" -- \
      python -m dualmode.bin.validate_data "$data/$set" --no-text "${validation[@]}" --max-rejected "$max_rejected"
  done
}

stage_1() {
  local set options array size=() stored=()
  [[ $feature_bytes == 4 ]] || stored=(--value-bytes "$feature_bytes")
  array_of "$feature_cmd" "$log_dir"
  [[ $token_type != bpe || -z $vocab_size ]] || size=(--vocab-size "$vocab_size")
  if [[ -n $init_asr && $new_tokens == false ]]; then
    log "stage 1: the token list is that of $init_asr"
  else
    step tokens "the token list" --inputs "$data"/train/{text,rejected.tsv} --outputs "$tokens"/tokens.{txt,json} \
      --intact "$tokens" -- \
      python -m dualmode.bin.make_tokens --text "$data/train/text" --exclude "$data/train/rejected.tsv" \
      --type "$token_type" "${size[@]}" --out "$tokens"
  fi
  for set in train valid "${test_sets[@]}"; do
    # Test utterances that cannot be recognised without error stay in: leaving them out would flatter the result.
    case $set in
      train) options=(--speeds "$speeds" --unseen reject) ;;
      valid) options=(--unseen reject) ;;
      *) options=(--unseen warn) ;;
    esac
    step "fbank_$set" "features of $set" --after prepare \
      --watched "$data/$set"/{wav.scp,text,utt2spk} "$tokens"/{tokens.json,bpe.model} \
      --inputs "$data/$set/rejected.tsv" "$tokens/tokens.txt" --outputs "$dump/$set/feats.scp" --intact "$dump/$set" \
      --uncounted --jobs "$jobs" --max-rejected "$max_rejected" "${array[@]}" -- \
      python -m dualmode.bin.make_fbank --data "$data/$set" --out "$dump/$set" --tokens "$tokens" "${options[@]}" "${stored[@]}"
    tell_newer_audio "$set"
  done
  for set in $(unlabelled_sets); do
    step "fbank_$set" "features of $set" --after prepare --watched "$data/$set"/{wav.scp,utt2spk} --inputs "$data/$set/rejected.tsv" \
      --outputs "$dump/$set/feats.scp" --intact "$dump/$set" --uncounted --jobs "$jobs" --max-rejected "$max_rejected" "${array[@]}" -- \
      python -m dualmode.bin.make_fbank --data "$data/$set" --out "$dump/$set" "${stored[@]}"
    tell_newer_audio "$set"
  done
  if [[ -n $init_asr && $new_cmvn == false ]]; then
    log "stage 1: mean and variance are those of $init_asr"
    return
  fi
  step cmvn "mean and variance" --after fbank_train --outputs "$data/cmvn.json" --intact "$data/cmvn.json" -- \
    python -m dualmode.bin.compute_cmvn --feats "$dump/train/feats.scp" --out "$data/cmvn.json"
}

# tell_newer_audio SET: warns of recordings that were written after the features of their set were begun.  That alone makes
# nothing anew: whoever copies a corpus, or fetches it again, writes the same once more.  What an import cut or converted is
# in its list recordings.
tell_newer_audio() {
  local begun=$done_dir/fbank_$1.watched newer
  [[ $dry_run == false && -f $begun ]] || return 0
  newer=$({ sed -E 's/^[^ \t]+[ \t]+//' "$data/$1/wav.scp"; cat "$data/$1/recordings"; } 2>/dev/null |
    tr '\n' '\0' | xargs -0 -r stat -L -c '%.Y %n' -- 2>/dev/null |
    awk -v begun="$(stat -c %.Y "$begun")" '$1 > begun {if (!count++) {sub(/^[^ ]+ /, ""); first = $0}}
      END {if (count) print count ", such as " first}') || true # recordings may be gone once their features are there
  [[ -z $newer ]] || log "stage 1: warning: recordings of $1 were written after its features were begun ($newer): if they hold \
something else now, --stage 0 --stop-stage 1 --force has them read again"
}

stage_2() {
  local set more after=(fbank_train fbank_valid) pool=() launcher machine
  not_needed && return
  launcher_of "$pretrained"
  split_words more "$pretrain_args"
  for set in $(unlabelled_sets); do after+=("fbank_$set") pool+=(--train "$dump/$set"); done
  step "pretrain_$tag" "pre-training" --after "${after[@]}" --inputs "$pretrain_config" "$data/cmvn.json" \
    --folder "$pretrained" --outputs "$pretrained/config.yaml" --intact "$pretrained"/{config.yaml,'*.ave.pth','*.best.pth'} \
    --launcher "${launcher[@]}" :: --uncounted "${machine[@]}" -- \
    python -m dualmode.bin.pretrain --config "$pretrain_config" --train "$dump/train" "${pool[@]}" \
    --valid "$dump/valid" --cmvn "$data/cmvn.json" --out "$pretrained" ${seed:+--seed "$seed"} "${subnet_words[@]}" "${more[@]}"
}

stage_3() {
  local more source=pretrain_$pretrain_tag
  not_needed && return
  [[ -z $prune_asr ]] || source=asr_$prune_asr
  split_words more "$prune_args"
  step "prune_$tag" "pruning" --after "$source" --inputs "$prune_config" \
    --folder "$pruned" --outputs "$pruned"/{config.yaml,model.pth} --intact "$pruned"/{config.yaml,model.pth} -- \
    python -m dualmode.bin.prune --config "$prune_config" --model "$exp/$source" --out "$pruned" "${prune_words[@]}" "${more[@]}"
}

stage_4() {
  local more after=(fbank_train fbank_valid) init=() labelled=$dump/train launcher machine cmvn=(--cmvn "$data/cmvn.json")
  launcher_of "$recogniser"
  split_words more "$asr_args"
  if [[ -n $init_asr ]]; then
    init=(--init "$init_asr")
    [[ $new_cmvn == true ]] || cmvn=()
  elif [[ $from_scratch != true ]]; then
    after+=("prune_$prune_tag") init=(--init "$exp/prune_$prune_tag")
  fi
  # DIR:WEIGHT takes that share of a set.
  [[ $label_share == 100 ]] || labelled+=:$(awk -v share="$label_share" 'BEGIN {print share / 100}')
  step "asr_$tag" "fine-tuning" --after "${after[@]}" \
    --inputs "$asr_config" ${sizes_from:+"${sizes_from[1]}"} ${cmvn:+"${cmvn[1]}"} "$tokens/tokens.txt" \
    ${init_asr:+"$(weights_of "$init_asr")"} \
    --watched "$tokens"/{tokens.json,bpe.model} --folder "$recogniser" --outputs "$recogniser/config.yaml" \
    --intact "$recogniser"/{config.yaml,'*.ave.pth','*.best.pth'} "$recogniser/tokens" --launcher "${launcher[@]}" :: --uncounted "${machine[@]}" -- \
    python -m dualmode.bin.asr_train --config "$asr_config" --train "$labelled" --valid "$dump/valid" \
    --tokens "$tokens" "${cmvn[@]}" "${init[@]}" "${sizes_from[@]}" --out "$recogniser" ${seed:+--seed "$seed"} \
    "${subnet_words[@]}" "${more[@]}"
}

# decode_name CONFIG SET: prints the name of a decoding's folder, decode_sparse_test.
decode_name() {
  local subnet=${1##*/}
  subnet=${subnet%.*}
  echo "decode_${subnet#decode_}_$2"
}

stage_5() {
  local set config name array lm where=()
  array_of "$decode_cmd$(gpu_of_decoding)" "$recogniser/log"
  [[ -z $decode_device ]] || where=(--device "$decode_device")
  for set in "${test_sets[@]}"; do
    for config in "${decoders[@]}"; do
      name=$(decode_name "$config" "$set")
      lm=$(sed -nE "s/^lm: *[\"']?([^\"'#]*[^\"'# ]).*/\1/p" "$config") # a language model is an input, too
      step "${tag}_$name" "$name" --after "asr_$tag" "fbank_$set" --inputs "$config" --watched ${lm:+"$lm"} \
        --outputs "$recogniser/$name"/{text,decode.json} --intact "$recogniser/$name"/{text,decode.json} \
        --uncounted "${where[@]}" "${array[@]}" -- \
        python -m dualmode.bin.asr_inference --config "$config" --model "$recogniser" --data "$dump/$set" \
        --out "$recogniser/$name"
    done
  done
}

# gpu_of_decoding: prints the option by which a cluster gives each job of stage 5 a GPU, where it decodes on one.
gpu_of_decoding() {
  [[ -n $decode_cmd && $decode_cmd != *--gpu* ]] || return 0
  if [[ $decode_device == cuda* ]] || { [[ -z $decode_device ]] && grep -qE '^device: *["'\'']?cuda' "${decoders[@]}"; }; then
    echo " --gpu 1"
  fi
}

stage_6() {
  # Stage 7 comes here again: what own_notes adds must not stay.
  local set config note notes=("${notes[@]}") decodes=("${devices[@]}") options=()
  [[ -n ${would_run[prepare]:-} ]] || own_notes # which look at the data
  [[ $emission_delay != true ]] || measure_delays
  for set in "${test_sets[@]}"; do
    for config in "${decoders[@]}"; do decodes+=("${tag}_$(decode_name "$config" "$set")"); done
  done
  [[ -z $made_otherwise ]] || notes+=("Made by other commands than the one below says: $made_otherwise.")
  for note in "${notes[@]}"; do options+=(--note "$note"); done
  for set in "${test_sets[@]}"; do
    [[ ! -f $data/$set/utt2subsets ]] || { options+=(--subsets-dir "$data"); break; }
  done
  # Of what this experiment starts from; what another one was made with is in its own results.
  if [[ -z $init_asr && $from_scratch == false && $prune_tag == "$tag" ]]; then
    [[ -n $prune_asr || $pretrain_tag != "$tag" ]] || options+=(--config "$pretrain_config")
    options+=(--config "$prune_config")
  fi
  ((${#sizes_from[@]} == 0)) || options+=(--config "${sizes_from[1]}")
  for config in "${decoders[@]}"; do options+=(--config "$config"); done
  step "report_$tag" "scoring" --after "${decodes[@]}" --outputs "$recogniser"/{RESULTS.md,results.json} \
    --watched "$data"/*/utt2subsets --quiet -- \
    python -m dualmode.bin.report --exp "$recogniser" --data-dir "$dump" --title "$title" --command "$how" "${options[@]}"
}

# measure_delays: finds when words were said, and how much later each streaming decoding put them out; adds its steps to
# $decodes.
measure_delays() {
  local name
  for set in "${test_sets[@]}"; do
    step "align_${tag}_$set" "word times of $set" --after "asr_$tag" "fbank_$set" \
      --outputs "$recogniser/align_$set/ctm" --intact "$recogniser/align_$set/ctm" -- \
      python -m dualmode.bin.align --model "$recogniser" --data "$dump/$set" --out "$recogniser/align_$set"
    for config in "${decoders[@]}"; do
      grep -q '^chunk_ms: *[0-9]' "$config" || continue
      name=$(decode_name "$config" "$set")
      step "delay_${tag}_$name" "emission delay of $name" --after "align_${tag}_$set" "${tag}_$name" \
        --outputs "$recogniser/$name/emission_delay.json" --intact "$recogniser/$name/emission_delay.json" -- \
        python -m dualmode.bin.emission_delay --decode "$recogniser/$name" --ctm "$recogniser/align_$set/ctm" \
        --model "$recogniser" --data "$dump/$set"
      decodes+=("delay_${tag}_$name")
    done
  done
}

# stage_7: exports for sherpa-onnx and for our engine, decodes the test sets in both, and adds rows to the results.
stage_7() {
  local set precision sherpa=$recogniser/sherpa-onnx engine=$recogniser/engine args
  device_subnet
  step "export_$tag" "export for sherpa-onnx" --after "asr_$tag" --outputs "$sherpa/export.json" --intact "$sherpa" -- \
    python -m dualmode.bin.export "$recogniser" --format sherpa-onnx "${args[@]}" --int8 --out "$sherpa"
  for precision in fp32 int8; do
    step "pack_device_${precision}_$tag" "file for our engine, $precision" --after "asr_$tag" \
      --outputs "$engine/$precision.dmdl" --intact "$engine/$precision.dmdl" -- \
      python -m dualmode.bin.pack_device --model "$recogniser" "${args[@]}" --precision "$precision" \
      --out "$engine/$precision.dmdl"
    for set in "${test_sets[@]}"; do
      device_decode_set sherpa-onnx "$sherpa" "export_$tag"
      device_decode_set engine "$engine/$precision.dmdl" "pack_device_${precision}_$tag"
    done
  done
  stage_6
}

# device_subnet: sets $args, the options of stage 7's sub-network: those given, or else what --device-decode decodes as.
device_subnet() {
  local config key value own=''
  split_words args "$device_args"
  ((${#args[@]} == 0)) || return 0
  for config in "${decoders[@]}"; do
    [[ $(decode_name "$config" '') != "decode_${device_decode}_" ]] || own=$config
  done
  [[ -n $own ]] || die "stage 7 has the sub-network of decode_$device_decode.yaml (--device-decode), which is not among \
--decode-configs: name it there, or say which by --device-args"
  grep -qE '^chunk_ms: *[0-9]' "$own" ||
    die "stage 7 streams, and $own (--device-decode) has no line chunk_ms: with a number: say which sub-network by --device-args"
  for key in sparsity chunk_ms left_ms lookahead_ms; do
    value=$(sed -nE "s/^$key: *([0-9.]+).*/\1/p" "$own")
    [[ $key != lookahead_ms ]] || value=${value:-0} # as decoding has it, whatever the model begins with
    [[ -z $value ]] || args+=("--${key//_/-}" "$value")
  done
}

# device_decode_set RUNTIME MODEL STEP: decodes $set in $precision.
device_decode_set() {
  local name=device_${1}_${precision}_$set reference=decode_${device_decode}_$set
  step "${tag}_$name" "$name" --after "$3" "${tag}_$reference" --watched "$data/$set/wav.scp" \
    --outputs "$recogniser/$name"/{text,device.json} --intact "$recogniser/$name"/{text,device.json} -- \
    python -m dualmode.bin.device_inference --model "$2" --precision "$precision" --wav-scp "$data/$set/wav.scp" \
    --reference "$recogniser/$reference/text" --out "$recogniser/$name"
  devices+=("${tag}_$name")
}

# show_results: what the last report printed, as the last thing on the screen.
show_results() {
  last_run "$log_dir/report_$tag.log"
}
