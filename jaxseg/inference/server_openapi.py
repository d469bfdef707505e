"""The OpenAPI description of ``POST /predict``."""

from typing import Any

from jaxseg import __version__
from jaxseg.inference.server import Limits

TILES = (0, 256, 512, 1024)  # Sides of tiles that clients may ask for; 0 predicts the image as a whole.
ERRORS = {
    "400": "The upload is no image, is damaged, or an option has no such value.",
    "408": "The upload took too long.",
    "413": "The upload has too many bytes or pixels.",
    "503": "Too many requests wait. Try again later.",
    "504": "The answer took too long.",
}
NUMBER, TEXT, INTEGER = {"type": "number"}, {"type": "string"}, {"type": "integer"}
PNG = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}


def describe_api(limits: Limits) -> dict[str, Any]:
    """Returns the description, OpenAPI 3.1."""
    image = {"image/*": {"schema": {"type": "string", "format": "binary"}}}
    answers: dict[str, Any] = {name: _answer(text, _object(error=TEXT)) for name, text in ERRORS.items()}
    answers["200"] = _answer("The result.", {"oneOf": [_semantic(), _instances()]})
    return {
        "openapi": "3.1.0",
        "info": {"title": "jaxseg", "version": __version__},
        "paths": {
            "/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Segments one image.",
                    "description": f"At most {limits.bytes} bytes and {limits.pixels} pixels.",
                    "parameters": [
                        _parameter("flips", {"type": "boolean", "default": False}, "Merge with the mirrored image."),
                        _parameter("tile", {"type": "integer", "enum": list(TILES), "default": 0}, "Side of tiles."),
                    ],
                    "requestBody": {"required": True, "content": image},
                    "responses": answers,
                }
            }
        },
    }


def _semantic() -> dict[str, Any]:
    """Returns the schema of a semantic result."""
    maybe = {"type": ["number", "null"]}
    about = {"id": INTEGER, "number": INTEGER, "name": TEXT, "background": {"type": "boolean"}}
    one = _object(**about, area=INTEGER, share=NUMBER, color=_array(INTEGER), confidence=maybe)
    confidence = {**PNG, "type": ["string", "null"]}
    return _result("semantic", classes=_array(one), mask_png=PNG, confidence_png=confidence)


def _instances() -> dict[str, Any]:
    """Returns the schema of detected objects."""
    place = {"box": _array(NUMBER), "mask_left": INTEGER, "mask_top": INTEGER, "mask_png": PNG}
    return _result(
        "instances", objects=_array(_object(number=INTEGER, name=TEXT, score=NUMBER, color=_array(INTEGER), **place))
    )


def _result(task: str, **more: Any) -> dict[str, Any]:
    return _object(task={"const": task}, height=INTEGER, width=INTEGER, **more)


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _parameter(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": text}
