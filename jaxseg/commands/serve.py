"""Shows a trained model on a local web page, and predicts for programs.

jaxseg serve runs/unet_pets
jaxseg serve runs/unet_pets --checkpoint best --port 9000
jaxseg serve --model pets.jaxseg

``--config.data.resize=none`` changes a field of the run's config, for this page.
``curl --data-binary @photo.jpg http://127.0.0.1:8000/predict`` returns JSON; /openapi.json describes it. Everybody who
reaches the address can use it: there are no passwords. Only this machine reaches the default address.
"""

import argparse
import importlib.util
import os
import socket

from jaxseg.commands import process
from jaxseg.commands.arguments import Parser
from jaxseg.storage import as_path

LOOPBACK = ("127.0.0.1", "localhost")


def main(arguments: list[str]) -> None:
    """Serves until Ctrl-C."""
    parser = Parser("serve", __doc__)
    parser.add_argument("run", nargs="?", metavar="RUN", help="Folder of a trained run, such as runs/unet_pets.")
    parser.add_argument("--workdir", help="The same as RUN.")
    parser.add_argument("--model", help="File of `jaxseg export`, instead of a run, such as pets.jaxseg.")
    parser.add_argument("--checkpoint", default="latest", help="Checkpoint: latest, best or a step. Default: latest.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 lets other machines in. Default: 127.0.0.1."
    )
    parser.add_argument("--port", type=int, default=8000, help="Port, such as 9000; 0 chooses one. Default: 8000.")
    parser.add_argument("--batch", type=int, default=4, help="Waiting requests that share a batch. Default: 4.")
    parser.add_argument("--waiting", type=int, default=32, help="Requests that may wait. Default: 32.")
    parser.add_argument("--max_bytes", type=int, default=20_000_000, help="Largest upload. Default: 20000000.")
    parser.add_argument("--max_pixels", type=int, default=25_000_000, help="Largest image. Default: 25000000.")
    parser.add_argument("--timeout", type=float, default=60, help="Seconds per upload and per answer. Default: 60.")
    parser.add_changes()
    options = parser.parse(arguments)
    if sum(map(bool, (options.run, options.workdir, options.model))) != 1:
        parser.error("give either the folder of a run or --model")
    if options.model:
        parser.refuse_changes(options, "Leave it out: an exported file keeps the config of its run.")
    for flag in ("batch", "waiting", "max_bytes", "max_pixels", "timeout"):
        if not getattr(options, flag) > 0:
            parser.error(f"--{flag} is {getattr(options, flag)}; expected more than 0")
    if not 0 <= options.port < 1 << 16:
        parser.error(f"--port is {options.port}; expected 1 to 65535, or 0 for a free one")
    check_libraries()
    process.prepare()

    # OpenCV decodes some formats before Pillow can tell their size, so it needs the limit too.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(options.max_pixels))
    with listen(options.host, options.port) as listener:
        serve(options, listener)


def serve(options: argparse.Namespace, listener: socket.socket) -> None:
    """Loads the model, compiles what requests use, and serves until Ctrl-C."""
    import uvicorn

    from jaxseg.commands import prediction
    from jaxseg.inference.server import Limits
    from jaxseg.inference.server_app import make_app
    from jaxseg.inference.trial_images import trial_images

    if options.model:
        predictor = prediction.of_export(options.model)
    else:
        folder = as_path(options.run or options.workdir)
        predictor = prediction.of_run(folder, options.checkpoint, options.changes)
    examples, origin = trial_images(predictor.trained.config.data)
    limits = Limits(options.max_bytes, options.max_pixels, options.waiting, options.batch, options.timeout)
    hosts = LOOPBACK if options.host in LOOPBACK else ("*",)
    print("compiling ...", flush=True)
    app = make_app(predictor, limits, examples, hosts, warm_up=True)
    address = f"http://{options.host}:{listener.getsockname()[1]}"
    print(f"{address} shows the model, with {len(examples)} {origin}; Ctrl-C ends it", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on")).run(sockets=[listener])


def check_libraries() -> None:
    """Checks that the web libraries are installed.

    Raises:
      ValueError: one is missing.
    """
    for name in ("starlette", "uvicorn"):
        if importlib.util.find_spec(name) is None:
            raise ValueError(f"jaxseg serve needs {name}, which is not installed. Run pip install 'jaxseg[serve]'.")


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens.

    Raises:
      ValueError: the address is in use or does not exist.
    """
    try:
        return socket.create_server((host, port))
    except socket.gaierror as error:
        raise ValueError(f"--host is {host}: {error.strerror}. Give an address of this machine.") from None
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"--host {host} --port {port}: {reason}. Give another --port, or 0 for a free one.") from None
