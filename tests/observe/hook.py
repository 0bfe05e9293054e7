"""An HTTP server on loopback that keeps what it is sent: a target of webhooks."""

import contextlib
import http.server
import queue
import ssl
import threading

SECONDS = 30


class Hook:
    """A target: answers with the statuses that it was given, then with 200."""

    def __init__(self, *answers, tls=None):
        self.answers = queue.SimpleQueue()
        for answer in answers:
            self.answers.put(answer)
        self.requests = queue.Queue()
        self.may_answer = threading.Event()
        self.may_answer.set()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.requests.put((self.path, self.headers, body))
                hook.may_answer.wait(SECONDS)
                status, headers = (200, {}) if hook.answers.empty() else hook.answers.get()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()

            do_GET = do_POST  # noqa: N815 - http.server's name

            def log_message(self, *_arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_arguments):
                """A client that refuses our certificate."""

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_port}/hooks/T0?token=sesame"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def take(self):
        return self.requests.get(timeout=SECONDS)

    def close(self):
        self.may_answer.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
