"""Sparkplug B 3.0: what a host application must know of its edge nodes, and an edge node of our own.

``topics``, ``state`` and ``tables`` are the words, ``session`` is one edge node as a host sees it, ``host`` all of
them; ``voice`` is what an edge node says. All of that is pure; ``node`` connects a voice to a broker, and
``edge.sources.sparkplug`` a host.
"""
