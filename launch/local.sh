#!/usr/bin/env bash
# Trains on this machine, in one process with all its devices or in several that share them.
#
#   bash launch/local.sh --config configs/unet_pets.py --workdir runs/unet_pets
#   bash launch/local.sh --processes 2 --devices-per-process 2 --config configs/unet_shapes.py --workdir runs/two
#
# Edit:   nothing. --processes K and --devices-per-process N are flags of this script; all other arguments go to
#         `python -m jaxseg.main`. Both are 1 by default, but one process without N uses all devices. With NVIDIA GPUs
#         each process sees N of them. Without GPUs, N devices are made of the CPU's cores. PYTHON sets another Python.
# Watch:  the progress bar here, `tensorboard --logdir WORKDIR`, or WORKDIR/metrics.jsonl.
# Stop:   Send Ctrl-C or SIGTERM to this script or to one of the processes: all finish the step, save it and end.
# Resume: run the same command. K and N may change.
set -euo pipefail

processes=1 devices=""
arguments=()
while (($#)); do
    case $1 in
        --processes=*) processes=${1#*=} ;;
        --processes) processes=$2 && shift ;;
        --devices-per-process=*) devices=${1#*=} ;;
        --devices-per-process) devices=$2 && shift ;;
        *) arguments+=("$1") ;;
    esac
    shift
done

python=${PYTHON:-python}
if ((processes > 1)); then
    devices=${devices:-1}
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
fi
has_gpus() { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; }

declare -A running=()
# A terminal sends Ctrl-C to the processes too. This script only has to outlive them.
trap : INT
trap 'kill -TERM "${!running[@]}" 2>/dev/null || true' TERM
for ((id = 0; id < processes; id++)); do
    run=(env)
    if [[ -n $devices ]]; then
        if has_gpus && [[ ${JAX_PLATFORMS:-} != cpu ]]; then
            run+=("CUDA_VISIBLE_DEVICES=$(seq -s, $((id * devices)) $(((id + 1) * devices - 1)))")
        else
            run+=("JAX_PLATFORMS=cpu" "JAX_NUM_CPU_DEVICES=$devices")
        fi
    fi
    run+=("$python" -m jaxseg.main)
    if ((processes > 1)); then
        run+=("--coordinator=127.0.0.1:$port" "--num_processes=$processes" "--process_id=$id")
    fi
    "${run[@]}" "${arguments[@]}" &
    running[$!]=$id
done

# The first failure sets the exit status. Without that process, the others would wait forever.
status=0
while ((${#running[@]})); do
    code=0 ended=""
    # If several die at once, `wait -n` reports one and forgets the others.
    for id in "${!running[@]}"; do
        if ! kill -0 "$id" 2>/dev/null; then
            ended=$id
            wait "$id" || code=$?
            break
        fi
    done
    [[ -n $ended ]] || wait -n -p ended "${!running[@]}" || code=$?
    [[ -n ${ended:-} ]] || continue # a signal came, and its trap has run
    unset "running[$ended]"
    ((status)) || status=$code
    if ((code && ${#running[@]})) && ((code < 128 || code == 137)); then
        sleep 5
        kill -KILL "${!running[@]}" 2>/dev/null || true
    fi
done
exit "$status"
