"""Appends one step of ``gpu_check.sh`` to a JSON lines file: what ran, how it ended, its result and the machine."""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
from importlib import metadata
from typing import Any

STATUSES = {0: "ok", 124: "timeout", 137: "timeout"}
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch", "torchvision")


def main() -> None:
    """Reads the flags and appends the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="Name of the step.")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="The JSON lines file.")
    parser.add_argument("--code", type=int, default=0, help="Exit status of the command.")
    parser.add_argument("--skipped", default="", help="Why the step did not run.")
    parser.add_argument("--seconds", type=float, default=0.0, help="How long the command ran.")
    parser.add_argument("--result", type=pathlib.Path, help="A .json file, or the metrics.jsonl of a training.")
    parser.add_argument("--log", type=pathlib.Path, help="What the command printed to stdout.")
    parser.add_argument("--errors", type=pathlib.Path, help="What the command printed to stderr.")
    parser.add_argument("command", nargs="*", help="The command, after --.")
    flags = parser.parse_args()
    status = "skipped" if flags.skipped else STATUSES.get(flags.code, "failed")
    line = {
        "name": flags.name,
        "status": status,
        "exit_status": flags.code,
        "command": flags.command,
        "seconds": flags.seconds,
        "result": read_result(flags.result, read_text(flags.log)),
        "error": flags.skipped or (last_line(read_text(flags.errors)) if status != "ok" else ""),
        "device": device_name(),
        "versions": {"python": platform.python_version(), **installed_versions()},
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    with flags.output.open("a") as file:
        file.write(json.dumps(line) + "\n")


def read_result(path: pathlib.Path | None, printed: str) -> Any:
    """Returns the result of a step: the content of a .json file, or a summary of a training; None without a file."""
    if path is None or not path.exists():
        return None
    if path.suffix == ".jsonl":
        lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        speed = re.search(r"training: .*", printed)
        return {"last": {line["split"]: line for line in lines}, "speed": speed.group().strip() if speed else None}
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError:
        return None


def read_text(path: pathlib.Path | None) -> str:
    """Returns the text of a file; a missing file is empty."""
    return path.read_text(errors="replace") if path and path.exists() else ""


def last_line(text: str) -> str:
    """Returns the last line with content, without JAX's remark that it shortened the traceback.

    Progress bars rewrite their line after a carriage return.
    """
    lines = [line.strip() for line in re.split(r"[\r\n]", text)]
    lines = [line for line in lines if line.strip("-") and not line.startswith("For simplicity, JAX has removed")]
    return lines[-1] if lines else ""


def device_name() -> str:
    """Returns name, memory and driver of the GPU, or the processor of a machine without one."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    if os.environ.get("JAX_PLATFORMS") != "cpu":
        try:
            return subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass
    model = re.search(r"model name\s*: (.*)", read_text(pathlib.Path("/proc/cpuinfo")))
    return f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores"


def installed_versions() -> dict[str, str]:
    """Returns the versions of the libraries that matter and are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
