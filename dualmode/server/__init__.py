"""``dualmode serve``: streaming by WebSocket, transcriptions as OpenAI's clients ask for them, and the page.

::

    clients --- guard --- stream_socket --- pool: threads with the device engine    the sparse sub-network, streamed
                     |                 `--- second_pass: a thread with PyTorch      the dense one, whole utterances
                     `--- transcriptions ---'
"""
