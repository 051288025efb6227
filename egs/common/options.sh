# shellcheck shell=bash disable=SC2034  # whoever sources this file asks $option_given
# Options of a shell script: declared once, they are parsed, checked, and explained by --help.
#
#   option train-hours H 1.2 "size of the train set, hours"     sets $train_hours, 1.2 or what --train-hours says
#   flag   force "do it again"                                  sets $force, false or true
#
# --train-hours 2, --train-hours=2 and --train_hours 2 are the same.  Needs lib.sh.

declare -a option_names=()
declare -A option_unit=() option_default=() option_help=()
declare -A option_given=() # those of the command line

# option NAME UNIT DEFAULT HELP
option() {
  option_names+=("$1")
  option_unit[$1]=$2 option_default[$1]=$3 option_help[$1]=$4
  printf -v "${1//-/_}" %s "$3"
}

# flag NAME HELP
flag() { option "$1" "" false "$2"; }

# heading TEXT: a line of its own in the help.
heading() { option_names+=("# $1"); }

# is_option WORD: whether WORD is --NAME or --NAME=VALUE of a declared option.
is_option() {
  local name=${1%%=*}
  name=${name#--}
  [[ $1 == --* && $name =~ ^[a-z][a-z_-]*$ && -n ${option_unit[${name//_/-}]+declared} ]]
}

# meant WORD: prints how the sentence on an unknown option goes on, with the known one that is most like it.
meant() {
  local name distance best='' lowest=99 word=${1%%=*}
  word=${word#-}
  word=${word#-}
  word=${word//_/-}
  for name in "${option_names[@]}" help; do
    [[ $name != "# "* && ${#word} -gt 1 && ${#word} -lt $((2 * ${#name})) ]] || continue
    if [[ $name == "$word"-* ]]; then distance=1; else distance=$(edits "$word" "$name"); fi
    [[ ${name:0:1} == "${word:0:1}" ]] || distance=$((distance + 1)) # first letters are seldom wrong
    ((distance < lowest && distance <= 1 + ${#name} / 4)) || continue
    best=$name lowest=$distance
  done
  if [[ -n $best ]]; then echo ": did you mean --$best? --help lists all options"; else echo ", see --help"; fi
}

# edits ONE OTHER: prints how many letters have to be put in, left out, changed, or swapped with the next, to get from one
# word to the other (optimal string alignment).
edits() {
  local i j other above=() costs=() higher=()
  for ((j = 0; j <= ${#2}; j++)); do costs[j]=$j; done
  for ((i = 1; i <= ${#1}; i++)); do
    higher=("${above[@]}") above=("${costs[@]}") costs=("$i")
    for ((j = 1; j <= ${#2}; j++)); do
      other=1
      [[ ${1:i-1:1} != "${2:j-1:1}" ]] || other=0
      costs[j]=$((above[j - 1] + other))
      ((costs[j] <= above[j] + 1)) || costs[j]=$((above[j] + 1))
      ((costs[j] <= costs[j - 1] + 1)) || costs[j]=$((costs[j - 1] + 1))
      if ((i > 1 && j > 1)) && [[ ${1:i-2:2} == "${2:j-1:1}${2:j-2:1}" ]]; then
        ((costs[j] <= higher[j - 2] + 1)) || costs[j]=$((higher[j - 2] + 1))
      fi
    done
  done
  echo "${costs[-1]}"
}

# parse_options WORD...: sets the variables; a mistake is one sentence and status 2.
parse_options() {
  local word name
  while (($#)); do
    word=$1
    shift
    [[ $word != --help && $word != -h ]] || { print_help; exit 0; }
    [[ $word == -[a-z-]* ]] ||
      die "unexpected word '$word': options start with --, and a value of several words stands in quotes; see --help"
    is_option "$word" || die "unknown option ${word%%=*}$(meant "$word")"
    name=${word%%=*}
    name=${name#--}
    name=${name//_/-}
    [[ -z ${option_given[$name]:-} || -z ${option_unit[$name]} ]] || log "--$name is given twice, and the last one counts"
    option_given[$name]=true
    if [[ -z ${option_unit[$name]} ]]; then
      [[ $word != *=* ]] || die "--$name takes no value"
      printf -v "${name//-/_}" true
    elif [[ $word == *=* ]]; then
      printf -v "${name//-/_}" %s "${word#*=}"
    else
      # A value may start with -- (--asr-args "--max_epoch 3"), but is not an option of ours.
      if (($# == 0)) || is_option "$1"; then die "--$name needs a value (${option_unit[$name]})"; fi
      printf -v "${name//-/_}" %s "$1"
      shift
    fi
  done
}

# help_columns: prints how wide help may be: as the terminal, between 60 and 100, and 80 where there is none.
help_columns() {
  local columns=${COLUMNS:-}
  [[ -n $columns ]] || read -r _ columns < <(stty size 2>/dev/null) || columns=80
  ((columns > 60)) || columns=60
  ((columns < 100)) || columns=100
  echo "$columns"
}

# filled INDENT [LABEL]: prints standard input in lines of that width behind INDENT blanks, LABEL in those of the first.
filled() {
  local label
  printf -v label "%-$1s" "${2:-}"
  fold -s -w $(($(help_columns) - $1)) | sed "s/^/${label//?/ }/; s/ *$//; 1s/^ \{$1\}/$label/"
}

# print_options: the part of the help that explains them.
print_options() {
  local name default
  for name in "${option_names[@]}"; do
    if [[ $name == "# "* ]]; then
      echo
      filled 0 <<<"${name#"# "}:"
      continue
    fi
    default=" (default: ${option_default[$name]})"
    [[ -n ${option_default[$name]} && -n ${option_unit[$name]} ]] || default=''
    echo "  --$name${option_unit[$name]:+ ${option_unit[$name]}}"
    filled 8 <<<"${option_help[$name]}$default"
  done
}

# changed_options NAME...: the options that differ from their defaults, as words of a command, all but the NAMEs.
changed_options() {
  local name variable
  for name in "${option_names[@]}"; do
    variable=${name//-/_}
    [[ $name != "# "* && " $* " != *" $name "* ]] || continue
    if [[ ${!variable} != "${option_default[$name]}" ]]; then
      if [[ -z ${option_unit[$name]} ]]; then quote "--$name"; else quote "--$name" "${!variable}"; fi
    fi
  done
}

# whole_number NAME LOWEST: stops unless the option's value is a whole number of at least LOWEST.
whole_number() {
  local variable=${1//-/_}
  if ! [[ ${!variable} =~ ^(0|[1-9][0-9]{0,8})$ && ${!variable} -ge $2 ]]; then
    die "--$1 is '${!variable}': it must be a whole number of at least $2"
  fi
}

# percent NAME above|"at least": stops unless the option's value is a number above or from 0, and at most 100.
percent() {
  local variable=${1//-/_}
  if ! [[ ${!variable} =~ ^[0-9]+([.][0-9]+)?$ ]] ||
    ! awk -v value="${!variable}" -v above="$2" 'BEGIN {exit !(value <= 100 && (value > 0 || above != "above"))}'; then
    die "--$1 is '${!variable}': it must be $2 0 and at most 100 percent"
  fi
}
