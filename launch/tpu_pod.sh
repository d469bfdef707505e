#!/usr/bin/env bash
# Trains on a Cloud TPU slice: creates it, runs on all its workers, collects the workdir and deletes the slice.
#
#   bash launch/tpu_pod.sh create
#   export WORKDIR=gs://my-bucket/runs/unet_pets
#   bash launch/tpu_pod.sh run --config configs/unet_pets.py --config.precision=bfloat16
#   bash launch/tpu_pod.sh collect runs
#   bash launch/tpu_pod.sh delete
#
# Needs:  gcloud, logged in, and a bucket in the slice's region. The workers share no disk, so they write checkpoints,
#         metrics and pictures to the bucket. The slice's service account needs the role Storage Object Admin there.
#         Each worker prepares data on its own disk, or copies it from --config.data.dir=gs://my-bucket/data.
# Edit:   the five settings below, or set them in the environment.
# Watch:  bash launch/tpu_pod.sh watch
# Stop:   bash launch/tpu_pod.sh stop: all workers finish the step, save it and end. A slice costs money until delete.
# Resume: use run with the same arguments, on this slice or on a new one of any size.
set -euo pipefail

NAME=${NAME:-jaxseg}
ZONE=${ZONE:-us-central2-b}
TYPE=${TYPE:-v4-32}
RUNTIME=${RUNTIME:-tpu-ubuntu2204-base}
WORKDIR=${WORKDIR:-gs://my-bucket/runs/jaxseg}

root=$(cd "$(dirname "$0")/.." && pwd)
tpu() { gcloud compute tpus tpu-vm "$1" "${@:2}" --zone="$ZONE"; }
on_all() { tpu ssh "$NAME" --worker=all --command="$1"; }

create() {
    tpu create "$NAME" --accelerator-type="$TYPE" --version="$RUNTIME"
    local archive
    archive=$(mktemp --suffix=.tar.gz)
    tar -C "$root" --exclude=.git --exclude=.venv --exclude=./runs --exclude=./data -czf "$archive" .
    tpu scp "$archive" "$NAME:jaxseg.tar.gz" --worker=all
    rm "$archive"
    on_all "set -e; mkdir -p jaxseg; tar -xzf jaxseg.tar.gz -C jaxseg; cd jaxseg
        sudo apt-get update -q; sudo apt-get install -qy python3-venv
        python3 -m venv .venv; .venv/bin/pip install -q -e '.[tpu,gcs]'"
}

run() {
    local arguments
    arguments=$(printf '%q ' "$@")
    # The run outlives this connection. Each worker has a log of its own.
    on_all "cd jaxseg; nohup .venv/bin/python -m jaxseg.main --distributed=auto --workdir=$WORKDIR $arguments \
        >log.txt 2>&1 </dev/null & echo \$! >pid"
    watch
}

watch() { tpu ssh "$NAME" --worker=0 --command="tail -n +1 -f jaxseg/log.txt --pid=\$(cat jaxseg/pid)"; }

stop() { on_all "kill -TERM \$(cat jaxseg/pid)"; }

collect() {
    mkdir -p "$1"
    gcloud storage cp --recursive "$WORKDIR" "$1"
}

case ${1:-} in
    create | watch | stop) "$1" ;;
    run | collect) "$@" ;;
    delete) tpu delete "$NAME" --quiet ;;
    *) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' && exit 2 ;;
esac
