"""Whether the receiver of this machine answers C-ECHO: the container's health, and a probe for monitoring.

Exit status: 0 it answers; 1 it does not, or the settings are wrong, with the reason as one sentence.
"""

from __future__ import annotations

import sys

from node.delivering.destinations import Destination
from node.delivering.dicom import echo
from node.settings import ReceiverSettings, load_settings
from operators.reading.errors import OsteonError

_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
_SECONDS = 10.0


def own_receiver(receiver: ReceiverSettings) -> Destination:
    """The receiver as a peer of this machine; a caller that it knows, where it does not take everybody."""
    return Destination(
        host=_EVERY_ADDRESS.get(receiver.host, receiver.host),
        port=receiver.port,
        ae_title=receiver.ae_title,
        calling_ae_title=next(iter(receiver.calling_ae_titles), "HEALTHCHECK"),
        timeout_seconds=_SECONDS,
    )


def main() -> int:
    """C-ECHO our own receiver."""
    try:
        receiver = load_settings().receiver
        echo(own_receiver(receiver), receiver.ae_title)
    except OsteonError as error:
        print(error.sentence, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
