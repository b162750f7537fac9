"""An HTTP proxy before a real server that fails when told to: 500, slow, or a connection that breaks.

`lost-request` breaks before the server hears of it, `lost-answer` after the server has done the work: the two cases
that look the same to a client, and that a retry must both survive.
"""

import http.client
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["500", "slow", "lost-request", "lost-answer"]


@dataclass
class Rule:
    path: str  # regular expression that the request's `METHOD /path` must hold
    fault: Fault
    times: int  # how many requests it spoils; -1: all
    seconds: float = 0.0  # for `slow`


@dataclass
class FaultyProxy:
    uri: str
    target: str
    requests: list[str] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _delayed: list[threading.Event] = field(default_factory=list)  # one for each `slow` request: set when it is done

    def fail(self, path: str, fault: Fault, times: int = 1, seconds: float = 0.0) -> None:
        self.rules.append(Rule(path, fault, times, seconds))

    def heal(self) -> None:
        """No more faults; what was delayed has reached the server, whether or not its client still waits."""
        self.rules.clear()
        while self._delayed:
            assert self._delayed.pop().wait(300)
        self.requests.clear()

    @contextmanager
    def delayed(self, rule: Rule | None) -> Iterator[None]:
        """A `slow` request comes late; the others at once."""
        if rule is None or rule.fault != "slow":
            yield
            return
        done = threading.Event()
        self._delayed.append(done)
        try:
            time.sleep(rule.seconds)
            yield
        finally:
            done.set()

    def fault_for(self, request: str) -> Rule | None:
        with self._lock:
            self.requests.append(request)
            for rule in self.rules:
                if rule.times and re.search(rule.path, request):
                    rule.times -= 1
                    return rule
        return None


@contextmanager
def faulty_proxy(target: str) -> Iterator[FaultyProxy]:
    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            rule = proxy.fault_for(f"{self.command} {self.path}")
            if rule and rule.fault == "lost-request":
                return  # closes the connection without a word
            if rule and rule.fault == "500":
                self.answer(500, {"Content-Type": "text/plain"}, b"injected")
                return
            with proxy.delayed(rule):
                status, headers, answer = self.ask_target(body)
            if not (rule and rule.fault == "lost-answer"):
                self.answer(status, headers, answer)

        def ask_target(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
            with closing(http.client.HTTPConnection(urlsplit(proxy.target).netloc, timeout=300)) as connection:
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                kept = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP_BY_HOP}
                return answer.status, kept, answer.read()

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except BrokenPipeError:
                return  # the client gave up waiting, as `slow` means it to

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: `requests` keeps what a test wants to see."""

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.forward)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    proxy = FaultyProxy(f"http://127.0.0.1:{httpd.server_address[1]}", target)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server"}
