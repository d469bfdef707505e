"""The files that start runs on machines that are not here: their grammar, their objects, and what they call."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from xla_flags import XLA_FLAGS

from jaxseg.reporting.log import read_lines
from jaxseg.storage import is_bucket

SCRIPTS = ("local.sh", "gpu_check.sh", "slurm.sbatch", "tpu_pod.sh")


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_shell(root, name):
    path = root / "launch" / name
    subprocess.run(["bash", "-n", path], check=True)
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", path], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", [*SCRIPTS, "kubernetes.yaml", "Dockerfile"])
def test_headers_say_what_to_edit_and_how_to_watch_stop_and_resume(root, name):
    text = (root / "launch" / name).read_text()
    header = [line for line in text.split("\nset ")[0].splitlines() if line.startswith("#")]
    for what in ("Edit:", "Watch:", "Stop:", "Resume:"):
        assert any(line.startswith(f"# {what}") for line in header), what


SLEEPER = """#!/usr/bin/env bash
[[ $1 == -c ]] && exec {python} "$@"
echo $$ >> "$STARTED"
exec sleep 60
"""


@pytest.mark.slow
def test_a_local_run_ends_as_its_first_process_that_is_killed(root, tmp_path):
    """The runs share their time: each mostly waits for the processes that were not killed."""
    python, runs = tmp_path / "python", []
    python.write_text(SLEEPER.format(python=sys.executable))
    python.chmod(0o755)
    for killed in ((0,), (1,), (0, 1, 2)):
        started = tmp_path / f"started {killed}"
        run = subprocess.Popen(
            ["bash", root / "launch" / "local.sh", "--processes=3"],
            env=os.environ | {"PYTHON": str(python), "STARTED": str(started)}, stderr=subprocess.PIPE,
        )  # fmt: skip
        until(lambda path=started: path.exists() and len(path.read_text().split()) == 3, 60)
        numbers = [int(number) for number in started.read_text().split()]
        for index in killed:
            os.kill(numbers[index], signal.SIGKILL)
        runs.append((killed, run, numbers))
    for killed, run, numbers in runs:
        said = run.communicate(timeout=60)[1]
        assert run.returncode == 128 + signal.SIGKILL, (killed, said)
        assert not any(os.path.exists(f"/proc/{number}") for number in numbers), killed


def objects(root):
    yaml = pytest.importorskip("yaml", reason="reading the YAML needs PyYAML")
    jobset = yaml.safe_load((root / "launch" / "kubernetes.yaml").read_text())
    (replicated,) = jobset["spec"]["replicatedJobs"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "workers"}, **replicated["template"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "worker"}, **job["spec"]["template"]}
    return jobset, job, pod


def test_kubernetes_objects_fit_together(root):
    jobset, job, pod = objects(root)
    name, workers = jobset["metadata"]["name"], jobset["spec"]["replicatedJobs"][0]["name"]
    (container,) = pod["spec"]["containers"]
    given = dict(argument.removeprefix("--").split("=", 1) for argument in container["args"])
    host, port = given["coordinator"].split(":")
    assert host == f"{name}-{workers}-0-0.{name}"  # JobSet's names: JOBSET-REPLICATEDJOB-JOB-POD.JOBSET
    assert [entry["containerPort"] for entry in container["ports"]] == [int(port)]
    assert job["spec"]["completionMode"] == "Indexed"
    assert given["process_id"] == "$(JOB_COMPLETION_INDEX)"
    assert int(given["num_processes"]) == job["spec"]["parallelism"] == job["spec"]["completions"]
    mounts = {entry["name"]: entry["mountPath"] for entry in container["volumeMounts"]}
    assert is_bucket(given["workdir"])  # the pods share no disk
    assert given["config.data.dir"] == mounts["data"]
    assert set(mounts) == {entry["name"] for entry in pod["spec"]["volumes"]}
    assert (root / given["config"]).exists()


def test_kubernetes_objects_fit_their_schemas(root):
    validator = pytest.importorskip("kubernetes_validate", reason="schemas come with kubernetes-validate")
    _, job, pod = objects(root)
    for kubernetes_object in (job, pod):
        validator.validate(kubernetes_object, "1.33", strict=True)


def test_the_dockerfile_copies_what_is_there(root):
    lines = (root / "launch" / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    assert copied
    assert all((root / name).exists() for name in copied)


GCLOUD = """#!/usr/bin/env bash
# In place of Google's: workers are folders, and what would be said to Google is written down.
echo "$*" >> "$HOME/said"
for argument in "$@"; do
    case $argument in --command=*) cd "$HOME/worker" && exec bash -c "${argument#--command=}" ;; esac
done
if [[ $1 == storage ]]; then cp -r "$HOME/bucket/${4#gs://}" "$5"; fi
"""
PROGRAM = '#!/usr/bin/env bash\nprintf "%s\\n" "$@"\ntrap "echo stopped; exit" TERM\nwhile :; do sleep 0.1; done\n'


@pytest.fixture
def tpu(root, tmp_path):
    """Runs a command of tpu_pod.sh against a worker that is a folder."""

    def put(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    put(tmp_path / "bin" / "gcloud", GCLOUD)
    put(tmp_path / "worker" / "jaxseg" / ".venv" / "bin" / "python", PROGRAM)
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}

    def command(*arguments):
        script = str(root / "launch" / "tpu_pod.sh")
        return subprocess.Popen(
            ["bash", script, *arguments], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )

    return command


def test_a_tpu_run_is_started_watched_stopped_collected_and_deleted(tpu, tmp_path):
    watching = tpu("run", "--config", "configs/unet_pets.py", "--config.data.image_size=(64, 64)")
    shown = [watching.stdout.readline().strip() for _ in range(6)]
    assert shown == ["-m", "jaxseg.main", "--distributed=auto", "--workdir=gs://my-bucket/runs/jaxseg", "--config",
                     "configs/unet_pets.py"]  # fmt: skip
    assert watching.stdout.readline().strip() == "--config.data.image_size=(64, 64)"
    finish(tpu("stop"))
    assert finish(watching).strip() == "stopped"
    (tmp_path / "bucket" / "my-bucket" / "runs" / "jaxseg").mkdir(parents=True)
    finish(tpu("collect", "runs"))
    assert (tmp_path / "runs" / "jaxseg").is_dir()
    finish(tpu("delete"))
    assert "tpu-vm delete jaxseg --quiet --zone=us-central2-b" in (tmp_path / "said").read_text()


def finish(process):
    """Waits for a command to end well; what it still said."""
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 0, said
    return said


CLUSTER = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2
PartitionName=all Nodes=ALL Default=YES State=UP
"""


@pytest.fixture
def slurm(root, tmp_path):
    """A Slurm cluster of this machine alone, from Debian's slurm-wlm; asks it and returns what it answers."""
    if not (shutil.which("slurmctld") and shutil.which("munged") and os.geteuid() == 0):
        pytest.skip("a cluster of one machine needs Debian's slurm-wlm and munge, and root")
    folder, host = tmp_path / "slurm", socket.gethostname().split(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    (folder / "slurm.conf").write_text(CLUSTER.format(folder=folder, host=host))
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    environment = {
        **os.environ,
        "SLURM_CONF": str(folder / "slurm.conf"),
        "PYTHON": sys.executable,
        "PYTHONPATH": str(root),
        "XLA_FLAGS": XLA_FLAGS,
    }
    files = {
        "socket": "munge.socket",
        "key-file": "munge.key",
        "pid-file": "munge.pid",
        "log-file": "munge.log",
        "seed-file": "munge.seed",
    }
    daemons = [
        ["munged", "--force", "--foreground", *(f"--{name}={folder / path}" for name, path in files.items())],
        ["slurmctld", "-D"],
        ["slurmd", "-D", "-N", host],
    ]
    running = []
    for daemon in daemons:
        running.append(subprocess.Popen(daemon, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        time.sleep(1)

    def ask(*command):
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600).stdout.strip()

    until(lambda: "idle" in ask("sinfo"), 120)
    yield ask
    for daemon in reversed(running):
        daemon.terminate()
        daemon.wait(20)


def until(condition, seconds):
    """Waits for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.2)


@pytest.mark.slow
def test_a_job_of_two_tasks_is_requeued_and_goes_on(slurm, root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    run, said = tmp_path / "run", tmp_path / "said.txt"
    job = slurm(
        "sbatch", "--parsable", "--nodes=1", "--ntasks-per-node=2", "--cpus-per-task=1", "--gpus-per-node=0",
        f"--output={said}", "launch/slurm.sbatch", "--config=tests/experiments.py", f"--workdir={run}",
        "--config.train.steps=100", "--config.train.evaluate_every=0", "--config.train.checkpoint_every=0",
    )  # fmt: skip
    until(lambda: any(line["step"] >= 3 for line in read_lines(run / "metrics.jsonl")), 200)
    slurm("scancel", "--signal=TERM", job)
    until(lambda: slurm("squeue", "--noheader", f"--jobs={job}", "--states=all", "--format=%T") == "COMPLETED", 600)
    assert "Restarts=1" in slurm("scontrol", "show", "job", job)
    assert f"{run} resumes from step" in said.read_text()
    steps = [line["step"] for line in read_lines(run / "metrics.jsonl") if line["split"] == "train"]
    assert steps == list(range(1, 101))
