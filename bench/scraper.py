"""Scrapes a metrics page as Prometheus does, at a fixed rate, until it is told to stop."""

from __future__ import annotations

import http.client
import threading
import time
from typing import Self

SCRAPES_PER_SECOND = 10
HEADERS = {
    "accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    "accept-encoding": "gzip",
}


class Scraper:
    """A thread that scrapes `address` for as long as the context lasts; keeps each one's time."""

    def __init__(self, address: str, scrapes_per_second: float = SCRAPES_PER_SECOND) -> None:
        self._address = address
        self._seconds = 1 / scrapes_per_second
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seconds: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            started = time.monotonic()
            connection.request("GET", "/metrics", headers=HEADERS)
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.client.OK:
                raise SystemExit(f"/metrics answered {answer.status}")
            self.seconds.append(time.monotonic() - started)
            due = max(due + self._seconds, time.monotonic())
        connection.close()
