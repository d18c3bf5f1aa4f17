"""Registries of container images: what is in them, and images copied from one to another unchanged.

A client of the OCI distribution spec (the Docker Registry HTTP API v2). `docker push` brings an image
into a registry; from there on it is named by its digest, and promotion copies exactly those bytes.
"""

from .access import Credentials, credentials
from .client import Registry
from .copying import Copied, copy
from .manifests import Manifest
from .names import Name

__all__ = ["Copied", "Credentials", "Manifest", "Name", "Registry", "copy", "credentials"]
