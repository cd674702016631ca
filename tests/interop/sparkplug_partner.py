"""The other side of tests/interop/test_sparkplug.py: an independent implementation, in an environment of its own.

sparkplug_partner.py node PORT     an edge node; one command a line on stdin: update JSON | device JSON | leave | quit
sparkplug_partner.py listen PORT   a listener; one JSON line on stdout for each message that it could decode
"""

from __future__ import annotations

import json
import sys
import threading
import time

import pysparkplug as theirs
from pysparkplug import DataType, Metric

TYPES = {
    "int8": DataType.INT8,
    "int32": DataType.INT32,
    "int64": DataType.INT64,
    "uint16": DataType.UINT16,
    "float": DataType.FLOAT,
    "double": DataType.DOUBLE,
    "bool": DataType.BOOLEAN,
    "make": DataType.STRING,
}
FIRST = {"int8": -5, "int32": -70_000, "int64": -(1 << 40), "uint16": 60_000, "float": 0.5, "double": 1.25}
FIRST |= {"bool": True, "make": "ACME"}


def metrics(values: dict[str, object], at_ms: int) -> list[Metric]:
    return [Metric(timestamp=at_ms, name=name, datatype=TYPES[name], value=value) for name, value in values.items()]


def say(**words: object) -> None:
    # one write: two threads speak, and print() writes the line's end apart
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def node(port: int) -> None:
    def commanded(_node: theirs.EdgeNode, message: theirs.Message) -> None:
        say(event="command", metrics={each.name: each.value for each in message.payload.metrics})

    now_ms = time.time_ns() // 1_000_000
    made = theirs.EdgeNode("plant", "n1", metrics(FIRST, now_ms), cmd_callback=commanded)
    made.register(theirs.Device("P1", metrics({"float": 20.5}, now_ms)))
    made.connect("127.0.0.1", port=port)
    for line in sys.stdin:
        verb, _, rest = line.strip().partition(" ")
        if verb == "update":
            made.update(metrics(json.loads(rest), time.time_ns() // 1_000_000))
        elif verb == "device":
            made.update_device("P1", metrics(json.loads(rest), time.time_ns() // 1_000_000))
        elif verb == "again":  # births anew: this library has no rebirth
            made.disconnect()
            made.connect("127.0.0.1", port=port)
        elif verb == "leave":
            made.disconnect()
        elif verb == "quit":
            break
        say(event="done", verb=verb)


def listen(port: int) -> None:
    def heard(_client: theirs.Client, message: theirs.Message) -> None:
        topic = message.topic
        say(
            event="heard",
            verb=str(topic.message_type),
            device=topic.device_id,
            seq=getattr(message.payload, "seq", None),
            metrics=[[each.name, each.value, each.timestamp, each.is_historical] for each in _metrics(message)],
        )

    client = theirs.Client()
    for device in (None, "+"):
        topic = theirs.Topic(group_id="plant", message_type="+", edge_node_id="n1", device_id=device)
        client.subscribe(topic, theirs.QoS.AT_LEAST_ONCE, heard)
    client.connect("127.0.0.1", port=port, callback=lambda _client: say(event="connected"))
    threading.Event().wait(120)


def _metrics(message: theirs.Message) -> tuple[Metric, ...]:
    death = getattr(message.payload, "bd_seq_metric", None)
    return (death,) if death is not None else message.payload.metrics


if __name__ == "__main__":
    {"node": node, "listen": listen}[sys.argv[1]](int(sys.argv[2]))
