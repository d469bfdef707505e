#!/usr/bin/env bash
# Checks, measures and trains jaxseg on one GPU within a few minutes; each result is appended to a file as it comes.
#
#   python launch/gpu_data.py --source ../shared/data --output .gpu_data        # once, on a machine with the data
#   bash launch/gpu_check.sh --data .gpu_data --output gpu_check.jsonl --minutes 9
#   bash launch/gpu_check.sh --only correctness,bench_unet --minutes 4
#   bash launch/gpu_check.sh --smoke --data .gpu_data                           # tiny, on the CPU
#
# Steps: the list at the end, most valuable first. --only takes their names, or the beginning of names up to a "_".
# Edit:   nothing. --data FOLDER has the compact data sets; steps whose data is missing are skipped. --minutes N limits
#         the whole script. Variables: PETS_STEPS, CAMVID_STEPS, ISBI_STEPS, MASK_STEPS are the steps of each
#         training, WORKERS the processes that load data, PYTHON another Python.
# Watch:  one line per step here. The output file has a JSON object per step; beside it lie a .log with all that the
#         steps printed, and the last picture of each training.
# Stop:   Ctrl-C. What is in the output file stays.
# Resume: the same command with --only and the steps that are missing. Lines are appended.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

smoke="" data="" output=gpu_check.jsonl minutes=9 only=""
while (($#)); do
    case $1 in
        --smoke) smoke=yes ;;
        --data | --output | --minutes | --only)
            (($# > 1)) || { echo "$1 needs a value" >&2 && exit 2; }
            declare "${1#--}=$2" && shift
            ;;
        --*=*)
            [[ ${1%%=*} =~ ^--(data|output|minutes|only)$ ]] || { echo "unknown argument $1" >&2 && exit 2; }
            name=${1%%=*} && declare "${name#--}=${1#*=}"
            ;;
        *) echo "unknown argument $1; see the head of $0" >&2 && exit 2 ;;
    esac
    shift
done
[[ $minutes =~ ^[0-9]+$ ]] || { echo "--minutes is $minutes; expected a whole number" >&2 && exit 2; }
mkdir -p "$(dirname "$output")"

python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
child=""
trap '[[ -z $child ]] || kill "$child"; exit 130' INT TERM
export PYTHONUNBUFFERED=1 JAX_PLATFORMS=${JAX_PLATFORMS:-cuda,cpu}
[[ -z $smoke ]] || export JAX_PLATFORMS=cpu
end=$((SECONDS + minutes * 60 - 10)) # a command that ignores its deadline is killed 10 seconds later
failures=0 steps=0

# Whether --only has this step: by its name, or by the beginning of its name.
chosen() {
    local one
    [[ -n $only ]] || return 0
    for one in ${only//,/ }; do
        [[ $1 == "$one" || $1 == "$one"_* ]] && return 0
    done
    return 1
}

# step NAME LIMIT RESULT COMMAND...: runs a command for at most LIMIT seconds and appends its line to the output.
step() {
    local name=$1 limit=$2 result=$3 start=$SECONDS code=0
    shift 3
    chosen "$name" || return 0
    steps=$((steps + 1))
    local record=("$python" launch/gpu_record.py --name "$name" --output "$output")
    if ((end - SECONDS < 15)); then
        "${record[@]}" --skipped "no time left" -- "$@"
        echo "$name: skipped, no time left"
        return 0
    fi
    [[ -z $smoke ]] || limit=$((limit * 4)) # a busy CPU compiles slowly
    ((limit < end - SECONDS)) || limit=$((end - SECONDS))
    timeout --kill-after=10 "$limit" "$@" >"$work/$name.out" 2>"$work/$name.err" </dev/null &
    child=$!
    wait "$child" || code=$?
    child=""
    "${record[@]}" --code "$code" --seconds $((SECONDS - start)) --result "$result" \
        --log "$work/$name.out" --errors "$work/$name.err" -- "$@"
    { echo "=== $name" && cat "$work/$name.out" "$work/$name.err"; } | tr '\r' '\n' >>"${output%.jsonl}.log"
    echo "$name: exit status $code after $((SECONDS - start)) s of at most $limit"
    ((code == 0)) || failures=$((failures + 1))
    return "$code"
}

# bench NAME LIMIT FLAGS...: measures a config.
bench() {
    local name=$1 limit=$2
    shift 2
    step "$name" "$limit" "$work/$name.json" \
        "$python" -m jaxseg.benchmark "$@" --config.data.dir="$work/data" --output "$work/$name.json"
}

# train NAME LIMIT CONFIG FLAGS...: trains a config; a training that runs out of time is evaluated where it stopped.
train() {
    local name=$1 limit=$2 config=$3 folder=$work/$1 code=0
    shift 3
    local command=("$python" -m jaxseg.main --config "$config" --workdir "$folder" --config.data.dir="$work/data" "$@")
    step "$name" "$limit" "$folder/metrics.jsonl" "${command[@]}" || code=$?
    if ((code == 124)); then
        step "${name}_evaluate" 60 "$work/${name}_evaluate.out" "${command[@]}" --mode=evaluate
    fi
    local pictures=("$folder"/pictures/*.png)
    [[ ! -f ${pictures[-1]} ]] || cp "${pictures[-1]}" "$(dirname "$output")/$name.png"
}

# needs FOLDER NAME COMMAND...: runs a command on data that is there.
needs() {
    local folder=$1 name=$3
    shift
    if [[ -n $data && -d $data/$folder ]]; then
        "$@"
    elif chosen "$name"; then
        steps=$((steps + 1))
        "$python" launch/gpu_record.py --name "$name" --output "$output" --skipped "no data in ${data:-?}/$folder"
        echo "$name: skipped, no data in ${data:-?}/$folder"
    fi
}

# Models and data are at full width, or tiny with --smoke.
workers=${WORKERS:-8}
precision=(--config.precision=bfloat16) mask_config=configs/mask_rcnn_coco.py
short=(--rounds=3 --seconds=0.5)
unet=() detector=() no_warmup=() wide=(--config.data.min_size=1024 --config.data.max_size=1024)
large=(--config.data.image_size=512 --config.train.batch_size=16)
torch=(--against torch) eager=(--against torch "--modes=eager,channels_last")
cases=() pets_steps=${PETS_STEPS:-2160} camvid_steps=${CAMVID_STEPS:-1840}
isbi_steps=${ISBI_STEPS:-1500} mask_steps=${MASK_STEPS:-800}
if [[ -n $smoke ]]; then
    workers=0
    short=(--rounds=1 --seconds=0) torch=() eager=()
    unet=(--config.model.features=4 --config.model.depth=1 --config.train.batch_size=2 --config.data.image_size=32)
    large=()
    precision=(--config.precision=float32) mask_config=configs/mask_rcnn_shapes.py
    detector=(--config.model.depth=18 --config.model.width=4 --config.model.channels=8 --config.model.hidden=8
        --config.train.batch_size=2 --config.data.crop_size=64 --config.data.name=coco
        --config.model.proposal.{pre,post}_nms_top_n=20 --config.model.training_proposal.{pre,post}_nms_top_n=20
        --config.model.rpn_sampling.batch_size_per_image=8 --config.model.box_sampling.batch_size_per_image=8)
    wide=(--config.data.min_size=64 --config.data.max_size=64)
    cases=(--only "unet,roi_align_einsum,nms" --threads 2)
    no_warmup=(--config.optimizer.warmup_steps=0)
    pets_steps=2 camvid_steps=2 isbi_steps=2 mask_steps=2
fi
pets=(--config configs/unet_pets.py "${precision[@]}" "${unet[@]}" "${short[@]}")
coco=(--config "$mask_config" "${precision[@]}" --config.train.batch_size=8 "${detector[@]}" "${short[@]}")

# The steps. Limits are in seconds. On an H200, autotuning made compiling the largest part: 50 s of a U-Net's training,
# over 90 s of a detector's. The correctness step does not autotune. Steps at once, each with --only and its own --output,
# make better use of 16 CPU cores: correctness and six benchmarks compiled in 172 s. With JAX_COMPILATION_CACHE_DIR
# set, they start at once when they are measured alone. Ten trainings at once compiled for 90 to 180 s each, but a detector
# among them did not finish in 400 s: train it alone.
step correctness 150 "$work/correctness.json" \
    env XLA_FLAGS="${XLA_FLAGS:-} --xla_gpu_autotune_level=0" "$python" launch/gpu_correctness.py --output "$work/correctness.json" "${cases[@]}"
bench bench_unet_train 180 "${pets[@]}" --classes=3 --what=train "${torch[@]}"
bench bench_mask_rcnn_train 240 "${coco[@]}" "${wide[@]}" --classes=91 --what=train "${eager[@]}"
bench bench_mask_rcnn_roi_align 60 "${coco[@]}" "${wide[@]}" --classes=91 --what=roi_align "${eager[@]}"
bench bench_mask_rcnn_predict 180 "${coco[@]}" "${wide[@]}" --classes=91 --what=predict "${eager[@]}"
bench bench_unet_predict 120 "${pets[@]}" --classes=3 --what=predict "${torch[@]}"
needs oxford_iiit_pet train train_pets 130 configs/unet_pets_strong.py "${unet[@]}" ${smoke:+--config.data.crop_size=32} \
    "${precision[@]}" --config.data.source_dir="$data/oxford_iiit_pet" --config.train.steps="$pets_steps" \
    --config.train.checkpoint_every=0 "${no_warmup[@]}"
needs oxford_iiit_pet train train_mask_rcnn 240 configs/mask_rcnn_pets.py "${detector[@]}" ${smoke:+"${wide[@]}"} \
    "${precision[@]}" --config.data.name=oxford_pets \
    --config.data.source_dir="$data/oxford_iiit_pet" --config.train.steps="$mask_steps" --config.data.workers="$workers" \
    --config.optimizer.warmup_steps=100 --config.train.checkpoint_every=0 "${no_warmup[@]}"
needs camvid train train_camvid 180 configs/unet_camvid.py "${unet[@]}" "${no_warmup[@]}" "${precision[@]}" \
    --config.data.source_dir="$data/camvid" --config.train.steps="$camvid_steps" --config.data.workers="$workers"
needs isbi2012 train train_isbi 160 configs/unet_isbi.py "${unet[@]}" "${no_warmup[@]}" "${precision[@]}" \
    --config.data.source_dir="$data/isbi2012" --config.train.steps="$isbi_steps" --config.data.workers="$workers" \
    --config.train.evaluate_every=500 --config.train.checkpoint_every=500
bench bench_unet512_train 180 "${pets[@]}" "${large[@]}" --classes=3 --what=train "${torch[@]}"
needs oxford_iiit_pet bench bench_input 60 "${pets[@]}" --what=input --config.data.source_dir="$data/oxford_iiit_pet"
needs coco_tiny bench bench_evaluate 100 "${coco[@]}" ${smoke:+"${wide[@]}"} --what=evaluate \
    --config.data.source_dir="$data/coco_tiny" --config.data.train=val --config.train.steps=2000 \
    --config.init.weights= --config.data.workers="$workers"
bench bench_unet512_predict 120 "${pets[@]}" "${large[@]}" --classes=3 --what=predict "${torch[@]}"
((steps)) || { echo "--only is $only; expected names of steps. See the end of $0" >&2 && exit 2; }
echo "results: $output; $failures step(s) failed"
((failures == 0))
