"""A provider that sends the bytes it is told to, when it is told to: what the mock provider is too well-behaved for.

An answer is a list of steps: bytes are sent, a number waits so many seconds, LEAVE waits until the gateway closes, an Event until the test sets it. Behind the
last step the connection is closed."""
import json
import re
import select
import socket
import struct
import threading
import time
import zlib

LEAVE = object()


def answer(status, body, fields=(), kind="application/json"):
    """The bytes of a whole answer."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return head.encode() + b"".join(f.encode() + b"\r\n" for f in fields) + b"\r\n" + body


def stream(*steps, end=True, fields=(), kind="text/event-stream"):
    """The steps of an event stream in chunks; without an end it is cut."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
    out = [head.encode() + b"".join(f.encode() + b"\r\n" for f in fields) + b"\r\n"]
    for one in steps:
        out.append(b"%x\r\n%s\r\n" % (len(one), one) if isinstance(one, bytes) else one)
    return out + ([b"0\r\n\r\n"] if end else [])


def event(data, name=None, nl="\n", space=" "):
    """One event as bytes."""
    data = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    head = f"event:{space}{name}{nl}" if name else ""
    return f"{head}data:{space}{data}{nl}{nl}".encode()


def aws_message(payload, **labels):
    """One message of an AWS event stream: lengths and their CRC, headers (":message-type" is message_type), JSON, the CRC of all."""
    head = b"".join(bytes([len(n) + 1]) + b":" + n.replace("_", "-").encode() + b"\x07" + struct.pack(">H", len(v)) + v.encode()
                    for n, v in labels.items())
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(head) + len(body), len(head))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + body
    return whole + struct.pack(">I", zlib.crc32(whole))


def chat_events(pieces, finish="stop", **how):
    def chunk(**more):
        return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "raw", **more}, **how)
    texts = [chunk(choices=[{"index": 0, "delta": {"content": p}, "finish_reason": None}]) for p in pieces]
    return [chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]), *texts,
            chunk(choices=[{"index": 0, "delta": {}, "finish_reason": finish}]),
            chunk(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}), event("[DONE]", **how)]


def completions_events(pieces, **how):
    def chunk(**more):
        return event({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "raw", **more}, **how)
    texts = [chunk(choices=[{"index": 0, "text": p, "logprobs": None, "finish_reason": None}]) for p in pieces]
    return [*texts, chunk(choices=[{"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}]),
            chunk(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}), event("[DONE]", **how)]


def anthropic_events(pieces, kind="text", **how):
    def one(name, **more):
        return event({"type": name, **more}, name, **how)
    block = {"type": "text", "text": ""} if kind == "text" else {"type": "thinking", "thinking": "", "signature": ""}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "raw", "content": [], "stop_reason": None,
               "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 1}}
    return [one("message_start", message=message), one("content_block_start", index=0, content_block=block),
            *(one("content_block_delta", index=0, delta={"type": kind + "_delta", kind: p}) for p in pieces),
            one("content_block_stop", index=0),
            one("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 5}),
            one("message_stop")]


def gemini_events(pieces, **how):
    def one(text, **more):
        return event({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **more}],
                      "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 12},
                      "modelVersion": "raw"}, **how)
    return [*(one(p) for p in pieces), one("", finishReason="STOP")]


def responses_events(pieces, **how):
    count = iter(range(10**6))

    def one(name, **more):
        return event({"type": name, "sequence_number": next(count), **more}, name, **how)
    text, at = "".join(pieces), {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    whole = {"id": "resp_1", "object": "response", "created_at": 1, "status": "in_progress", "model": "raw", "output": []}
    done = {**item, "status": "completed", "content": [{**part, "text": text}]}
    return [one("response.created", response=whole), one("response.output_item.added", output_index=0, item=item),
            one("response.content_part.added", **at, part=part),
            *(one("response.output_text.delta", **at, delta=p) for p in pieces),
            one("response.output_text.done", **at, text=text),
            one("response.content_part.done", **at, part={**part, "text": text}),
            one("response.output_item.done", output_index=0, item=done),
            one("response.completed", response={**whole, "status": "completed", "output": [done], "usage": {
                "input_tokens": 7, "output_tokens": 5, "total_tokens": 12}})]


EVENTS = {"chat": chat_events, "completions": completions_events, "responses": responses_events, "anthropic": anthropic_events,
          "gemini": gemini_events}


class Upstream:
    """Listens on loopback; each request is answered with the steps of `play` (a list, or a function of the request)."""

    def __init__(self):
        self.play, self.asked, self.left = [], [], []  # requests as (head, body); times at which the gateway left
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        try:
            with s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                s.settimeout(120)
                data = b""
                while b"\r\n\r\n" not in data:
                    part = s.recv(65536)
                    if not part:
                        return
                    data += part
                head, body = data.split(b"\r\n\r\n", 1)
                size = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                while len(body) < (int(size[1]) if size else 0):
                    body += s.recv(65536)
                self.asked.append((head, body))
                self.run(s, self.play((head, body)) if callable(self.play) else self.play)
        except OSError:
            self.left.append(time.time())

    def run(self, s, steps):
        for one in steps:
            if isinstance(one, bytes):
                s.sendall(one)
                continue
            if isinstance(one, threading.Event):
                while not one.is_set():
                    if select.select([s], [], [], 0.01)[0] and s.recv(65536) == b"":
                        self.left.append(time.time())
                        return
                continue
            end = time.time() + (600 if one is LEAVE else one)
            while time.time() < end:
                if select.select([s], [], [], max(0, end - time.time()))[0] and s.recv(65536) == b"":
                    self.left.append(time.time())
                    return

    def end(self):
        """Nobody waits for connections afterwards: a thread that did could take those of a later listener with the same descriptor."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
