"""ONNX Runtime and nothing else: runs a model on one picture as often as it can.

python bare-onnxruntime.py <model.onnx> <picture: raw RGB of the model's size> <threads> <plain | as-worker>

Each line on stdin is a number of seconds; the answer on stdout is how many runs a second there were, and the
CPU of one in milliseconds. `as-worker` has the options that the server's worker sets
beside the number of threads, `plain` has ONNX Runtime's defaults.
"""

import sys
import time
from pathlib import Path

import numpy
import onnxruntime

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples" / "python-worker"))
from model import has_exact_int8  # noqa: E402


def main():
    model, picture, threads, options = sys.argv[1:5]
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = int(threads)
    settings.inter_op_num_threads = 1
    if options == "as-worker":
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        settings.add_session_config_entry("session.x64quantprecision", "0" if has_exact_int8() else "1")
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    feeds = {given.name: numpy.fromfile(picture, dtype=numpy.uint8).reshape(given.shape)}
    for line in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        end = began + float(line)
        runs = 0
        while time.perf_counter() < end:
            session.run(None, feeds)
            runs += 1
        print(runs / (time.perf_counter() - began), 1000 * (time.process_time() - used) / runs, flush=True)


if __name__ == "__main__":
    main()
