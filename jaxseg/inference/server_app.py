"""The web application of ``jaxseg serve``: a page for people and ``POST /predict`` for programs.

It opens no file by a name from a request: the page and the examples are in memory.
"""

import asyncio
import base64
import contextlib
import importlib.resources
from collections.abc import AsyncIterator, Sequence
from typing import Any

import cv2
import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from jaxseg.inference.exported import ExportedPredictor
from jaxseg.inference.predictor import Predictor
from jaxseg.inference.server import ImageTooLarge, Limits, QueueFull, Service
from jaxseg.inference.server_answers import to_answer, to_png
from jaxseg.inference.server_openapi import TILES, describe_api

EXAMPLE_SIDE = 1024  # Longer side of the example images, in pixels.
POLICY = "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data: blob:"


class Refusal(Exception):
    """An answer to a request that cannot be fulfilled: an HTTP status and a sentence."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def make_app(
    predictor: Predictor,
    limits: Limits = Limits(),  # noqa: B008, immutable
    examples: Sequence[np.ndarray] = (),
    hosts: Sequence[str] = ("127.0.0.1", "localhost"),
    warm_up: bool = False,
) -> Starlette:
    """Returns the web application.

    Args:
      predictor: makes the results.
      limits: bounds of uploads and of the queue.
      examples: images, uint8 ``[h, w, 3]``, which the page offers.
      hosts: names under which browsers may address the server; ``*`` allows all. It protects against DNS rebinding.
      warm_up: whether to compile first what requests for images of the examples' sizes use.
    """
    service = Service(predictor, to_answer, limits)
    examples = [_shrink(image) for image in examples]
    views = _Views(service, examples)
    if warm_up and examples:
        service.warm_up(examples, **request_options(predictor))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with service:
            yield

    routes = [
        Route("/", views.page),
        Route("/predict", views.predict, methods=["POST"]),
        Route("/info", views.info),
        Route("/examples/{number:int}.png", views.example),
        Route("/openapi.json", views.openapi),
    ]
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))]
    return Starlette(routes=routes, middleware=middleware, lifespan=lifespan, exception_handlers={Refusal: _refuse})


def request_options(predictor: Predictor, flips: bool = False, tile: int = 0) -> dict[str, Any]:
    """Returns the options of the predictor for a request."""
    if isinstance(predictor, ExportedPredictor):
        return {}
    return {"flips": flips, "tile": tile, "confidence": predictor.task == "semantic"}


class _Views:
    """The answers to requests."""

    def __init__(self, service: Service, examples: list[np.ndarray]):
        self.service, self.limits = service, service.limits
        self.can_vary = not isinstance(service.predictor, ExportedPredictor)
        self.examples = [base64.b64decode(to_png(image)) for image in examples]
        self.html = importlib.resources.files("jaxseg.inference").joinpath("server_page.html").read_text("utf-8")

    async def page(self, request: Request) -> Response:
        """Returns the page for people."""
        return HTMLResponse(self.html, headers={"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"})

    async def info(self, request: Request) -> Response:
        """Returns what the page must know of the model."""
        predictor = self.service.predictor
        about = {"model": predictor.trained.config.model.name, "task": predictor.task}
        names = {"class_names": list(predictor.class_names), "examples": len(self.examples)}
        return JSONResponse({**about, **names, "can_vary": self.can_vary, "limits": self.limits._asdict()})

    async def example(self, request: Request) -> Response:
        """Returns an example image."""
        number = request.path_params["number"]
        if number >= len(self.examples):
            raise Refusal(404, f"there is no example {number}")
        return Response(self.examples[number], media_type="image/png")

    async def openapi(self, request: Request) -> Response:
        """Returns the OpenAPI description of this server."""
        return JSONResponse(describe_api(self.limits))

    async def predict(self, request: Request) -> Response:
        """Predicts the image in the body of a request."""
        options = self._options(request)
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise Refusal(
                400, "the body is a form; expected the bytes of an image alone (curl --data-binary @photo.jpg)"
            )
        encoded = await self._body(request)
        try:
            future = asyncio.wrap_future(self.service.submit(encoded, **options))
            return JSONResponse(await asyncio.wait_for(future, self.limits.seconds))
        except QueueFull as error:
            raise Refusal(503, str(error)) from error
        except TimeoutError as error:
            raise Refusal(504, f"the answer took more than {self.limits.seconds:g} seconds") from error
        except ImageTooLarge as error:
            raise Refusal(413, str(error)) from error
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        except Exception as error:
            raise Refusal(500, f"internal error: {type(error).__name__}") from error

    def _options(self, request: Request) -> dict[str, Any]:
        """Returns the options of the predictor that the address asks for."""
        flips, tile = request.query_params.get("flips", "false"), request.query_params.get("tile", "0")
        if flips not in ("true", "false"):
            raise Refusal(400, f"flips is {flips[:20]!r}; expected true or false")
        if tile not in map(str, TILES):  # A free choice would compile programs without end.
            raise Refusal(400, f"tile is {tile[:20]!r}; expected one of {', '.join(map(str, TILES))}")
        if not self.can_vary and (flips == "true" or tile != "0"):
            raise Refusal(400, "an exported model predicts whole images; expected no flips and no tile")
        return request_options(self.service.predictor, flips == "true", int(tile))

    async def _body(self, request: Request) -> bytes:
        """Returns the body; it is refused as soon as it exceeds the limit."""
        too_large = Refusal(413, f"the upload is too large; expected at most {self.limits.bytes} bytes")
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > self.limits.bytes:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.seconds):
                async for part in request.stream():
                    body += part
                    if len(body) > self.limits.bytes:
                        raise too_large
        except TimeoutError as error:
            raise Refusal(408, f"the upload took more than {self.limits.seconds:g} seconds") from error
        except ClientDisconnect as error:
            raise Refusal(400, "the upload broke off") from error
        if not body:
            raise Refusal(400, "the upload is empty; expected the bytes of an image file")
        return bytes(body)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    headers = {"Retry-After": "1"} if error.status == 503 else None
    return JSONResponse({"error": str(error)}, error.status, headers)


def _shrink(image: np.ndarray) -> np.ndarray:
    factor = EXAMPLE_SIDE / max(image.shape[:2])
    if factor >= 1:
        return image
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
