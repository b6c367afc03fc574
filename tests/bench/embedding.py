"""Compares allm's embedding with ONNX Runtime: the same texts and weights, in turns, on the same threads.

    pip install numpy onnx onnxruntime gguf tokenizers
    python3 tests/bench/embedding.py             # --beside: beside a busy loop; --lines FILE: of these texts, one a line

It builds allm's benchmark (`cargo bench`; or name a program that is built: --program PATH) and prints, for each round and then as the
median, pieces a second and the ratio: above 1 allm is quicker. Bulk is embedded on as many threads as there are processors, a question
on one. What the ratio says is true on a machine that does other work, too; the figures themselves want a quiet one.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

import gguf
import numpy as np
import onnx
import onnxruntime
import tokenizers
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "assets/all-MiniLM-L6-v2"
CONFIG = json.loads((MODEL / "config.json").read_text())
WINDOW = 256
# Texts of like length go through ONNX Runtime by so many: more are slower, fewer too.
BATCH = 8
TEXTS = 512


# --- the model as an ONNX graph, from the file that allm carries


class Graph:
    def __init__(self):
        reader = gguf.GGUFReader(MODEL / "model.gguf")
        self.weights = {t.name: gguf.dequantize(t.data, t.tensor_type).astype("f4") for t in reader.tensors}
        self.nodes, self.constants, self.count = [], {}, 0

    def constant(self, name, value):
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def number(self, value):
        return self.constant(f"number {value}", np.array(value, "f4"))

    def whole(self, *values):
        return self.constant(f"whole {values}", np.array(values, "i8"))

    def do(self, operation, *inputs, **attributes):
        self.count += 1
        output = f"{operation} {self.count}"
        self.nodes.append(helper.make_node(operation, list(inputs), [output], **attributes))
        return output

    def linear(self, x, name):
        weight = self.constant(f"{name} weight", self.weights[f"{name}.weight"].T)
        product = self.do("MatMul", x, weight)
        return self.do("Add", product, self.constant(f"{name} bias", self.weights[f"{name}.bias"]))

    def norm(self, x, name):
        weight = self.constant(f"{name} weight", self.weights[f"{name}.weight"])
        bias = self.constant(f"{name} bias", self.weights[f"{name}.bias"])
        return self.do("LayerNormalization", x, weight, bias, epsilon=CONFIG["layer_norm_eps"], axis=-1)

    def heads(self, x, order):
        heads = CONFIG["num_attention_heads"]
        shape = self.whole(0, 0, heads, CONFIG["hidden_size"] // heads)
        return self.do("Transpose", self.do("Reshape", x, shape), perm=order)

    def layer(self, x, mask, name):
        query, key, value = (self.linear(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        scores = self.do("MatMul", self.heads(query, [0, 2, 1, 3]), self.heads(key, [0, 2, 3, 1]))
        size = CONFIG["hidden_size"] / CONFIG["num_attention_heads"]
        scores = self.do("Add", self.do("Div", scores, self.number(size**0.5)), mask)
        values = self.do("MatMul", self.do("Softmax", scores, axis=-1), self.heads(value, [0, 2, 1, 3]))
        values = self.do("Transpose", values, perm=[0, 2, 1, 3])
        values = self.do("Reshape", values, self.whole(0, 0, CONFIG["hidden_size"]))
        attended = self.linear(values, f"{name}.attention.output.dense")
        x = self.norm(self.do("Add", attended, x), f"{name}.attention.output.LayerNorm")
        # The GELU, in the form that ONNX Runtime knows as one.
        inner = self.linear(x, f"{name}.intermediate.dense")
        phi = self.do("Erf", self.do("Div", inner, self.number(2**0.5)))
        inner = self.do("Mul", inner, self.do("Add", phi, self.number(1.0)))
        outer = self.linear(self.do("Mul", inner, self.number(0.5)), f"{name}.output.dense")
        return self.norm(self.do("Add", outer, x), f"{name}.output.LayerNorm")

    def model(self):
        words = self.constant("words", self.weights["embeddings.word_embeddings.weight"])
        places = self.weights["embeddings.position_embeddings.weight"]
        places = self.constant("places", places + self.weights["embeddings.token_type_embeddings.weight"][0])
        length = self.do("Gather", self.do("Shape", "ids"), self.whole(1))
        places = self.do("Slice", places, self.whole(0), length, self.whole(0))
        x = self.norm(self.do("Add", self.do("Gather", words, "ids"), places), "embeddings.LayerNorm")
        absent = self.do("Sub", self.number(1.0), self.do("Unsqueeze", "mask", self.whole(1, 2)))
        absent = self.do("Mul", absent, self.number(-10000.0))
        for layer in range(CONFIG["num_hidden_layers"]):
            x = self.layer(x, absent, f"encoder.layer.{layer}")
        said = self.do("Mul", x, self.do("Unsqueeze", "mask", self.whole(2)))
        # The length of the mean is that of the sum: both are scaled to 1.
        total = self.do("ReduceSum", said, self.whole(1), keepdims=0)
        self.nodes.append(helper.make_node("LpNormalization", [total], ["vectors"], axis=-1, p=2))
        ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["texts", "length"])
        mask = helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["texts", "length"])
        vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", CONFIG["hidden_size"]])
        graph = helper.make_graph(self.nodes, "bert", [ids, mask], [vectors], list(self.constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 9
        return model.SerializeToString()


# --- the two


class Peer:
    """ONNX Runtime, a session of one thread for each thread."""

    def __init__(self, threads):
        self.tokenizer = tokenizers.Tokenizer.from_file(str(MODEL / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = Graph().model()
        session = lambda: onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.sessions = [session() for _ in range(threads)]

    def tokens(self, texts):
        all_ids = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        return [ids if len(ids) <= WINDOW else ids[: WINDOW - 1] + ids[-1:] for ids in all_ids]

    def embed(self, texts):
        start, processor = time.perf_counter(), time.process_time()
        tokens = self.tokens(texts)
        order = sorted(range(len(texts)), key=lambda index: len(tokens[index]))
        groups = iter([order[at : at + BATCH] for at in range(0, len(order), BATCH)])
        vectors, lock = np.zeros((len(texts), CONFIG["hidden_size"]), "f4"), threading.Lock()

        def work(session):
            while True:
                with lock:
                    group = next(groups, None)
                if group is None:
                    return
                length = max(len(tokens[index]) for index in group)
                ids, mask = np.zeros((len(group), length), "i8"), np.zeros((len(group), length), "f4")
                for row, index in enumerate(group):
                    ids[row, : len(tokens[index])] = tokens[index]
                    mask[row, : len(tokens[index])] = 1
                vectors[group] = session.run(None, {"ids": ids, "mask": mask})[0]

        threads = [threading.Thread(target=work, args=(session,)) for session in self.sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - start, time.process_time() - processor, vectors


class Allm:
    def __init__(self, program):
        command = [program] if program else ["cargo", "bench", "--bench", "bench", "--"]
        self.process = subprocess.Popen(
            [*command, "embedding"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def embed(self, texts):
        self.process.stdin.write(json.dumps(texts) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            # `cargo bench` says other things first.
            if line.startswith("{"):
                answer = json.loads(line)
                self.load = answer["load"]
                return answer["seconds"], answer["processor"], np.array(answer["vectors"], "f4")
        sys.exit("error: allm's benchmark ended")


# --- the comparison


def passages(peer):
    """Makes texts of 8 to 200 pieces of what the set for `eval` says."""
    said = []
    for line in (ROOT / "tests/fixtures/eval/turns.jsonl").read_text().splitlines():
        turn = json.loads(line)
        said += [line for text in (turn["query"], turn["response"]) for line in text.splitlines() if line.strip()]
    texts, at = [], 0
    while len(texts) < TEXTS:
        count = (1, 1, 1, 2, 1, 3, 1, 2, 4)[len(texts) % 9]
        text = " ".join(said[(at + more) % len(said)] for more in range(count))
        at += count
        if 8 <= len(peer.tokens([text])[0]) <= 200:
            # No text twice: allm knows those that it has embedded.
            texts.append(f"{len(texts)} {text}")
    return texts


def main():
    parser = argparse.ArgumentParser(description="Compares allm's embedding with ONNX Runtime.")
    parser.add_argument("--lines", help="a file with a text in each line")
    parser.add_argument("--program", help="allm's benchmark, where it is built")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--beside", action="store_true", help="keep one processor busy meanwhile")
    arguments = parser.parse_args()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    allm, peer, single = Allm(arguments.program), Peer(threads), Peer(1)
    texts = pathlib.Path(arguments.lines).read_text().splitlines() if arguments.lines else passages(peer)
    pieces = sum(len(ids) for ids in peer.tokens(texts))
    busy = [sys.executable, "-c", "while True: pass"]
    busy = subprocess.Popen(busy) if arguments.beside else None
    try:
        compare(allm, peer, single, texts, pieces, arguments.rounds)
    finally:
        if busy:
            busy.kill()


def compare(allm, peer, single, texts, pieces, rounds):
    print(f"{len(texts)} texts, {pieces} pieces, {len(peer.sessions)} threads")
    print(f"{'':<10} {'allm':>14} {'ONNX Runtime':>14} {'ratio':>7} {'of processor time':>18}")
    figures = []
    for number in range(rounds):
        ours, theirs = allm.embed(texts), peer.embed(texts)
        ratio, by_processor = theirs[0] / ours[0], theirs[1] / max(ours[1], 0.01)
        print(f"round {number + 1:<4} {pieces / ours[0]:>8.0f} /s    {pieces / theirs[0]:>8.0f} /s    {ratio:>7.2f} {by_processor:>18.2f}")
        figures.append((pieces / ours[0], pieces / theirs[0], ratio, by_processor))
    ours, theirs, ratio, by_processor = (statistics.median(column) for column in zip(*figures))
    print(f"{'bulk':<10} {ours:>8.0f} /s    {theirs:>8.0f} /s    {ratio:>7.2f} {by_processor:>18.2f}")
    asked = [f"how did we fix deadlock {number} in the billing service" for number in range(12 * rounds)]
    times = [(allm.embed([question])[0], single.embed([question])[0]) for question in asked]
    ours, theirs = (statistics.median(column) * 1e3 for column in zip(*times))
    ratio = statistics.median(theirs / ours for ours, theirs in times)
    print(f"{'question':<10} {ours:>8.1f} ms    {theirs:>8.1f} ms    {ratio:>7.2f}")
    vectors = zip(allm.embed(texts)[2], peer.embed(texts)[2])
    print(f"least cosine between the two {min(float(a @ b) for a, b in vectors):.5f}, load {allm.load * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
