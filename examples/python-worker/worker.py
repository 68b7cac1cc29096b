"""An AI worker for ImageFlow Edge in Python: `imageflow.v1.InferenceService` on asyncio, models by ONNX Runtime (model.py).

    python worker.py --listen unix:/run/user/1000/python-worker.sock
    python worker.py --listen 0.0.0.0:7001 --token "$TOKEN"

The protocol is proto/imageflow/v1/inference.proto; docs/spec/extractor-and-inference.md, "A worker of one's own", says in ten rules
what it asks of a worker. "Rule n" below means those.
"""
import argparse
import asyncio
import concurrent.futures
import hashlib
import hmac
import json
import logging
import os
import re
import signal
import stat
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from model import BadRequest, Model

REPOSITORY = Path(__file__).resolve().parents[2]
# Messages and service are made from the .proto file here, in memory. `python -m grpc_tools.protoc` makes files of them.
sys.path.append(str(REPOSITORY / "proto"))
pb, services = grpc.protos_and_services("imageflow/v1/inference.proto")

SERVICE = "imageflow.v1.InferenceService"
MAX_OVERRUNS = 16
MAX_MODELS = 64
MAX_CALLS = 256  # streams too; more are answered RESOURCE_EXHAUSTED
RETIRE_SECONDS = 1
STOP_GRACE_SECONDS = 1
MODEL_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.onnx", re.ASCII)
CHANNEL = [
    # A picture of 4096 x 2048 is 24 MiB.
    ("grpc.max_receive_message_length", 32 << 20),
    # The server pings every 10 s, also when there is nothing to send, and ends the connection where nobody answers (rule 10). gRPC's
    # default here is to take more than two such pings in five minutes for abuse.
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A port that another worker has is an error, not shared with it.
    ("grpc.so_reuseport", 0),
]
log = logging.getLogger("worker")


class Models:
    """The `.onnx` files of some folders, loaded one after the other, each failure kept with its reason."""

    def __init__(self, folders: list[Path], threads: int) -> None:
        self._threads = threads
        # In a later folder a file hides one of its name in an earlier one.
        files = {path.name.removesuffix(".onnx"): path for folder in folders for path in sorted(folder.iterdir()) if MODEL_FILE.fullmatch(path.name) and path.is_file()}
        self._files = dict(list(files.items())[:MAX_MODELS])
        self._coco = next((path for folder in folders if (path := folder / "coco80.labels.json").is_file()), None)
        self._loaded: dict[str, Model] = {}
        self._failures: dict[str, str] = {}

    async def load(self, first: str):
        """Loads all, `first` before the others; yields the name of each when it is ready or has failed."""
        for name in sorted(self._files, key=lambda name: (name != first, name)):
            try:
                # In a thread of its own: pictures are answered meanwhile.
                self._loaded[name] = await asyncio.to_thread(Model, self._files[name], self._threads, self._coco)
                log.info("model %s is ready", name)
            except Exception as error:  # a file may be anything; the others are loaded all the same
                self._failures[name] = str(error)[:1000]
                log.error("model %s cannot be used: %s", name, error)
            yield name

    def has(self, name: str) -> bool:
        return name in self._files

    def ready(self, name: str) -> Model | None:
        return self._loaded.get(name)

    def messages(self) -> list:
        """Every model there is, also those that load and those that failed (rule 2)."""
        return [self._message(name) for name in self._files]

    def _message(self, name: str):
        model = self._loaded.get(name)
        if model is None:
            failure = self._failures.get(name)
            return pb.Model(name=name, state=pb.MODEL_STATE_LOADING if failure is None else pb.MODEL_STATE_FAILED, failure=failure or "", backend=pb.BACKEND_ONNX)
        return pb.Model(
            name=name,
            digest=model.digest,
            input_width=model.input_width,
            input_height=model.input_height,
            input_layout=pb.INPUT_LAYOUT_U8_NHWC if model.is_u8 else pb.INPUT_LAYOUT_F32_NCHW,
            labels=model.labels,
            default_confidence=model.default_confidence,
            state=pb.MODEL_STATE_READY,
            backend=pb.BACKEND_ONNX,
        )


LOOK = object()
"""In an outbox: see whether the stream is over."""


@dataclass(frozen=True)
class CutOff:
    """In an outbox: the stream ends with an error."""

    code: grpc.StatusCode
    detail: str


@dataclass(eq=False)
class Client:
    """One Detect stream."""

    credits: int
    """What it may still send."""
    overruns: int = 0
    """Pictures it sent without credit."""
    leaving: bool = False
    """It has half-closed."""
    gone: bool = False
    outbox: asyncio.Queue = field(default_factory=asyncio.Queue)
    """Messages in the order they are to be sent, LOOK, CutOff."""


@dataclass(frozen=True)
class Job:
    client: Client
    request: object
    received_at: float


class InferenceService(services.InferenceServiceServicer):
    """One queue for all clients, bounded by the credits they hold, worked off one picture at a time: ONNX Runtime's threads share the cores anyway."""

    def __init__(self, models: Models, credits: int) -> None:
        self._models = models
        self._credits = credits
        self._clients: set[Client] = set()
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        # Inference leaves the event loop free to take requests, whose deadlines run from then on (rule 5).
        self._thread = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self._retired = False
        self._stopping = False
        self._alone = asyncio.Event()

    async def ListModels(self, request, context):
        return pb.ListModelsResponse(models=self._models.messages())

    async def Detect(self, requests, context):
        client = Client(self._credits)
        self._clients.add(client)
        # The worker speaks first (rule 1).
        client.outbox.put_nowait(self._grant(self._credits))
        reader = asyncio.create_task(self._read(client, requests))
        try:
            # Over when the client has left and each of its requests is answered (rule 8).
            while not self._stopping and not (client.leaving and client.credits == self._credits and client.outbox.empty()):
                message = await client.outbox.get()
                if isinstance(message, CutOff):
                    await context.abort(message.code, message.detail)
                if message is LOOK:
                    continue
                # The credit is back before the answer is on its way, so that the client's next request finds it (rule 3). A client that does
                # not read what it is answered gets no more of it.
                if returns_credit(message):
                    client.credits += 1
                await context.write(message)
        finally:
            client.gone = True
            self._clients.discard(client)
            reader.cancel()
            if not self._clients:
                self._alone.set()

    def models_changed(self) -> None:
        """Everybody hears what models there are now (rule 2)."""
        for client in self._clients:
            client.outbox.put_nowait(self._grant(0))

    async def work(self) -> None:
        """Answers requests in the order they came, for ever (rule 7)."""
        loop = asyncio.get_running_loop()
        while True:
            job = await self._jobs.get()
            if not job.client.gone:
                job.client.outbox.put_nowait(await loop.run_in_executor(self._thread, self._answer, job))

    async def retire(self) -> None:
        """Tells clients that there are no models any more, on which they leave; waits until they have, what they had sent answered, but not for long (rule 8)."""
        self._retired = True
        self._alone.clear()
        self.models_changed()
        if self._clients:
            await asyncio.wait([asyncio.create_task(self._alone.wait())], timeout=RETIRE_SECONDS)

    def stop(self) -> None:
        """Ends the streams of those who stayed."""
        self._stopping = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        for client in self._clients:
            client.outbox.put_nowait(LOOK)

    def _grant(self, credits: int):
        return pb.DetectResponse(grant=pb.Grant(credits=credits, models=[] if self._retired else self._models.messages()))

    async def _read(self, client: Client, requests) -> None:
        try:
            async for request in requests:
                if client.credits > 0:
                    client.credits -= 1
                    self._jobs.put_nowait(Job(client, request, time.monotonic()))
                    continue
                client.overruns += 1  # rule 4
                if client.overruns > MAX_OVERRUNS:
                    client.outbox.put_nowait(CutOff(grpc.StatusCode.RESOURCE_EXHAUSTED, "pictures sent without credit"))
                    return
                client.outbox.put_nowait(refusal(request, pb.REFUSAL_REASON_NO_CREDIT, "sent without credit"))
        except Exception as error:  # bytes that are no DetectRequest
            client.outbox.put_nowait(CutOff(grpc.StatusCode.INVALID_ARGUMENT, f"no DetectRequest: {error}"))
            return
        client.leaving = True
        client.outbox.put_nowait(LOOK)

    def _answer(self, job: Job):
        """Exactly one Outcome or Refusal (rule 6)."""
        request = job.request
        began = time.monotonic()
        waited_ms = (began - job.received_at) * 1000
        if waited_ms > request.deadline_ms:
            return refusal(request, pb.REFUSAL_REASON_DEADLINE, f"waited {waited_ms:.0f} ms")
        model = self._models.ready(request.model)
        if model is None:
            if self._models.has(request.model):
                return refusal(request, pb.REFUSAL_REASON_MODEL_NOT_READY, f"model {request.model} is not ready")
            return refusal(request, pb.REFUSAL_REASON_UNKNOWN_MODEL, f"no model {request.model[:200]}")
        confidence = request.confidence if request.HasField("confidence") else model.default_confidence
        if request.source_width == 0 or request.source_height == 0 or not 0 <= confidence <= 1:
            return refusal(request, pb.REFUSAL_REASON_BAD_REQUEST, "no picture size, or a confidence outside 0..1")
        try:
            detections = model.infer(request.pixels, request.source_width, request.source_height, confidence)
        except BadRequest as error:
            return refusal(request, pb.REFUSAL_REASON_BAD_REQUEST, str(error))
        except Exception as error:  # whatever the model does with this picture, the next one gets its turn
            picture = request.picture
            log.error("inference failed: model %s, camera %s, picture %s: %s", request.model, picture.stream[:200], picture.sequence, error)
            return refusal(request, pb.REFUSAL_REASON_INFERENCE_FAILED, str(error)[:1000])
        objects = [
            pb.DetectedObject(class_id=d.class_id, class_name=d.class_name, confidence=d.confidence, x=d.x, y=d.y, width=d.width, height=d.height)
            for d in detections
        ]
        inference_ms = (time.monotonic() - began) * 1000
        return pb.DetectResponse(outcome=pb.Outcome(request_id=request.request_id, objects=objects, model_digest=model.digest, inference_ms=inference_ms, waited_ms=waited_ms))


def refusal(request, reason: int, detail: str):
    return pb.DetectResponse(refusal=pb.Refusal(request_id=request.request_id, reason=reason, detail=detail))


def returns_credit(message) -> bool:
    return message.HasField("outcome") or (message.HasField("refusal") and message.refusal.reason != pb.REFUSAL_REASON_NO_CREDIT)


class AskForToken(grpc.aio.ServerInterceptor):
    """Every call, also one of the health service, shows `authorization: Bearer <token>` (rule 10)."""

    def __init__(self, token: str) -> None:
        self._expected = digest(f"Bearer {token}")

    async def intercept_service(self, continuation, call):
        shown = next((value for key, value in call.invocation_metadata if key == "authorization"), "")
        if hmac.compare_digest(self._expected, digest(shown if isinstance(shown, str) else "")):
            return await continuation(call)
        return grpc.stream_stream_rpc_method_handler(self._refuse)

    @staticmethod
    async def _refuse(_requests, context):
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "this listener asks for its token")


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def say(**message: object) -> None:
    """For whoever started this: one line of JSON."""
    print(json.dumps(message), flush=True)


def bind(server: grpc.aio.Server, listen: str) -> str:
    """Returns the address that clients dial. Raises RuntimeError when it cannot be had."""
    if not listen.startswith("unix:"):
        return f"{listen.rpartition(':')[0]}:{server.add_insecure_port(listen)}"
    path = Path(listen.removeprefix("unix:"))
    # Left by a worker that was killed. Nobody but its owner may open the new one, so it asks for no token.
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
    before = os.umask(0o077)
    server.add_insecure_port(listen)
    os.umask(before)
    return listen


async def serve(options: argparse.Namespace) -> None:
    on_socket = options.listen.startswith("unix:")
    interceptors = [] if on_socket else [AskForToken(options.token)]
    server = grpc.aio.server(options=CHANNEL, interceptors=interceptors, maximum_concurrent_rpcs=MAX_CALLS)
    models = Models(options.models, options.threads)
    service = InferenceService(models, options.credits)
    services.add_InferenceServiceServicer_to_server(service, server)
    readiness = health.aio.HealthServicer()  # rule 9
    health_pb2_grpc.add_HealthServicer_to_server(readiness, server)
    for name in ("", SERVICE):
        await readiness.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)

    address = bind(server, options.listen)
    await server.start()
    say(type="listening", listen=address)

    async def load() -> None:
        async for name in models.load(first=options.default_model):
            service.models_changed()
            if name == options.default_model and models.ready(name):
                for each in ("", SERVICE):
                    await readiness.set(each, health_pb2.HealthCheckResponse.SERVING)
                say(type="ready", listen=address)
        if models.ready(options.default_model) is None:
            log.error("no default model %s: the others are served, but nobody is told that this worker is ready", options.default_model)

    loading = asyncio.create_task(load())
    working = asyncio.create_task(service.work())
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        working.result()  # a fault of this program: raises
    loading.cancel()
    await readiness.enter_graceful_shutdown()
    await service.retire()
    working.cancel()
    service.stop()
    await server.stop(STOP_GRACE_SECONDS)
    if on_socket:
        Path(options.listen.removeprefix("unix:")).unlink(missing_ok=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="An AI worker for ImageFlow Edge.")
    parser.add_argument("--listen", required=True, help="unix:/path, or host:port (port 0: any free one)")
    parser.add_argument("--models", nargs="+", type=Path, default=[REPOSITORY / "models"], help="folders of .onnx files; default: the bundled ones")
    parser.add_argument("--default-model", default="nanodet-g-416.int8.u8", help="this worker is ready when this one is")
    parser.add_argument("--token", default=os.environ.get("IMAGEFLOW_CONTROL_INTERNAL_TOKEN", ""), help="asked for on host:port; default: $IMAGEFLOW_CONTROL_INTERNAL_TOKEN, which `ps` does not show")
    parser.add_argument("--threads", type=int, default=0, help="of one model; 0: as many as there are cores, at most 4")
    parser.add_argument("--credits", type=int, default=2, help="pictures taken at a time from one client")
    options = parser.parse_args()
    if not options.listen.startswith("unix:") and options.token == "":
        parser.error("--token is needed on host:port: others can reach it (the server's control.internal_token)")
    if not 1 <= options.credits <= 16:
        parser.error("--credits is 1 to 16")
    for folder in options.models:
        if not folder.is_dir():
            parser.error(f"--models: {folder} is no folder")
    return options


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(serve(parse()))
