"""Teaches Orbax to write to ``s3://``. By itself, it knows disks and ``gs://`` only.

TensorStore, with which Orbax writes arrays, has a driver for S3. Orbax 0.12 chooses the driver in four small functions,
which are replaced here by ones that also know ``s3://``. The rest of what it does for ``gs://`` is right for S3 too. It
marks a whole checkpoint with a file, for example, since nothing can be renamed. See
https://github.com/google/orbax/pull/2739.
"""

import os
import pathlib
import re
from typing import Any

S3 = "s3://"
GCS = "gs://"


def teach_orbax_s3(place: pathlib.Path) -> None:
    """Replaces Orbax's functions, once, if a path is in an S3 bucket.

    Raises:
      ValueError: this version of Orbax has other functions.
    """
    if not str(place).startswith(S3):
        return
    from orbax.checkpoint._src.path import gcs_utils
    from orbax.checkpoint._src.serialization import tensorstore_utils

    functions = (
        (tensorstore_utils, "_normalize_path"),
        (tensorstore_utils, "_use_gcs_driver"),
        (gcs_utils, "get_kvstore_for_gcs"),
        (gcs_utils, "_GCS_PATH_PREFIX"),
    )
    if not all(hasattr(*one) for one in functions):
        raise ValueError(
            f"{place} cannot be used with this version of Orbax. Run pip install 'orbax-checkpoint==0.12.8'."
        )
    if S3 in gcs_utils._GCS_PATH_PREFIX:
        return
    of_gcs = gcs_utils.get_kvstore_for_gcs
    gcs_utils._GCS_PATH_PREFIX = (*gcs_utils._GCS_PATH_PREFIX, S3)
    gcs_utils.get_kvstore_for_gcs = lambda path: key_value_store(path) if path.startswith(S3) else of_gcs(path)
    tensorstore_utils._use_gcs_driver = lambda path: path.startswith((GCS, S3))
    tensorstore_utils._normalize_path = normalize


def normalize(path: str) -> str:
    """Returns a path without doubled or trailing slashes; a URL keeps the two after its scheme.

    Example:
      >>> normalize("s3://bucket//run/")
      's3://bucket/run'
    """
    return re.sub("^(gs|s3):/+", r"\1://", os.path.normpath(path))


def key_value_store(path: str) -> dict[str, Any]:
    """Returns TensorStore's description of a folder in an S3 bucket; the environment names endpoint and region.

    Example:
      >>> key_value_store("s3://bucket/run")["path"]
      'run'
    """
    bucket, _, key = path.removeprefix(S3).partition("/")
    spec: dict[str, Any] = {"driver": "s3", "bucket": bucket, "path": key}
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        spec["endpoint"] = endpoint
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        spec["aws_region"] = region
    if "AWS_ACCESS_KEY_ID" in os.environ:  # else its search complains about files that are missing
        spec["aws_credentials"] = {"type": "environment"}
    return spec
