"""A server that speaks the Jobs API of Ray's dashboard, for tests of what talks to it: jobs run nothing here."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import ray
from aiohttp import web

TOKEN = "secret-of-the-head"


class JobsApi:
    """What the server has been told."""

    def __init__(self) -> None:
        self.address = ""
        self.jobs: dict[str, dict[str, Any]] = {}
        """By submission id, in the order of their submission."""
        self.shipped: dict[str, dict[str, str]] = {}
        """URI of a package -> its files, by name."""
        self.said = ["one\n", "two\n"]
        """What every job prints."""
        self.token: str | None = None
        """The token that is asked for."""

    def end(self, job: str, status: str) -> None:
        """Let a job come to its end."""
        self.jobs[job] |= {"status": status, "end_time": int(time.time() * 1000)}

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"version": "4", "ray_version": ray.__version__, "ray_commit": "0", "session_name": "s"}
        )

    async def _package(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if request.method == "GET":
            return web.Response(status=200 if name in self.shipped else 404)
        with zipfile.ZipFile(io.BytesIO(await request.read())) as file:
            self.shipped[name] = {one: file.read(one).decode() for one in file.namelist() if not one.endswith("/")}
        return web.Response()

    async def _submit(self, request: web.Request) -> web.Response:
        asked = await request.json()
        job = {
            "type": "SUBMISSION",
            "status": "RUNNING",
            "message": "",
            "start_time": int(time.time() * 1000) + len(self.jobs),
        }
        self.jobs[asked["submission_id"]] = job | asked
        return web.json_response({"job_id": asked["submission_id"], "submission_id": asked["submission_id"]})

    async def _jobs(self, _: web.Request) -> web.Response:
        return web.json_response(list(self.jobs.values()))

    async def _stop(self, request: web.Request) -> web.Response:
        self.end(request.match_info["job"], "STOPPED")
        return web.json_response({"stopped": True})

    async def _logs(self, _: web.Request) -> web.Response:
        return web.json_response({"logs": "".join(self.said)})

    async def _tail(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for text in self.said:
            await socket.send_str(text)
        self.end(request.match_info["job"], "FAILED")
        await socket.close()
        return socket

    def _application(self) -> web.Application:
        @web.middleware
        async def asks_for_token(request: web.Request, handler: Any) -> web.StreamResponse:
            given = request.headers.get("Authorization")
            if self.token and given != f"Bearer {self.token}":
                return web.Response(status=403 if given else 401, text="Unauthorized: Missing authentication token")
            return await handler(request)

        application = web.Application(middlewares=[asks_for_token])
        application.add_routes(
            [
                web.get("/api/version", self._version),
                web.route("*", "/api/packages/gcs/{name}", self._package),
                web.post("/api/jobs/", self._submit),
                web.get("/api/jobs/", self._jobs),
                web.post("/api/jobs/{job}/stop", self._stop),
                web.get("/api/jobs/{job}/logs", self._logs),
                web.get("/api/jobs/{job}/logs/tail", self._tail),
            ]
        )
        return application

    @contextlib.contextmanager
    def serving(self) -> Iterator[JobsApi]:
        """Serve on a free port of this machine, from a thread."""
        loop = asyncio.new_event_loop()
        runner = web.AppRunner(self._application())
        loop.run_until_complete(runner.setup())
        loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        self.address = "http://{}:{}".format(*runner.addresses[0][:2])
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.run_until_complete(runner.cleanup())
            loop.close()
