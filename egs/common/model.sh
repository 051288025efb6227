# shellcheck shell=bash disable=SC2034,SC2154  # variables of the recipe
# What the model of a run is: where fine-tuning starts (--init-asr), and which sub-networks all stages have (--sparsities,
# --chunk-ms).  Called once, when the options have been read; sets what the stages use.

# model_options: declares the options.
model_options() {
  heading "Model"
  option init-asr MODEL "" "stage 4 goes on with this trained recogniser, a folder of exp, a packed model or a sub-network alone, \
by conf/tuning/finetune.yaml; stages 2 and 3 are left out. Its tokens, mean and variance are kept (--tag is then finetune)"
  flag new-tokens "with --init-asr: tokens of this corpus all the same; the model's head is left behind"
  flag new-cmvn "with --init-asr: mean and variance of this corpus all the same"
  option sparsities LIST "" "of the sparse sub-networks, separated by commas, in all stages (default: what each YAML says)"
  option chunk-ms LIST "" "chunks of the streaming sub-networks in ms, separated by commas, in all stages (default: as above)"
}

# choose_model: checks the options; sets $start_from and, for stages 2 to 5, their words and files.
choose_model() {
  subnet_words=() prune_words=()
  if [[ -n $init_asr ]]; then
    [[ $init_asr == /* ]] || init_asr=$caller_dir/$init_asr
    [[ -d $init_asr ]] || die "there is no folder $init_asr (--init-asr)"
    [[ -f $init_asr/config.yaml || -f $init_asr/subnet.json ]] || die "$init_asr is no model folder: it has no config.yaml and no subnet.json (--init-asr)"
    [[ -d $init_asr/tokens ]] || die "$init_asr is no recogniser: it has no tokens (--init-asr)"
    init_asr=$(cd "$init_asr" && pwd -P)
    [[ $from_scratch == false && -z $prune_asr ]] || die "--init-asr does not go with --from-scratch and --prune-asr: they say what else stage 4 starts from"
    weights_of "$init_asr" >/dev/null
    [[ -n ${option_given[tag]:-} ]] || tag=finetune
    [[ -n ${option_given[asr-config]:-} ]] || asr_config=conf/tuning/finetune.yaml
    if [[ -f $init_asr/subnet.json && -z $sparsities ]]; then sparsities=0; fi
  else
    [[ $new_tokens == false && $new_cmvn == false ]] || die "--new-tokens and --new-cmvn go with --init-asr"
  fi
  check_list sparsities '0([.][0-9]+)?' 'shares of the weights below 1, such as 0.5,0.7'
  check_list chunk-ms '[1-9][0-9]*' 'whole numbers of ms, such as 320,640'
  # Fine-tuning leaves the masks as they are: sparsities then say which of the model's are decoded.
  if [[ -n $sparsities && -z $init_asr ]]; then
    prune_words=(--sparsities "$sparsities")
    subnet_words+=(--encoder_conf "sparsities=[$sparsities]")
  fi
  [[ -z $chunk_ms ]] || subnet_words+=(--encoder_conf "chunk_ms=[$chunk_ms]")
}

# not_needed: whether the stage that runs, 2 or 3, makes something that no later one starts from; says so.
not_needed() {
  local why=''
  if [[ -n $init_asr ]]; then
    why="fine-tuning starts from $init_asr"
  elif [[ $from_scratch == true ]]; then
    why="fine-tuning starts from random weights (--from-scratch)"
  elif [[ $prune_tag != "$tag" ]]; then
    why="fine-tuning starts from $exp/prune_$prune_tag (--prune-tag)"
  elif ((stage_now == 2)) && [[ -n $prune_asr ]]; then
    why="stage 3 prunes $exp/asr_$prune_asr (--prune-asr)"
  elif ((stage_now == 2)) && [[ $pretrain_tag != "$tag" ]]; then
    why="stage 3 prunes $exp/pretrain_$pretrain_tag (--pretrain-tag)"
  fi
  [[ -n $why ]] || return
  log "stage $stage_now: not needed, $why"
}

# weights_of MODEL: prints a file of a model folder that changes with its weights (dualmode/models/weights.py says which
# one is read).
weights_of() {
  local file
  for file in "$1"/{{subnet,model}.safetensors,model.pth} "$1"/*.ave.pth "$1"/*.best.pth "$1"/latest.pth; do
    [[ ! -f $file ]] || { echo "$file"; return; }
  done
  die "there are no weights in $1"
}

# same_tokens ONE OTHER: whether two token lists are the same.
same_tokens() {
  local name
  for name in tokens.txt tokens.json bpe.model; do
    [[ -f $1/$name || -f $2/$name ]] || continue
    cmp -s "$1/$name" "$2/$name" || return
  done
}

# check_list NAME PATTERN EXAMPLE: stops unless the option is empty or numbers of this form, separated by commas.
check_list() {
  local variable=${1//-/_}
  [[ -z ${!variable} || ${!variable} =~ ^$2(,$2)*$ ]] || die "--$1 is '${!variable}': it must be $3"
}

# choose_decoders: writes what stage 5 decodes with, in the place of $decoders: each YAML of a streaming sub-network, once
# for each of --sparsities and --chunk-ms.  In $1.
choose_decoders() {
  local config target sparsity chunk name made=() sparse=() chunks=()
  [[ -n $sparsities$chunk_ms ]] || return 0
  mkdir -p "$1"
  for config in "${decoders[@]}"; do
    if grep -qE '^[^#]*[{,] *(chunk_ms|sparsity):' "$config"; then
      die "$config must have a line for each key: --sparsities and --chunk-ms fill in others there"
    fi
    if ! grep -qE '^chunk_ms: *[0-9]' "$config"; then
      made+=("$config")
      continue
    fi
    split_words sparse "${sparsities//,/ }"
    # All weights, as a stream.
    if ! grep -q '^sparsity:' "$config" || grep -qE '^sparsity: *0([.]0*)?([[:space:]]|$)' "$config"; then sparse=(); fi
    split_words chunks "${chunk_ms//,/ }"
    for sparsity in "${sparse[@]:-}"; do
      for chunk in "${chunks[@]:-}"; do
        name=${config##*/}
        name=${name%.*}
        ((${#sparse[@]} < 2)) || name+=_$sparsity
        ((${#chunks[@]} < 2)) || name+=_${chunk}ms
        target=$1/$name.yaml
        sed -E -e '' ${sparsity:+-e "s/^(sparsity: *)[^ #]+/\\1$sparsity/"} ${chunk:+-e "s/^(chunk_ms: *)[^ #]+/\\1$chunk/"} \
          -- "$config" >"$target.tmp"
        mv "$target.tmp" "$target"
        made+=("$target")
      done
    done
  done
  decoders=("${made[@]}")
}
