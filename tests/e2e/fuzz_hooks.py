"""What the fuzzer has to be told: how a body of type ``application/x-ndjson`` is written."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(context: Any, value: Any) -> bytes:
    """Texts are sent as they are; the fuzzer also tries values that are no texts."""
    return str(value).encode("utf-8", "surrogatepass")
