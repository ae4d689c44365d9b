"""A reading to a FHIR server: one transaction by HTTP, all of it or nothing.

What an answer means: 2xx is stored; 408, 425, 429 and 5xx are to be tried again; everything else (not allowed,
not valid, not found, a redirect) is refused for good, until somebody has changed something and resumes. Of an
OperationOutcome only the coded part is repeated: its texts may quote the patient.
"""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from node.delivering.destinations import FhirDestination
from operators.reading.errors import RetriableError

MEDIA_TYPE = "application/fhir+json"
_LATER = frozenset({408, 425, 429})
_VERSIONS = ("4.0.", "4.3.")
"""Versions of FHIR that are sent to: R4, and R4B, in which the resources used here are the same."""


@dataclass(frozen=True)
class FhirAnswer:
    """Answer of a server to a transaction.

    Attributes:
        stored: Where the resources are, by the server's own paths.
        refusal: Why nothing was stored; None where everything was.
    """

    stored: tuple[str, ...] = ()
    refusal: str | None = None


def send_fhir(bundle: Path, to: FhirDestination) -> FhirAnswer:
    """Post a transaction Bundle.

    Args:
        bundle: The file.
        to: The server.

    Raises:
        RetriableError: The server cannot be reached or cannot take it now.
    """
    status, answer = _request(to, "POST", "", bundle.read_bytes())
    where = _server(to)
    if status in _LATER or status >= 500:
        raise RetriableError("peer-failed", f"{where} answered {status}{_issues(answer)}; it is tried again")
    if not 200 <= status < 300:
        return FhirAnswer(refusal=f"{where} answered {status}{_issues(answer)}{_remedy(status)}")
    entries = answer.get("entry", [])
    failed = [entry for entry in entries if not str(entry["response"]["status"]).startswith("2")]
    if answer.get("type") != "transaction-response" or failed:
        return FhirAnswer(refusal=f"{where} did not treat the Bundle as a transaction; is the URL its FHIR base?")
    return FhirAnswer(tuple(str(entry["response"].get("location", "")) for entry in entries))


def try_fhir(to: FhirDestination) -> str:
    """Ask a server for its version of FHIR.

    Returns:
        A sentence on it.

    Raises:
        RetriableError: It cannot be reached, or is no R4 server that takes transactions.
    """
    status, answer = _request(to, "GET", "/metadata", None)
    version = str(answer.get("fhirVersion", ""))
    offers = {item.get("code") for rest in answer.get("rest", []) for item in rest.get("interaction", [])}
    if status != 200 or not version.startswith(_VERSIONS):
        sentence = f"{_server(to)} is no FHIR R4 server (status {status}, version {version or 'not said'})"
        raise RetriableError("peer-no-fhir", sentence)
    if "transaction" not in offers:
        raise RetriableError("peer-no-transactions", f"{_server(to)} does not offer transactions")
    return f"{_server(to)} is a FHIR server of version {version} that takes transactions"


def _request(to: FhirDestination, method: str, path: str, body: bytes | None) -> tuple[int, dict[str, Any]]:
    """Send one request to the server itself: by no proxy, after no redirect, since patient data go nowhere else."""
    connection = _connection(to)
    headers = {"Accept": MEDIA_TYPE, "Content-Type": f"{MEDIA_TYPE}; charset=utf-8"}
    if to.token is not None:
        headers["Authorization"] = f"Bearer {to.token.get_secret_value()}"
    try:
        connection.request(method, f"{urlsplit(to.url).path.rstrip('/')}{path}" or "/", body, headers)
        response = connection.getresponse()
        content = response.read()
    except ssl.SSLCertVerificationError as error:
        sentence = f"{_server(to)} has no certificate that is trusted here ({error.verify_message}); set ca_file"
        raise RetriableError("peer-not-trusted", sentence) from error
    except (OSError, UnicodeError, http.client.HTTPException) as error:
        sentence = f"{_server(to)} cannot be reached ({type(error).__name__}); is it running?"
        raise RetriableError("peer-unreachable", sentence) from error
    finally:
        connection.close()
    return response.status, _json(content)


def _connection(to: FhirDestination) -> http.client.HTTPConnection:
    address = urlsplit(to.url)
    if address.scheme == "http":
        return http.client.HTTPConnection(str(address.hostname), address.port, timeout=to.timeout_seconds)
    context = ssl.create_default_context(cafile=str(to.ca_file) if to.ca_file else None)
    return http.client.HTTPSConnection(str(address.hostname), address.port, timeout=to.timeout_seconds, context=context)


def _json(content: bytes) -> dict[str, Any]:
    """The answer as an object; empty where it is none, as proxies and login pages answer."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _issues(answer: dict[str, Any]) -> str:
    codes = sorted({str(issue.get("code")) for issue in answer.get("issue", []) if isinstance(issue, dict)})
    return f" ({', '.join(codes)})" if codes else ""


def _remedy(status: int) -> str:
    if status in (401, 403):
        return "; it does not allow us to write: see the destination's token"
    if 300 <= status < 400:
        return "; it wants another URL: set it"
    if status == 404:
        return "; is the URL its FHIR base?"
    return ""


def _server(to: FhirDestination) -> str:
    return f"the FHIR server {to.url}"
