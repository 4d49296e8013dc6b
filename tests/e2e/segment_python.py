"""Sends the messages on standard input with the official SDK and prints what the SDK says of them.

In: {host, key, options, messages: [{kind, ...fields}]}. Out: {errors: [text], delivered: n}.
"""

import json
import re
import sys
from typing import Any

from segment.analytics.client import Client


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def main() -> None:
    told = json.load(sys.stdin)
    options, errors, lost = told["options"], [], []

    def failed(error: Exception, items: list[Any]) -> None:
        errors.append(str(error))
        lost.extend(items)

    client = Client(
        told["key"],
        host=told["host"],
        on_error=failed,
        upload_size=options["batch"],
        upload_interval=0.1,
        max_retries=options["retries"],
        gzip=options["gzip"],
    )
    for message in told["messages"]:
        call = getattr(client, message.pop("kind"))
        call(**{snake(name): value for name, value in message.items()})
    client.shutdown()
    print(json.dumps({"errors": errors, "delivered": len(told["messages"]) - len(lost)}))  # noqa: T201


if __name__ == "__main__":
    main()
