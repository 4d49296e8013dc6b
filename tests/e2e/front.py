"""A real HTTP server in front of the real one: it fails as planned, then passes requests on."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen

# No answer at all; 503 with Retry-After; passed on, but the answer gets lost.
DROP, BUSY, LOSE = "drop", "busy", "lose"
PASSED_ON = ("Authorization", "Content-Type", "Content-Encoding", "User-Agent", "X-Retry-Count")


class Front:
    """``plan`` says how the first requests end; ``statuses`` how all of them did, 0 for dropped."""

    def __init__(self, base: str, plan: tuple[str, ...] = ()) -> None:
        self.behind, self.plan, self.statuses = base, list(plan), []
        self.lock = threading.Lock()
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                front._handle(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "Front":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def _handle(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers["Content-Length"]))
        with self.lock:
            ending = self.plan.pop(0) if self.plan else ""
        if ending == LOSE:
            assert self._passed_on(asked, body)[0] == 200
        if ending in (DROP, LOSE):
            self.statuses.append(0)
            asked.close_connection = True
            asked.connection.shutdown(socket.SHUT_RDWR)
        elif ending == BUSY:
            self._answer(asked, 503, {"Retry-After": "1"}, b'{"code": "busy", "message": "busy"}')
        else:
            self._answer(asked, *self._passed_on(asked, body))

    def _passed_on(
        self, asked: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        headers = {name: asked.headers[name] for name in PASSED_ON if name in asked.headers}
        request = Request(self.behind + asked.path, body, headers)
        try:
            with urlopen(request, timeout=60) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def _answer(
        self, asked: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        self.statuses.append(status)
        asked.send_response(status)
        for name in ("Retry-After", "Content-Type"):
            if name in headers:
                asked.send_header(name, headers[name])
        asked.send_header("Content-Length", str(len(body)))
        asked.end_headers()
        asked.wfile.write(body)
